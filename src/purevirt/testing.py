"""Simulated Xen hosts for tests: private, scriptable, deterministic where the clock is held.

    from purevirt import testing
    import purevirt

    with testing.Host(held=True) as host:                  # its clock moves only by host.advance()
        domain = host.create_domain("web", memory_kib=262144, vcpus=2)
        with purevirt.open(host.uri) as connection:
            host.advance(10)
            print(connection.lookup_by_name("web").info().cpu_time_ns)
            host.crash("web")
            print(connection.lookup_by_name("web").state())

It is reached through the very wire formats of a real host, by both halves of the API and by other processes
(`host.uri`). `empty=True` leaves out the domain `test` that `test:///default` has as well.

In each domain runs a guest. It boots when its domain first runs: uses its store's ring and event channel, connects its
disks and interfaces with Domain 0's drivers, prints to its console (`host.console("web")`); then it follows its memory
target and its vCPUs' availability, and shuts down when control/shutdown in the store says so. All of that takes no
simulated time but for the shutdown itself, a tenth of a second after the answer. `refuse_shutdown`, `ignore_shutdown`,
`delay_shutdown` and `crash` make it a difficult one. When a domain has shut down, what `create_domain` was told with
`on_poweroff`, `on_reboot` and `on_crash` is done with it.

A host's parts can be killed and started again, each alone: `host.kill("xenstored")`, `host.restart("xenstored")`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from purevirt.host.clock import HeldClock, RealClock
from purevirt.wire.hypercall.subops import (
    ShutdownCode,
)
from purevirt.wire.xenstore.disknames import disk_number
from purevirt.wire.xenstore.domainnodes import Disk, Interface

if TYPE_CHECKING:
    from purevirt.programs.toolstack import Resident, Toolstack

__all__ = ["Disk", "Host", "Interface", "parse_release"]

Action = Literal["destroy", "restart", "preserve"]
Part = Literal["hypervisor", "xenstored", "xenconsoled", "xend"]


def parse_release(text: str) -> tuple[int, int]:
    """ "4.17" as (4, 17). ValueError for what is no release that can be simulated."""
    major, dot, minor = text.partition(".")
    if dot and major == "4" and minor.isascii() and minor.isdigit() and 14 <= int(minor) <= 22:
        return 4, int(minor)
    raise ValueError(f"{text!r} is no Xen that can be simulated: 4.14 to 4.22")


class Host:
    """A simulated host of one's own. Use it as a context manager, or `start()` and `stop()` it.

    `directory`: where its sockets and files are (None: a private one, removed at the end); `xen`: which release it
    plays; `held`: simulated time moves only by `advance()`; `xend`: whether the Xen daemon runs.
    """

    def __init__(
        self,
        directory: str | None = None,
        *,
        empty: bool = False,
        xen: str = "4.17",
        held: bool = False,
        cpus: int = 4,
        memory_kib: int = 16 << 20,
        xend: bool = True,
    ) -> None:
        from purevirt.programs.machine import Machine  # asyncio comes with it: only where a host is made

        self._clock = HeldClock() if held else RealClock()
        self._machine = Machine(
            directory,
            xen=parse_release(xen),
            cpus=cpus,
            memory_kib=memory_kib,
            clock=self._clock,
            xend=xend,
        )
        self._empty = empty

    def __repr__(self) -> str:
        return f"<testing.Host {self._machine.uri}>"

    def start(self) -> None:
        """Bring it up."""
        self._machine.start()
        if not self._empty:
            self._machine.run(lambda toolstack: toolstack.create_test())

    def stop(self) -> None:
        """Take it down; stopping twice is no error."""
        self._machine.stop()

    def __enter__(self) -> Host:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def uri(self) -> str:
        """What opens it, in this process and in others."""
        return self._machine.uri

    @property
    def root(self) -> str:
        """The directory it lives in."""
        return self._machine.root

    # --- its domains: each is named by its name or its id, also those that the Xen daemon made

    def create_domain(
        self,
        name: str,
        *,
        uuid: UUID | str | None = None,
        type: Literal["pv", "pvh", "hvm"] = "pv",  # noqa: A002 - the field's word, as in xl.cfg
        memory_kib: int = 131072,
        max_memory_kib: int | None = None,
        vcpus: int = 1,
        disks: Sequence[Disk] = (),
        interfaces: Sequence[Interface] = (),
        load: float = 0.1,
        paused: bool = False,
        pv_drivers: bool = True,
        on_poweroff: Action = "destroy",
        on_reboot: Action = "restart",
        on_crash: Action = "preserve",
    ) -> Resident:
        """Build a domain as `xl create` would, and let it run unless `paused`. Its id is in the result.

        `load` is how busy each of its vCPUs is: 0 (idle, blocked) to 1. `pv_drivers`: False is a guest that knows
        nothing of Xen, and uses neither store nor console. `on_…`: what becomes of it when it has shut down; one that
        is restarted gets a new id.
        """
        from purevirt.host.guest.behaviour import Behaviour
        from purevirt.programs.toolstack import Actions

        return self._machine.run(
            lambda toolstack: toolstack.create(
                name,
                uuid=uuid,
                kind=type,
                memory_kib=memory_kib,
                max_memory_kib=max_memory_kib,
                vcpus=vcpus,
                disks=disks,
                interfaces=interfaces,
                load=load,
                paused=paused,
                actions=Actions(on_poweroff, on_reboot, on_crash),
                behaviour=Behaviour(pv_drivers=pv_drivers),
            )
        )

    def destroy(self, domain: str | int) -> None:
        """End a domain at once: it and its nodes are gone."""
        self._machine.run(lambda toolstack: toolstack.destroy(domain))

    def rename(self, domain: str | int, name: str) -> None:
        """Give a domain another name."""
        self._machine.run(lambda toolstack: toolstack.rename(domain, name))

    def pause(self, domain: str | int) -> None:
        """Take a domain off the CPUs."""
        self._hypervise(domain, self._machine.hypervisor.pause)

    def unpause(self, domain: str | int) -> None:
        """Let a paused domain run."""
        self._hypervise(domain, self._machine.hypervisor.unpause)

    def resume(self, domain: str | int) -> None:
        """Let a suspended guest go on, as after a suspend that was cancelled."""
        self._machine.run(lambda toolstack: toolstack.resume(domain))

    def shutdown(self, domain: str | int, reason: str = "poweroff") -> None:
        """Let its kernel stop at once, unasked: "poweroff", "reboot", "suspend", "crash", "watchdog" or "soft_reset".

        What becomes of the domain then is what its `on_…` say. To ask the guest as a toolstack does, write its
        control/shutdown in the store.
        """
        code = ShutdownCode[reason.upper()]
        self._hypervise(domain, lambda domid: self._machine.hypervisor.shutdown(domid, code))

    def crash(self, domain: str | int) -> None:
        """Let its kernel crash: the domain stays, as with `on_crash = "preserve"`."""
        self.shutdown(domain, "crash")

    def refuse_shutdown(self, domain: str | int, answer: str | None = None) -> None:
        """Let the guest take no orders: it says so in its feature nodes, and does nothing.

        With `answer`, it takes them to all appearance, and writes that into control/shutdown instead of "".
        """

        async def work(toolstack: Toolstack) -> None:
            guest = self._machine.guest((await toolstack.locate(domain)).domid)
            guest.behaviour.answer, guest.behaviour.refuses = answer, answer is None
            guest.announce()

        self._machine.run(work)

    def ignore_shutdown(self, domain: str | int, ignore: bool = True) -> None:
        """Let the guest say that it takes orders, and not even answer when one comes."""
        self._behave(domain, ignores=ignore)

    def delay_shutdown(self, domain: str | int, seconds: float) -> None:
        """How long, in simulated time, the guest takes from its answer to an order until it is down: 0.1 s at first."""
        self._behave(domain, shutdown_seconds=seconds)

    def hold_devices(self, domain: str | int, hold: bool = True) -> None:
        """Let the guest use its disks and interfaces, and let go of none that is to be detached."""
        self._behave(domain, holds=hold)

    def console(self, domain: str | int) -> str:
        """What the guest has printed so far, as the console daemon's log has it."""
        from purevirt.daemons.xenconsoled.daemon import log_name
        from purevirt.programs.parts import CONSOLE_LOGS

        async def find(toolstack: Toolstack) -> str:
            return log_name((await toolstack.locate(domain)).name)

        try:
            with open(f"{self.root}/{CONSOLE_LOGS}/{self._machine.run(find)}", "rb") as file:
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def _behave(self, domain: str | int, **changes: object) -> None:
        def change(domid: int) -> None:
            behaviour = self._machine.guest(domid).behaviour
            for name, value in changes.items():
                setattr(behaviour, name, value)

        self._hypervise(domain, change)

    # --- its parts

    def kill(self, part: Part) -> None:
        """End one part of the host, as if it had crashed; the others go on as well as they can.

        "hypervisor": its sockets vanish, and with it every domain but 0, as when a machine is reset.
        "xenstored": its socket vanishes; what it held is kept in a file, as C xenstored's is.
        "xenconsoled": what guests print waits in their rings.
        "xend": its sockets vanish, the read-only store's too; a change that it is making may end first.
        """
        self._machine.kill(part)

    def restart(self, part: Part, *, forget: bool = False) -> None:
        """Start a part that was killed, or kill it and start it.

        The hypervisor comes back without its domains, and the toolstack cleans up after them; xenstored with the
        nodes it had, and guests go on without noticing, unless `forget`: then it comes back with nothing.
        """
        self._machine.restart(part, forget=forget)

    # --- counters and load

    def set_load(self, domain: str | int, load: float, vcpu: int | None = None) -> None:
        """How busy its vCPUs are, 0 (idle: blocked) to 1; of one vCPU or of all."""
        self._hypervise(domain, lambda domid: self._machine.hypervisor.set_load(domid, load, vcpu))

    def count_block(self, domain: str | int, target: str, **counters: int) -> None:
        """Set counters of a disk: rd_req, wr_req, rd_sect, wr_sect (sectors of 512 bytes), f_req, ds_req, oo_req."""
        number = disk_number(target)
        self._hypervise(domain, lambda domid: self._machine.files.set_vbd(domid, number, **counters))

    def count_interface(self, domain: str | int, number: int = 0, **counters: int) -> None:
        """Set counters of an interface's backend (rx_bytes, tx_packets …): its rx is what the guest sent."""
        self._hypervise(domain, lambda domid: self._machine.files.set_vif(domid, number, None, **counters))

    def _hypervise(self, domain: str | int, change: Callable[[int], object]) -> None:
        async def work(toolstack: Toolstack) -> None:
            change((await toolstack.locate(domain)).domid)

        self._machine.run(work)

    # --- time

    def advance(self, seconds: float) -> None:
        """Let simulated time pass, and happen what is due meanwhile; only of a host made with `held=True`."""
        if not isinstance(self._clock, HeldClock):
            raise RuntimeError("this host's time is real: make it with held=True to move it")
        self._machine.advance(seconds)
