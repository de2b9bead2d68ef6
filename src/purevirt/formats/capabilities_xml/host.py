"""<capabilities>: the host, and the guests it runs."""

from __future__ import annotations

from purevirt.formats.xml import Asked, Made, element
from purevirt.model.capabilities import (
    MACHINES,
    OS_TYPES,
    Capabilities,
    CpuPlace,
    GuestCapabilities,
    HostCapabilities,
    HostCell,
    HostCpu,
    Toggle,
)
from purevirt.model.cpulist import cpu_list
from purevirt.model.domain import DomainType

__all__ = ["read", "write"]

_FLAGS = ("pae", "vmx", "svm")  # which libvirt tells once more, in an element of their own


# --- writing ------------------------------------------------------------------------------------------------


def write(capabilities: Capabilities) -> Made:
    """The document."""
    return element(
        "capabilities", "", [_host(capabilities.host), *(_guest(guest) for guest in capabilities.guests)]
    )


def _host(host: HostCapabilities) -> Made:
    parts = [_cpu(host.cpu)]
    if host.power_management is not None:
        parts.append(element("power_management", "", [element(word) for word in host.power_management]))
    if host.iommu is not None:
        parts.append(element("iommu", support=_yes(host.iommu)))
    if host.live_migration:
        parts.append(element("migration_features", "", [element("live")]))
    if host.cells:
        cells = element("cells", "", [_cell(cell) for cell in host.cells], num=len(host.cells))
        parts.append(element("topology", "", [cells]))
    return element("host", "", parts)


def _cpu(cpu: HostCpu) -> Made:
    parts = [element("arch", cpu.arch)]
    flags = [element(flag) for flag in _FLAGS if flag in cpu.features]
    if flags:
        parts.append(element("features", "", flags))
    if cpu.model is not None:
        parts.append(element("model", cpu.model))
    if cpu.vendor is not None:
        parts.append(element("vendor", cpu.vendor))
    if cpu.sockets is not None and cpu.cores is not None and cpu.threads is not None:
        parts.append(element("topology", sockets=cpu.sockets, dies=1, cores=cpu.cores, threads=cpu.threads))
    parts += [element("feature", name=name) for name in cpu.features]
    return element("cpu", "", parts)


def _cell(cell: HostCell) -> Made:
    parts = []
    if cell.memory_kib is not None:
        parts.append(element("memory", cell.memory_kib, unit="KiB"))
    if cell.distances:
        siblings = [element("sibling", id=node, value=far) for node, far in cell.distances]
        parts.append(element("distances", "", siblings))
    parts.append(element("cpus", "", [_place(place) for place in cell.cpus], num=len(cell.cpus)))
    return element("cell", "", parts, id=cell.id)


def _place(place: CpuPlace) -> Made:
    if place.socket is None or place.core is None:
        return element("cpu", id=place.id)
    return element(
        "cpu",
        id=place.id,
        socket_id=place.socket,
        die_id=0,  # Xen knows of none
        core_id=place.core,
        siblings=cpu_list(place.siblings),
    )


def _guest(guest: GuestCapabilities) -> Made:
    arch = [element("wordsize", guest.word_size)]
    if guest.emulator is not None:
        arch.append(element("emulator", guest.emulator))
    if guest.loader is not None:
        arch.append(element("loader", guest.loader))
    arch += [element("machine", guest.machine), element("domain", type="xen")]
    features = [element(name) for name in ("pae", "nonpae") if getattr(guest, name)]
    toggles = (("acpi", guest.acpi), ("apic", guest.apic), ("hap", guest.hap))
    features += [
        element(name, default="on" if toggle.default else "off", toggle=_yes(toggle.changeable))
        for name, toggle in toggles
        if toggle is not None
    ]
    parts = [element("os_type", guest.os_type), element("arch", "", arch, name=guest.arch)]
    if features:
        parts.append(element("features", "", features))
    return element("guest", "", parts)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


# --- reading ------------------------------------------------------------------------------------------------


