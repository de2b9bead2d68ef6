"""What a host can do: its processors, and the guests it can run; and what a guest of one kind can have.

libvirt's `virConnectGetCapabilities` and `virConnectGetDomainCapabilities`. Neighbours: `node` has the figures alone;
`formats.capabilities_xml` writes these values as libvirt's XML and reads them back.
"""

from __future__ import annotations

from purevirt._typing import NamedTuple
from purevirt.model.domain import DomainType

__all__ = [
    "MACHINES",
    "OS_TYPES",
    "Capabilities",
    "Choice",
    "CpuPlace",
    "DomainCapabilities",
    "GuestCapabilities",
    "HostCapabilities",
    "HostCell",
    "HostCpu",
    "Support",
    "Toggle",
    "guest_type",
]

OS_TYPES: dict[DomainType, str] = {DomainType.PV: "xen", DomainType.PVH: "xenpvh", DomainType.HVM: "hvm"}
"""libvirt's name of what runs in a guest of each kind."""

MACHINES: dict[DomainType, str] = {
    DomainType.PV: "xenpv",
    DomainType.PVH: "xenpvh",
    DomainType.HVM: "xenfv",
}
"""libvirt's name of the machine that such a guest sees."""


def guest_type(word: DomainType | str | None) -> DomainType | None:
    """A kind of guest by its own name or its machine's ("pv", "xenpv"). ValueError: there is none of that name."""
    if word is None or isinstance(word, DomainType):
        return word
    for kind, machine in MACHINES.items():
        if word in (kind.value, machine):
            return kind
    known = ", ".join((*(kind.value for kind in DomainType), *MACHINES.values()))
    raise ValueError(f"a kind of guest is one of {known}, not {word!r}")


class HostCpu(NamedTuple):
    """The host's processors.

    `model` is a name of libvirt's CPU map, which a Xen host does not tell; the processor's own name is
    `NodeInfo.model`. `sockets`, `cores` (per socket) and `threads` (per core) are None where only Domain 0's kernel
    could be asked. `features` are those that the hypervisor found, in CPUID's order, with libvirt's names; a guest may
    be shown fewer.
    """

    arch: str
    vendor: str | None = None
    model: str | None = None
    sockets: int | None = None
    cores: int | None = None
    threads: int | None = None
    features: tuple[str, ...] = ()


class CpuPlace(NamedTuple):
    """Where a physical CPU sits. `siblings` are the threads of its core, itself among them; None: not known."""

    id: int
    socket: int | None
    core: int | None
    siblings: tuple[int, ...]


class HostCell(NamedTuple):
    """One NUMA node: KiB of memory, distances to (node, 10 for itself), and its CPUs."""

    id: int
    memory_kib: int | None
    distances: tuple[tuple[int, int], ...]
    cpus: tuple[CpuPlace, ...]


class HostCapabilities(NamedTuple):
    """The host. None: not known to this connection.

    `iommu` says whether devices can be given to HVM guests safely. `power_management` are libvirt's words for how a
    host may sleep ("suspend_mem"); nothing on a Xen host tells them. `live_migration`: guests move while they run.
    """

    cpu: HostCpu
    power_management: tuple[str, ...] | None = None
    iommu: bool | None = None
    live_migration: bool = False
    cells: tuple[HostCell, ...] = ()


class Toggle(NamedTuple):
    """Something that a guest has or has not: by default, and whether its description may say otherwise."""

    default: bool
    changeable: bool


class GuestCapabilities(NamedTuple):
    """One kind of guest that the host runs, on one architecture ("x86_64", "i686", "aarch64", "armv7l").

    `emulator` and `loader` are paths of what is installed: the device model, and what an HVM guest boots from. `pae`
    and `nonpae` say which 32-bit kernels run. `acpi`, `apic`, `hap` (hardware-assisted paging): None where the kind
    of guest has no such thing, or it is not known.
    """

    type: DomainType
    arch: str
    emulator: str | None = None
    loader: str | None = None
    pae: bool = False
    nonpae: bool = False
    acpi: Toggle | None = None
    apic: Toggle | None = None
    hap: Toggle | None = None

    @property
    def os_type(self) -> str:
        """libvirt's word for it: "xen", "xenpvh", "hvm"."""
        return OS_TYPES[self.type]

    @property
    def machine(self) -> str:
        """libvirt's name of the machine: "xenpv", "xenpvh", "xenfv"."""
        return MACHINES[self.type]

    @property
    def word_size(self) -> int:
        """Bits: 32 or 64."""
        return 64 if self.arch in ("x86_64", "aarch64") else 32


class Capabilities(NamedTuple):
    """What a host can do (`virConnectGetCapabilities`)."""

    host: HostCapabilities
    guests: tuple[GuestCapabilities, ...]


class Choice(NamedTuple):
    """What a setting of a device may be: its name in libvirt's XML ("bus") and the values ("xen", "ide")."""

    name: str
    values: tuple[str, ...]


class Support(NamedTuple):
    """Whether a guest can have something ("disk", "graphics"), and in which ways."""

    name: str
    supported: bool
    choices: tuple[Choice, ...] = ()

    def values(self, name: str) -> tuple[str, ...]:
        """The values of one choice; none where there is no such choice."""
        return next((choice.values for choice in self.choices if choice.name == name), ())


class DomainCapabilities(NamedTuple):
    """What a guest of one kind can have on this host (`virConnectGetDomainCapabilities`).

    `emulator` is the path of the device model: the installed one, or where the toolstack would look for it. `max_vcpus`
    is Xen's limit; None: not known. `loaders` are paths of firmware that is installed; None: such a guest has none.
    """

    emulator: str
    type: DomainType
    arch: str
    max_vcpus: int | None
    loaders: tuple[str, ...] | None = None
    devices: tuple[Support, ...] = ()
    features: tuple[Support, ...] = ()

    @property
    def machine(self) -> str:
        """libvirt's name of the machine: "xenpv", "xenpvh", "xenfv"."""
        return MACHINES[self.type]

    def device(self, name: str) -> Support:
        """One kind of device ("disk"); not supported where nothing is said of it."""
        return next((found for found in self.devices if found.name == name), Support(name, False))
