"""The parts of a simulated host that can be killed and started again, each alone.

They meet only at sockets and files below the host's root, as the daemons of a real host do: so one may be gone while
the others run. `machine` puts them together.

- `HypervisorPart`: Xen itself, with the bus and the kernels in its domains. When it is killed, its domains are gone.
- `StorePart`: xenstored. When it is killed, what it held is written to a file, as C xenstored's is; requests under way
  and transactions are lost.
- `ConsolePart`: xenconsoled.
- `XendPart`: the Xen daemon, with the read-only store. What it is doing when it is killed may end, for some seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from purevirt.daemons.xenconsoled import ConsoleDaemon
from purevirt.daemons.xenstored import Rings, Server, Shell, state
from purevirt.errors import ChannelUnavailable
from purevirt.host.bus import Bus
from purevirt.host.bus_server import BusServer
from purevirt.host.dom0files import write_boot_id
from purevirt.host.guests import Guests
from purevirt.host.hypercall_server import HypercallServer
from purevirt.host.hypervisor import Hypervisor

if TYPE_CHECKING:
    from purevirt.daemons.xend.service import Service

__all__ = [
    "BUS",
    "CONSOLE_LOGS",
    "HYPERCALLS",
    "MEMORY",
    "STATE",
    "STORE",
    "ConsolePart",
    "HypervisorPart",
    "Part",
    "StorePart",
    "XendPart",
]

HYPERCALLS = "dev/xen/privcmd"
BUS = "dev/xen/bus"
MEMORY = "dev/xen/memory"
STORE = "var/run/xenstored/socket"
STATE = "var/lib/xenstored/state"
CONSOLE_LOGS = "var/log/xen/console"


class Part(Protocol):
    """Something that runs, or does not."""

    @property
    def runs(self) -> bool: ...

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class HypervisorPart:
    """Xen, its bus, and the guests in its domains; `make` gives a hypervisor that has just booted."""

    def __init__(self, root: str, first: Hypervisor, make: Callable[[], Hypervisor]) -> None:
        self._root = root
        self._make = make
        self._first: Hypervisor | None = first
        self._hypercalls: HypercallServer | None = None
        self._server: BusServer | None = None
        self._hypervisor = first
        self._bus: Bus | None = None
        self._guests: Guests | None = None

    @property
    def runs(self) -> bool:
        return self._server is not None

    @property
    def hypervisor(self) -> Hypervisor:
        """Xen. ChannelUnavailable: it was killed."""
        if not self.runs:
            raise ChannelUnavailable("the simulated hypervisor does not run", channel="hypervisor")
        return self._hypervisor

    @property
    def bus(self) -> Bus:
        """What domains share. ChannelUnavailable."""
        if self._bus is None:
            raise ChannelUnavailable("the simulated hypervisor does not run", channel="bus")
        return self._bus

    @property
    def guests(self) -> Guests:
        """The kernels in its domains. ChannelUnavailable."""
        if self._guests is None:
            raise ChannelUnavailable("the simulated hypervisor does not run", channel="hypervisor")
        return self._guests

    @property
    def activity(self) -> int:
        """Grows with all that happens on the bus and in the guests."""
        if self._server is None or self._bus is None or self._guests is None:
            return 0
        return self._bus.channels.sent + self._server.served + self._guests.steps

    async def start(self) -> None:
        hypervisor = self._first or self._make()
        self._first = None
        hypercalls = HypercallServer(hypervisor, f"{self._root}/{HYPERCALLS}")
        await hypercalls.start()  # first: it finds out whether another host lives here
        try:
            bus = Bus(hypervisor, f"{self._root}/{MEMORY}")
            server = BusServer(bus, f"{self._root}/{BUS}")
            await server.start()
        except BaseException:
            await hypercalls.stop()
            raise
        self._hypervisor, self._bus, self._guests = hypervisor, bus, Guests(hypervisor, bus)
        self._hypercalls, self._server = hypercalls, server
        write_boot_id(self._root)

    async def stop(self) -> None:
        hypercalls, server, guests = self._hypercalls, self._server, self._guests
        self._hypercalls = self._server = self._bus = self._guests = None
        if guests is not None:
            guests.stop()
        if hypercalls is not None:
            await hypercalls.stop()
        if server is not None:
            await server.stop()
            with contextlib.suppress(OSError):
                os.unlink(f"{self._root}/{MEMORY}")


class StorePart:
    """xenstored. The first start is with an empty store, whatever another host has left there."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._shell: Shell | None = None
        self._fresh = True
        self.server = Server()

    @property
    def runs(self) -> bool:
        return self._shell is not None

    async def start(self) -> None:
        root = self._root
        self.server = Server()
        rings = Rings(self.server, f"{root}/{BUS}", f"{root}/{MEMORY}")
        if not self._fresh:
            rings.unsent_of.update(state.read(f"{root}/{STATE}", self.server) or {})
        self.discard()
        self._fresh = False
        shell = Shell(self.server, rings)
        try:
            shell.listen(f"{root}/{STORE}")
            rings.connect()
        except BaseException:
            shell.close()
            raise
        asyncio.get_running_loop().add_reader(shell.fileno(), shell.run_once)
        shell.run_once()
        self._shell = shell

    async def stop(self) -> None:
        """Without a word to its clients, who find their connections closed."""
        shell, self._shell = self._shell, None
        if shell is not None:
            assert shell.rings is not None
            asyncio.get_running_loop().remove_reader(shell.fileno())
            if not self._fresh:
                state.save(f"{self._root}/{STATE}", self.server, shell.rings.unsent_to)
            shell.close()

    def forget(self) -> None:
        """Let the next start be with an empty store: what there is now will not be saved."""
        self._fresh = True
        self.discard()

    def discard(self) -> None:
        """Remove the saved store."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._root}/{STATE}")


class ConsolePart:
    """xenconsoled."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.daemon: ConsoleDaemon | None = None

    @property
    def runs(self) -> bool:
        return self.daemon is not None

    async def start(self) -> None:
        root = self._root
        daemon = ConsoleDaemon(
            f"{root}/{STORE}", f"{root}/{BUS}", f"{root}/{MEMORY}", f"{root}/{CONSOLE_LOGS}"
        )
        await daemon.start()
        self.daemon = daemon

    async def stop(self) -> None:
        daemon, self.daemon = self.daemon, None
        if daemon is not None:
            await daemon.stop()


class XendPart:
    """xend, as on a real host. Its files are below the root, its journal begins anew with each start."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._service: Service | None = None

    @property
    def runs(self) -> bool:
        return self._service is not None

    async def start(self) -> None:
        from purevirt.daemons.xend.service import Service  # h11 comes with it: only where it is used
        from purevirt.daemons.xend.settings import Settings

        service = Service(Settings(root=self._root))
        await service.start()
        self._service = service

    async def stop(self) -> None:
        service, self._service = self._service, None
        if service is not None:
            await service.stop()
