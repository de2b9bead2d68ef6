"""A daemon that is killed in the middle of changes, again and again: another takes over, and nothing is half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import purevirt
from purevirt import errors, testing

SOURCES = str(Path(purevirt.__file__).parents[1])
LIVES = 4
CHANGES_EACH = 60  # that each life of the daemon makes, at the least
CHANGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("suspend", ()),
    ("rename", ("{}-{}",)),
    ("resume", ()),
)


@contextmanager
def daemon(root: str) -> Iterator[subprocess.Popen[str]]:
    """A daemon that serves; it ends by a kill."""
    with subprocess.Popen(
        [sys.executable, "-m", "purevirt", "xend", "--root", root],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCES},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_killed_in_the_middle_of_changes() -> None:
    with testing.Host(xend=False) as host:
        host.create_domain("other")
        failed: Counter[str] = Counter()
        done = threading.Semaphore(0)
        ended = threading.Event()

        def change(domain: str) -> None:
            """Pause, rename and let run, without an end; and note how each call ended."""
            with purevirt.open(host.uri) as connection:
                found, number = connection.lookup(domain), 0
                while not ended.is_set():
                    number += 1
                    for method, arguments in CHANGES:
                        try:
                            getattr(found, method)(*[text.format(domain, number) for text in arguments])
                            done.release()
                        except errors.XenError as error:
                            failed[error.kind] += 1
                            if isinstance(error, errors.ChannelUnavailable):
                                ended.wait(0.01)  # nobody is there to be asked

        threads = [threading.Thread(target=change, args=(domain,)) for domain in ("test", "other")]
        for life in range(LIVES):
            with daemon(host.root):
                if not life:
                    for thread in threads:
                        thread.start()
                for _ in range(CHANGES_EACH):
                    assert done.acquire(timeout=20), failed
            while done.acquire(blocking=False):
                pass
        ended.set()
        for thread in threads:
            thread.join(20)

        # What nobody can know is said to be lost; what was done and not told shows as a wrong state.
        assert set(failed) <= {"Closed", "ChannelUnavailable", "WrongState"}, failed
        with daemon(host.root), purevirt.open(host.uri) as connection:
            for info in connection.domain_infos():
                if info.domid:
                    found = connection.lookup(info.domid)
                    if info.state is purevirt.DomainState.PAUSED:
                        found.resume()
                    found.suspend()
                    found.resume()
                    assert found.state()[0] is purevirt.DomainState.RUNNING
        for line in Path(host.root, "var/log/purevirt/audit.log").read_text().splitlines():
            assert json.loads(line)["result"] in ("done", "WrongState")
