"""Our own Xen Store daemon on a thread, for tests of clients."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from purevirt.daemons.xenstored import Server, Shell


class Daemon:
    """A running daemon: `kind` is "xenstored" (C), "oxenstored" or "purevirt", `path` its socket."""

    def __init__(self, kind: str, path: str) -> None:
        self.kind = kind
        self.path = path


@contextmanager
def ours(path: Path) -> Iterator[str]:
    """Our own daemon, on a thread."""
    reader, writer = os.pipe()
    with Shell(Server()) as shell:
        shell.listen(path)

        def run() -> None:
            poller = select.poll()
            poller.register(shell.fileno(), select.POLLIN)
            poller.register(reader, select.POLLIN)
            while reader not in dict(poller.poll()):
                shell.run_once()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield str(path)
        finally:
            os.write(writer, b"!")
            thread.join()
            os.close(reader)
            os.close(writer)
