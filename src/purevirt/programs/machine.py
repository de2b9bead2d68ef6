"""A whole simulated Xen host: hypervisor, bus and guests, xenstored, xenconsoled, xend and Domain 0's drivers, below
one directory.

    DIR/dev/xen/privcmd               a Unix socket that takes hypercalls
    DIR/dev/xen/bus, DIR/dev/xen/memory   event channels and grants, and the pages that are shared: for the daemons
    DIR/var/run/xenstored/socket      the Xen Store
    DIR/var/log/xen/console           what the guests print
    DIR/run/purevirt                  what the Xen daemon serves
    DIR/proc, DIR/sys                 the files a Domain 0 kernel shows

so the ordinary driver opens it as `xen:///?root=DIR`. All of it runs on one background thread with its own event loop;
the methods here may be called from any other thread, and have taken effect when they return: also what guests and
daemons do about it, as far as it takes no time (`settle`).

`toolstack` builds domains in it, as `xl` does on a real host; `parts` are what `kill` and `restart` know.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, TypeVar

from purevirt.api.uri import root_uri
from purevirt.channels.unix import fork_generation
from purevirt.channels.xenstore import aio
from purevirt.channels.xenstore.client import StoreClient
from purevirt.daemons.xenconsoled import ConsoleDaemon
from purevirt.daemons.xenstored import Server
from purevirt.errors import ChannelUnavailable, ConnectError
from purevirt.host.backends import Backends
from purevirt.host.bus import Bus
from purevirt.host.clock import Clock, HeldClock, RealClock
from purevirt.host.dom0files import Dom0Files
from purevirt.host.guest.kernel import Guest
from purevirt.host.hypervisor import Hypervisor
from purevirt.programs.parts import HYPERCALLS, STORE, ConsolePart, HypervisorPart, Part, StorePart, XendPart
from purevirt.programs.toolstack import Toolstack

__all__ = ["Machine"]

T = TypeVar("T")

TIMEOUT = 30.0
"""How long a change may take before it is given up, in seconds."""

PARTS = ("hypervisor", "xenstored", "xenconsoled", "xend")
"""In the order in which they start: each needs those before it."""

_ROUNDS = 20_000  # of `settle`: a host that has not come to rest by then never will


class Machine:
    """A simulated host. `directory`: where it lives (None: a private one, removed at the end); `xend`: whether the Xen
    daemon is started with it. Else `restart("xend")` starts it later."""

    def __init__(
        self,
        directory: str | None = None,
        *,
        xen: tuple[int, int] = (4, 17),
        cpus: int = 4,
        memory_kib: int = 16 << 20,
        clock: Clock | None = None,
        xend: bool = True,
    ) -> None:
        self.clock: Clock = clock or RealClock()
        self._make: Callable[[], Hypervisor] = lambda: Hypervisor(
            self.clock, xen=xen, cpus=cpus, memory_kib=memory_kib
        )
        self._first: Hypervisor | None = (
            self._make()
        )  # now, so that wrong figures are known before anything runs
        self._xen: HypervisorPart | None = None
        self._store: StorePart | None = None
        self._consoles: ConsolePart | None = None
        self._parts: dict[str, Part] = {}
        self._backends: Backends | None = None
        self._xend = xend
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

    @property
    def hypervisor(self) -> Hypervisor:
        """Xen. ChannelUnavailable: it was killed, or the host is not running."""
        return self._running_xen().hypervisor

    @property
    def bus(self) -> Bus:
        """What domains share. ChannelUnavailable as above."""
        return self._running_xen().bus

    @property
    def xenstored(self) -> Server:
        """The Xen Store's server; after a restart it is another one."""
        if self._store is None:
            raise RuntimeError("the simulated host is not running")
        return self._store.server

    def guest(self, domid: int) -> Guest:
        """The kernel in a domain; for the host's own thread. NoSuchDomain, ChannelUnavailable."""
        return self._running_xen().guests.find(domid)

    @property
    def console_daemon(self) -> ConsoleDaemon:
        """xenconsoled; for the host's own thread. ChannelUnavailable: it was killed."""
        daemon = self._consoles.daemon if self._consoles is not None else None
        if daemon is None:
            raise ChannelUnavailable("the simulated host's xenconsoled does not run", channel="console")
        return daemon

    def runs(self, part: str) -> bool:
        """Whether a part runs; KeyError for what is none."""
        return self._parts[part].runs

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
        """Run a coroutine of the toolstack's on the host's thread and return its result, once the host has settled."""
        loop, toolstack = self._loop, self._toolstack
        if self._thread is None or loop is None or toolstack is None:
            raise RuntimeError("the simulated host is not running")

        async def settled() -> T:
            result = await work(toolstack)
            await self.settle()
            return result

        return asyncio.run_coroutine_threadsafe(settled(), loop).result(TIMEOUT)

    def kill(self, part: str) -> None:
        """End one part, at once and without a word to the others; no error if it does not run. KeyError."""
        self.run(lambda _: self._kill(part))

    def restart(self, part: str, *, forget: bool = False) -> None:
        """Start a part that was killed, or end it and start it. `forget`: xenstored begins with an empty store."""
        self.run(lambda _: self._restart(part, forget))

    def advance(self, seconds: float) -> None:
        """Let held time pass. The host comes to rest at each moment at which something is due."""
        self.run(lambda _: self._advance(seconds))

    # --- on its own thread

    async def settle(self) -> None:
        """Wait until nobody in the host has anything left to do, but wait for time to pass.

        A round is a request to xenstored and its reply: what was on its way before has then arrived. Two rounds in
        which nothing happened are rest.
        """
        quiet = 0
        for _ in range(_ROUNDS):
            before = self._activity()
            if self._toolstack is None or not await self._toolstack.look():
                for _ in range(4):
                    await asyncio.sleep(0)
            for _ in range(2):
                await asyncio.sleep(0)
            busy = self._toolstack is not None and self._toolstack.busy
            quiet = quiet + 1 if self._activity() == before and not busy else 0
            if quiet == 2:
                return

    def _activity(self) -> int:
        if self._xen is None or self._backends is None:
            return 0
        return self._xen.activity + self._backends.steps

    def _running_xen(self) -> HypervisorPart:
        if self._xen is None or not self._xen.runs:
            raise ChannelUnavailable("the simulated hypervisor does not run", channel="hypervisor")
        return self._xen

    async def _advance(self, seconds: float) -> None:
        clock = self.clock
        assert isinstance(clock, HeldClock)
        if seconds < 0:
            raise ValueError("time does not go back")
        await self.settle()  # what others have asked for before is done before
        end = clock.now() + round(seconds * 1e9)
        while (due := clock.next_due()) is not None and due <= end:
            clock.advance_to(due)
            await self.settle()
        clock.advance_to(end)

    async def _kill(self, part: str) -> None:
        await self._parts[part].stop()
        if part == "xenstored":
            assert self._toolstack is not None
            assert self._backends is not None
            await self._toolstack.connect(None)
            await self._backends.close()

    async def _restart(self, part: str, forget: bool) -> None:
        if forget and self._store is not None:
            self._store.forget()
        await self._kill(part)
        await self._parts[part].start()
        if part == "hypervisor":
            assert self._toolstack is not None
            assert self._backends is not None
            assert self._xen is not None
            self._backends.replace_bus(self._xen.bus)
            self._toolstack.follow()
        elif part == "xenstored":
            await self._use_store()
        if part != "xenconsoled" and self._parts["xenconsoled"].runs and self._parts["xenstored"].runs:
            # It has lost its other end. On a real host, too, something starts it again.
            await self._parts["xenconsoled"].stop()
            await self._parts["xenconsoled"].start()

    async def _use_store(self) -> None:
        """Let those who live in Domain 0's kernel, and its toolstack, connect to xenstored."""
        assert self._toolstack is not None
        assert self._backends is not None
        connector = aio.Connector(f"{self.root}/{STORE}")
        await self._toolstack.connect(await StoreClient.open(connector, timeout=TIMEOUT))
        await self._backends.connect(connector, TIMEOUT)

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
        first, self._first = self._first or self._make(), None
        self._xen = HypervisorPart(root, first, self._make)
        self._store = StorePart(root)
        self._consoles = ConsolePart(root)
        self._parts = {
            "hypervisor": self._xen,
            "xenstored": self._store,
            "xenconsoled": self._consoles,
            "xend": XendPart(root),
        }
        toolstack = Toolstack(self._xen, root)
        try:
            await self._xen.start()
            await self._store.start()
            files = self._files = Dom0Files(root, self._xen.hypervisor)
            files.write()
            self._backends = Backends(self._xen.bus, files)
            self._toolstack = toolstack
            toolstack.follow()
            await self._use_store()
            await toolstack.boot()
            await self._parts["xenconsoled"].start()
            if self._xend:
                await self._parts["xend"].start()
            self._started.set()
            await self._stopping.wait()
        finally:
            self._toolstack = None
            await self._end(toolstack)

    async def _end(self, toolstack: Toolstack) -> None:
        """Take all parts down, the last first."""
        await toolstack.close()
        if self._store is not None:
            self._store.forget()
        if self._backends is not None:
            await self._backends.close()
        for part in reversed(_alive(self._parts.values())):
            await part.stop()
        self._xen = self._store = self._consoles = self._backends = self._files = None
        self._parts = {}


def _alive(parts: Iterable[Part]) -> list[Part]:
    return [part for part in parts if part.runs]


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
