"""What a host can do, from what its hypervisor answers: wire structs in, model out. Pure.

Which guests run is Xen's own word for it (XENVER_capabilities): "xen-3.0-x86_64" is a PV guest, "hvm-3.0-x86_32p" an
HVM guest with a 32-bit kernel that uses PAE. Where HVM guests run, PVH guests do (since Xen 4.10). The rest is
physinfo's capability bits and the files that are installed.

What a guest can have is libxl's to say, and it tells nobody; the tables below are from xl.cfg(5), the same for Xen 4.14
to 4.22. How many virtual CPUs there may be was tried on Xen 4.17 and 4.20: one more, and Xen answers EINVAL.
"""

from __future__ import annotations

from collections.abc import Sequence

from purevirt._typing import NamedTuple
from purevirt.errors import Unsupported
from purevirt.model.capabilities import (
    Capabilities,
    Choice,
    CpuPlace,
    DomainCapabilities,
    GuestCapabilities,
    HostCapabilities,
    HostCell,
    HostCpu,
    Support,
    Toggle,
)
from purevirt.model.domain import DomainType
from purevirt.model.node import NumaCell
from purevirt.wire.hypercall import messages as wire
from purevirt.wire.hypercall.cpufeatures import feature_names
from purevirt.wire.hypercall.subops import PhysCap

__all__ = ["Tools", "domain_capabilities", "guests", "host", "host_seen"]

_VENDORS = {
    "AuthenticAMD": "AMD",
    "GenuineIntel": "Intel",
    "HygonGenuine": "Hygon",
    "CentaurHauls": "Centaur",
    "Shanghai": "Shanghai",
}
_ARCHES = {"x86_64": "x86_64", "x86_32": "i686", "aarch64": "aarch64", "armv7l": "armv7l"}

_MAX_VCPUS = {DomainType.PV: 8192, DomainType.PVH: 128, DomainType.HVM: 128}

_DISK = Choice("diskDevice", ("disk", "cdrom"))
_CHANNEL = Support("channel", True, (Choice("type", ("pty", "unix")),))
_DEVICES: dict[DomainType, tuple[Support, ...]] = {
    DomainType.PV: (
        Support("disk", True, (_DISK, Choice("bus", ("xen",)))),
        Support("graphics", True, (Choice("type", ("sdl", "vnc")),)),
        Support("video", True, (Choice("modelType", ("xen",)),)),
    ),
    DomainType.PVH: (
        Support("disk", True, (Choice("diskDevice", ("disk",)), Choice("bus", ("xen",)))),
        Support("graphics", True, (Choice("type", ("sdl", "vnc")),)),
        Support("video", True, (Choice("modelType", ("xen",)),)),
    ),
    DomainType.HVM: (
        Support("disk", True, (_DISK, Choice("bus", ("ide", "scsi", "xen")))),
        Support("graphics", True, (Choice("type", ("sdl", "vnc", "spice")),)),
        Support("video", True, (Choice("modelType", ("vga", "cirrus", "qxl", "none")),)),
    ),
}


class Tools(NamedTuple):
    """Paths of what is installed in Domain 0; None: it is not."""

    device_model: str | None = None
    hvm_loader: str | None = None
    ovmf: str | None = None


# --- the host -----------------------------------------------------------------------------------------------


def host_seen(machine: str, vendor: str | None) -> HostCapabilities:
    """The host as Domain 0's kernel alone can tell."""
    return HostCapabilities(HostCpu(machine, _VENDORS.get(vendor or "")), live_migration=_migrates(machine))


