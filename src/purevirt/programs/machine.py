"""A whole simulated Xen host: hypervisor, xenstored and Domain 0's files, below one directory.

    DIR/dev/xen/privcmd               a Unix socket that takes hypercalls
    DIR/var/run/xenstored/socket      the Xen Store
    DIR/proc, DIR/sys                 the files a Domain 0 kernel shows

so the ordinary driver opens it as `xen:///?root=DIR`. All of it runs on one background thread with its own event loop;
the methods here may be called from any other thread, and have taken effect when they return.

`toolstack` builds domains in it, as `xl` does on a real host.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar

from purevirt.api.uri import root_uri
from purevirt.channels.unix import fork_generation
from purevirt.channels.xenstore import aio
from purevirt.channels.xenstore.client import StoreClient
from purevirt.daemons.xenstored import Server, Shell
from purevirt.errors import ConnectError
from purevirt.host.clock import Clock
from purevirt.host.dom0files import Dom0Files
from purevirt.host.hypercall_server import HypercallServer
from purevirt.host.hypervisor import Hypervisor
from purevirt.programs.toolstack import Toolstack

__all__ = ["Machine"]

T = TypeVar("T")

TIMEOUT = 30.0
"""How long a change may take before it is given up, in seconds."""

HYPERCALLS = "dev/xen/privcmd"
STORE = "var/run/xenstored/socket"


class Machine:
    """A simulated host. `directory`: where it lives (None: a private one, removed at the end)."""

    def __init__(
        self,
        directory: str | None = None,
        *,
        xen: tuple[int, int] = (4, 17),
        cpus: int = 4,
        memory_kib: int = 16 << 20,
        clock: Clock | None = None,
    ) -> None:
        self.hypervisor = Hypervisor(clock, xen=xen, cpus=cpus, memory_kib=memory_kib)
        self.xenstored = Server()
        self._private = directory is None
        self._directory = directory
        self._thread: threading.Thread | None = None
        self._generation = fork_generation()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._toolstack: Toolstack | None = None
        self._files: Dom0Files | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None

    # --- life

    @property
    def root(self) -> str:
        """The directory it lives in, while it runs."""
        if self._directory is None:
            raise RuntimeError("the simulated host is not running")
        return self._directory

    @property
    def uri(self) -> str:
        """What opens it."""
        return root_uri(self.root)

    @property
    def files(self) -> Dom0Files:
        """What Domain 0's kernel would show, while the host runs."""
        if self._files is None:
            raise RuntimeError("the simulated host is not running")
        return self._files

    def start(self) -> None:
        """Bring it up. ConnectError if its directory cannot be used."""
        if self._thread is not None:
            raise RuntimeError("the simulated host runs already")
        self._directory = _prepare(self._directory)
        self._generation = fork_generation()
        self._thread = threading.Thread(target=self._main, name="purevirt-host", daemon=True)
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            failure = self._failure
            self.stop()
            raise failure

    def stop(self) -> None:
        """Take it down, with everything below its directory that it made; stopping twice is no error."""
        thread, self._thread = self._thread, None
        if thread is None or self._generation != fork_generation():
            return  # it runs in the parent of this process, whose business it is
        loop, stopping = self._loop, self._stopping
        if thread.is_alive() and loop is not None and stopping is not None:
            loop.call_soon_threadsafe(stopping.set)
        thread.join()
        directory = self.root
        if self._private:
            self._directory = None
            shutil.rmtree(directory, ignore_errors=True)

    def __enter__(self) -> Machine:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- from other threads

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the host's thread and return its result."""

        async def run() -> T:
            return function()

        return self.run(lambda _: run())

    def run(self, work: Callable[[Toolstack], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine of the toolstack's on the host's thread and return its result."""
        loop, toolstack = self._loop, self._toolstack
        if self._thread is None or loop is None or toolstack is None:
            raise RuntimeError("the simulated host is not running")
        return asyncio.run_coroutine_threadsafe(work(toolstack), loop).result(TIMEOUT)

    # --- on its own thread

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # whoever waits in start() must hear of it
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        root = self.root
        hypercalls = HypercallServer(self.hypervisor, f"{root}/{HYPERCALLS}")
        shell = Shell(self.xenstored)
        try:
            shell.listen(f"{root}/{STORE}")
            self._loop.add_reader(shell.fileno(), shell.run_once)
            await hypercalls.start()
            files = self._files = Dom0Files(root, self.hypervisor)
            files.write()
            async with await StoreClient.open(aio.Connector(f"{root}/{STORE}"), timeout=TIMEOUT) as store:
                self._toolstack = Toolstack(self.hypervisor, store, files)
                await self._toolstack.boot()
                self._started.set()
                await self._stopping.wait()
        finally:
            self._toolstack = None
            await hypercalls.stop()
            self._loop.remove_reader(shell.fileno())
            shell.close()


def _prepare(directory: str | None) -> str:
    """Make the directory, and those that the sockets need."""
    if directory is None:
        directory = tempfile.mkdtemp(prefix="purevirt-")
    directory = os.path.abspath(directory)
    try:
        for path in (HYPERCALLS, STORE):
            os.makedirs(os.path.dirname(os.path.join(directory, path)), exist_ok=True)
    except OSError as error:
        raise ConnectError(
            f"no simulated host can live in {directory}: {os.strerror(error.errno or errno.EIO).lower()}",
            operation="host",
            path=directory,
            errno=error.errno,
        ) from error
    return directory
