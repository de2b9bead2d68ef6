"""A supervisor double: `call` and nothing else, over figures that a test sets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from purevirt.errors import Denied, NoSuchDomain, Unsupported
from purevirt.model import (
    BlockDevice,
    Definition,
    DomainInfo,
    DomainRef,
    DomainState,
    DomainStats,
    DomainType,
    HypervisorVersion,
    Interface,
    NodeInfo,
    Scheduler,
    StateReason,
    Vcpu,
    VcpuState,
)
from purevirt.model.access import Caller, Role
from purevirt.model.definitions import DefinitionText
from purevirt.model.events import Event, EventKind, EventSource
from purevirt.model.scheduling import CpuPool, SchedulerParameters

ADMIN = Caller(0, 0, 1, Role.ADMIN)
READER = Caller(1000, 1000, 2, Role.READER)

_STATES = {
    "r": DomainState.RUNNING,
    "b": DomainState.BLOCKED,
    "p": DomainState.PAUSED,
    "s": DomainState.SHUTDOWN,
    "c": DomainState.CRASHED,
}


@dataclass
class Guest:
    """One domain's figures: memory in MiB, CPU time in ns."""

    domid: int
    uuid: str
    name: str | None
    memory: int
    maxmem: int | None
    vcpus: int
    cpu_time: int
    flags: str
    type: DomainType = DomainType.PV
    weight: int = 256
    cap: int | None = 0
    affinity: frozenset[int] = frozenset({0, 1})
    disks: tuple[BlockDevice, ...] = ()
    nics: tuple[Interface, ...] = ()

    @property
    def info(self) -> DomainInfo:
        state = next((_STATES[letter] for letter in "cspbr" if letter in self.flags), DomainState.RUNNING)
        return DomainInfo(
            self.domid,
            UUID(self.uuid).bytes,
            self.name,
            self.type,
            state,
            StateReason.UNKNOWN,
            self.memory * 1024,
            None if self.maxmem is None else self.maxmem * 1024,
            self.vcpus,
            self.vcpus,
            self.cpu_time,
            0,
            self.flags,
        )

    @property
    def cpus(self) -> tuple[Vcpu, ...]:
        state = VcpuState.BLOCKED if "b" in self.flags else VcpuState.RUNNING
        return tuple(
            Vcpu(number, state, self.cpu_time // self.vcpus, number, self.affinity, self.affinity)
            for number in range(self.vcpus)
        )


@dataclass
class Double:
    """The figures of the machine on which the real xend was recorded, and the guests that a test gives it."""

    guests: list[Guest] = field(default_factory=list)
    scheduler: str = "credit"
    changes: list[tuple[str, str | None, dict[str, object]]] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    failing: dict[str, BaseException] = field(default_factory=dict)
    definitions: list[Definition] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    answers: dict[str, object] = field(default_factory=dict)
    before: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)

    async def call(
        self,
        caller: Caller,
        operation: str,
        domain: DomainRef | None,
        arguments: Mapping[str, object],
        timeout: float | None,
    ) -> object:
        if operation in self.before:
            await self.before[operation]()
        if operation in self.failing:
            raise self.failing[operation]
        if caller.role < Role.READER:
            raise Denied(f"user {caller.uid} may not read", operation=operation)
        if hasattr(self, f"read_{operation}"):
            self.reads.append(operation)
            read = getattr(self, f"read_{operation}")
            return read() if domain is None else read(self.find(domain))
        if caller.role < Role.OPERATOR:
            raise Denied(f"user {caller.uid} may not change domains", operation=operation)
        name = None if domain is None else self.find(domain).name
        self.changes.append((operation, name, dict(arguments)))
        return self.answers.get(operation)

    def find(self, domain: DomainRef) -> Guest:
        for guest in self.guests:
            if guest.info.handle == domain.handle:
                return guest
        for known in self.definitions:
            if known.handle == domain.handle:
                return Guest(-1, str(known.uuid), known.name, 0, None, 0, 0, "")
        raise NoSuchDomain(f"domain {domain.name} is gone", domain=domain.name)

    def read_list_domains(self) -> list[DomainInfo]:
        return [guest.info for guest in self.guests]

    def read_list_definitions(self) -> list[Definition]:
        return self.definitions

    def read_definition(self, guest: Guest) -> Definition:
        for known in self.definitions:
            if known.name == guest.name:
                return known
        raise NoSuchDomain(f"domain {guest.name} is not defined", domain=guest.name)

    def read_definition_text(self, guest: Guest) -> DefinitionText:
        return DefinitionText(self.texts[self.read_definition(guest).name], "xen-sxpr", 1)

    def read_domain_stats(self) -> list[DomainStats]:
        return [
            DomainStats(
                guest.info,
                guest.cpus,
                tuple((disk, None) for disk in guest.disks),
                tuple((nic, None) for nic in guest.nics),
            )
            for guest in self.guests
        ]

    def read_domain_info(self, guest: Guest) -> DomainInfo:
        return guest.info

    def read_vcpus(self, guest: Guest) -> tuple[Vcpu, ...]:
        return guest.cpus

    def read_block_devices(self, guest: Guest) -> tuple[BlockDevice, ...]:
        return guest.disks

    def read_interfaces(self, guest: Guest) -> tuple[Interface, ...]:
        return guest.nics

    def read_scheduler_parameters(self, guest: Guest) -> SchedulerParameters:
        if self.scheduler not in ("credit", "credit2"):
            raise Unsupported(f"{self.scheduler} has no such parameters")
        return SchedulerParameters(self.scheduler, guest.weight, guest.cap)

    def read_cpupools(self) -> tuple[CpuPool, ...]:
        return (CpuPool(0, "Pool-0", self.scheduler, len(self.guests), (0, 1)),)

    def read_node_info(self) -> NodeInfo:
        return NodeInfo("x86_64", None, 4096 << 10, 2, 2400, 1, 1, 2, 1)

    def read_version(self) -> HypervisorVersion:
        return HypervisorVersion(4, 1, ".0-stub")

    def read_hostname(self) -> str:
        return "vm"

    def read_free_memory(self) -> int:
        return 2048 << 10

    def read_numa_cells(self) -> tuple[object, ...]:
        return ()

    def read_scheduler(self) -> Scheduler:
        return Scheduler(5, self.scheduler)

    def read_dmesg(self) -> str:
        return "(XEN) stub console ring\n"

    def read_journal(self) -> list[Event]:
        return [
            Event(1, 0.5, EventSource.XEND, EventKind.CHANGED, 1, None, "pv1", "set_memory"),
            Event(2, 61.0, EventSource.STORE, EventKind.STOPPED, 7, None, None),
        ]


def host_files(root: Path) -> str:
    """The files of the recorded machine, below `root`."""
    for path, text in {
        "proc/sys/kernel/ostype": "Linux",
        "proc/sys/kernel/osrelease": "6.18.44-fc-v657",
        "proc/sys/kernel/version": "#1 SMP PREEMPT_DYNAMIC @0",
        "sys/hypervisor/properties/capabilities": "xen-3.0-x86_64 xen-3.0-x86_32p hvm-3.0-x86_32 hvm-3.0-x86_64 ",
        "sys/hypervisor/properties/pagesize": "1000",
        "sys/hypervisor/properties/virtual_start": "ffff800000000000",
        "sys/hypervisor/properties/changeset": "unavailable",
        "sys/hypervisor/compilation/compiler": "gcc",
        "sys/hypervisor/compilation/compiled_by": "peer",
        "sys/hypervisor/compilation/compile_date": "stub",
    }.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return str(root)