def host(
    info: wire.PhysInfo,
    cells: Sequence[NumaCell],
    topology: Sequence[wire.CpuTopology],
    machine: str,
    vendor: str | None,
) -> HostCapabilities:
    """The host as the hypervisor tells it; what the processors are called comes from files."""
    cores, threads = max(info.cores_per_socket, 1), max(info.threads_per_core, 1)
    cpu = HostCpu(
        machine,
        _VENDORS.get(vendor or ""),
        None,
        max(info.nr_cpus // (cores * threads), 1),
        cores,
        threads,
        feature_names(info.hw_cap),
    )
    return HostCapabilities(
        cpu,
        None,
        bool(info.capabilities & PhysCap.DIRECTIO),
        _migrates(machine),
        tuple(_cell(found, cells, topology) for found in cells),
    )


def _migrates(machine: str) -> bool:
    """Xen saves and moves guests on x86 only."""
    return machine == "x86_64"


def _cell(cell: NumaCell, cells: Sequence[NumaCell], topology: Sequence[wire.CpuTopology]) -> HostCell:
    known = {other.id for other in cells}
    distances = tuple(
        (node, far) for node, far in enumerate(cell.distances) if far is not None and node in known
    )
    own = set(cell.cpus)
    return HostCell(
        cell.id,
        cell.memory_kib,
        distances,
        tuple(_place(place, topology) for place in topology if place.cpu in own),
    )


def _place(place: wire.CpuTopology, topology: Sequence[wire.CpuTopology]) -> CpuPlace:
    if place.socket is None or place.core is None:
        return CpuPlace(place.cpu, None, None, ())
    siblings = tuple(
        other.cpu for other in topology if (other.socket, other.core) == (place.socket, place.core)
    )
    return CpuPlace(place.cpu, place.socket, place.core, siblings)


# --- its guests ---------------------------------------------------------------------------------------------


def guests(words: str, phys_caps: int | None, tools: Tools) -> tuple[GuestCapabilities, ...]:
    """Which guests run, from Xen's words for it. `phys_caps` is None where no hypercall was made."""
    pv: dict[str, set[str]] = {}
    hvm: dict[str, set[str]] = {}
    for word in words.split():
        kind, _, rest = word.partition("-")
        name = rest.partition("-")[2]
        arch = _ARCHES.get(name.removesuffix("p"))
        if arch is not None and kind in ("xen", "hvm"):
            (pv if kind == "xen" else hvm).setdefault(arch, set()).add("pae" if name.endswith("p") else "")
    found = [_pv(arch, widths, tools) for arch, widths in pv.items()]
    for arch, widths in hvm.items():
        found += _hvm(arch, widths, _hap(phys_caps), tools)
    return tuple(found)


def _hap(phys_caps: int | None) -> Toggle | None:
    """It can be left out where Xen has shadow paging as well."""
    if phys_caps is None or not phys_caps & PhysCap.HAP:
        return None
    return Toggle(True, bool(phys_caps & PhysCap.SHADOW))


def _pv(arch: str, widths: set[str], tools: Tools) -> GuestCapabilities:
    """What Xen on Arm calls "xen" runs in hardware, as a PVH guest; libxl makes one of whatever is asked for."""
    kind = DomainType.PVH if arch in ("aarch64", "armv7l") else DomainType.PV
    return GuestCapabilities(kind, arch, tools.device_model, pae="pae" in widths)


def _hvm(arch: str, widths: set[str], hap: Toggle | None, tools: Tools) -> list[GuestCapabilities]:
    narrow = arch == "i686"
    return [
        GuestCapabilities(
            DomainType.HVM,
            arch,
            tools.device_model,
            tools.hvm_loader,
            narrow and "pae" in widths,
            narrow and "" in widths,
            Toggle(True, True),
            Toggle(True, False),
            hap,
        ),
        GuestCapabilities(DomainType.PVH, arch, tools.device_model, hap=hap),
    ]


# --- what a guest can have ----------------------------------------------------------------------------------


def domain_capabilities(
    known: Capabilities, kind: DomainType | None, arch: str | None, tools: Tools, default_model: str
) -> DomainCapabilities:
    """What a guest of this kind, on this architecture, can have. None: PV and the host's own, where it runs them.

    `default_model` is where the toolstack looks for a device model that is not installed. Unsupported: the host runs
    no such guest.
    """
    guest = _choose(known, kind, arch)
    iommu = bool(known.host.iommu)
    arm = guest.arch in ("aarch64", "armv7l")
    loaders = None
    if guest.type is DomainType.HVM:
        loaders = tuple(path for path in (tools.ovmf, tools.hvm_loader) if path is not None)
    return DomainCapabilities(
        guest.emulator or default_model,
        guest.type,
        guest.arch,
        None if arm else _MAX_VCPUS[guest.type],
        loaders,
        (*_DEVICES[guest.type], _host_devices(guest.type, iommu, arm), _CHANNEL),
        (
            Support("gic", arm),
            Support("vmcoreinfo", False),
            Support("genid", guest.type is DomainType.HVM),
            Support("sev", False),
            Support("sgx", False),
        ),
    )


def _choose(known: Capabilities, kind: DomainType | None, arch: str | None) -> GuestCapabilities:
    fit = [
        guest
        for guest in known.guests
        if (kind is None or guest.type is kind) and (arch is None or guest.arch == arch)
    ]
    own = known.host.cpu.arch
    fit.sort(key=lambda guest: (guest.type is not DomainType.PV, guest.arch != own))
    if fit:
        return fit[0]
    wanted = " ".join(word for word in ("" if kind is None else kind.value, arch or "") if word)
    runs = ", ".join(f"{guest.type.value} {guest.arch}" for guest in known.guests) or "none"
    raise Unsupported(
        f"domain_capabilities: this host runs no {wanted} guests; it runs {runs}",
        operation="domain_capabilities",
    )


def _host_devices(kind: DomainType, iommu: bool, arm: bool) -> Support:
    """PCI devices are given to PV guests by pciback alone; to HVM guests where an IOMMU keeps them in."""
    if kind is DomainType.PVH or arm:
        return Support("hostdev", False)
    kinds = ("usb", "pci") if iommu or kind is DomainType.PV else ("usb",)
    choices = [Choice("mode", ("subsystem",)), Choice("subsysType", kinds), Choice("capsType", ())]
    if "pci" in kinds:
        choices.append(Choice("pciBackend", ("xen",)))
    return Support("hostdev", True, tuple(choices))