def read(document: Asked) -> Capabilities:
    """The document's values."""
    return Capabilities(
        _read_host(document.need("host")), tuple(_read_guest(guest) for guest in document.all("guest"))
    )


def _read_host(host: Asked) -> HostCapabilities:
    power, iommu = host.find("power_management"), host.find("iommu")
    return HostCapabilities(
        _read_cpu(host.need("cpu")),
        None if power is None else tuple(child.name for child in power.children),
        None if iommu is None else iommu.word("support", ("yes", "no")) == "yes",
        host.find("migration_features", "live") is not None,
        tuple(_read_cell(cell) for cell in host.all("topology", "cells", "cell")),
    )


def _read_cpu(cpu: Asked) -> HostCpu:
    topology = cpu.find("topology")
    sockets = cores = threads = None
    if topology is not None:
        sockets, cores, threads = map(topology.number, ("sockets", "cores", "threads"))
    features = [_named(feature) for feature in cpu.all("feature")]
    flags = [flag.name for flag in cpu.all("features") for flag in flag.children if flag.name in _FLAGS]
    features = [flag for flag in flags if flag not in features] + features
    arch = cpu.need("arch")
    return HostCpu(
        arch.content or arch.fail("expected the name of an architecture"),
        cpu.said("vendor"),
        cpu.said("model"),
        sockets,
        cores,
        threads,
        tuple(features),
    )


def _named(found: Asked) -> str:
    return found.attributes.get("name") or found.fail("name: expected a word, found nothing")


def _read_cell(cell: Asked) -> HostCell:
    memory = cell.find("memory")
    if memory is not None:
        memory.word("unit", ("KiB",))
    return HostCell(
        cell.number("id"),
        None if memory is None else memory.content_number(),
        tuple(
            (sibling.number("id"), sibling.number("value")) for sibling in cell.all("distances", "sibling")
        ),
        tuple(_read_place(place) for place in cell.all("cpus", "cpu")),
    )


def _read_place(place: Asked) -> CpuPlace:
    socket, core = place.maybe_number("socket_id"), place.maybe_number("core_id")
    return CpuPlace(
        place.number("id"), socket, core, _read_ranges(place, place.attributes.get("siblings", ""))
    )


def _read_ranges(place: Asked, text: str) -> tuple[int, ...]:
    cpus: list[int] = []
    for run in text.split(",") if text else ():
        ends = run.split("-")
        if not all(end.isascii() and end.isdigit() and len(end) <= 5 for end in ends) or len(ends) > 2:
            place.fail(f"siblings: expected CPUs as 0-3,6, found {text[:40]!r}")
        cpus += range(int(ends[0]), int(ends[-1]) + 1)
    return tuple(cpus)


def _read_guest(guest: Asked) -> GuestCapabilities:
    os_type, arch = guest.need("os_type"), guest.need("arch")
    domain = arch.find("domain")
    if domain is not None:
        domain.word("type", ("xen",))
    kinds = {word: kind for kind, word in OS_TYPES.items()} | {"linux": DomainType.PV}
    kind = kinds.get(os_type.content)
    if kind is None:
        os_type.fail(f"expected {' or '.join(OS_TYPES.values())}, found {os_type.content[:40]!r}")
    machines = [machine.content for machine in arch.all("machine")]
    if MACHINES[DomainType.PVH] in machines:
        kind = DomainType.PVH
    return GuestCapabilities(
        kind,
        _named(arch),
        arch.said("emulator"),
        arch.said("loader"),
        guest.find("features", "pae") is not None,
        guest.find("features", "nonpae") is not None,
        *(_read_toggle(guest.find("features", name)) for name in ("acpi", "apic", "hap")),
    )


def _read_toggle(feature: Asked | None) -> Toggle | None:
    if feature is None:
        return None
    return Toggle(
        feature.word("default", ("on", "off")) == "on", feature.word("toggle", ("yes", "no")) == "yes"
    )
