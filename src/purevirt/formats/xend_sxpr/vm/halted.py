"""A definition as xend would show it: a domain that does not run.

The same writers as for `(vm …)`; what xend showed of every domain, said or not, stands with the values it had then.
"""

from __future__ import annotations

from purevirt._typing import Any
from purevirt.formats.xend_sxpr.domain import Image, XendDevice, XendDomain
from purevirt.formats.xend_sxpr.vm.binding import canonical
from purevirt.model.description import DomainDescription
from purevirt.model.domain import DomainInfo, DomainState, DomainType, StateReason

__all__ = ["halted"]

_WEIGHT = 256
_POOL = "Pool-0"
_MOST_CPUS = 4096
_SHOWN = (("superpages", 0), ("nomigrate", 0), ("tsc_mode", 0))
"""What xend showed of every image."""


def halted(description: DomainDescription, *, autostart: bool = False) -> XendDomain:
    """What is shown of a defined domain that does not run. Its UUID has to be said; `autostart`: it starts with the
    daemon, which is kept beside the description."""
    assert description.uuid is not None, "a definition has a UUID"
    made = canonical(description)
    memory, cpus, scheduling = description.memory, description.cpus, description.scheduling
    most = cpus.online if cpus.maximum is None else cpus.maximum
    info = DomainInfo(
        None,
        description.uuid.bytes,
        description.name,
        description.type,
        DomainState.SHUTOFF,
        StateReason.UNKNOWN,
        memory.kib,
        memory.kib if memory.max_kib is None else memory.max_kib,
        None,
        most,
        None,
    )
    ordered = sorted(made.devices, key=lambda device: device[0] != "vif")  # as xend had them
    image = made.image[1] if made.image is not None else ()
    settings: tuple[Any, ...] = tuple(image[1:]) if isinstance(image, tuple) else ()
    said = {pair[0] for pair in settings}
    hvm = description.type is not DomainType.PV
    pairs: dict[str, Any] = {key: expression[1] for key, expression in made.pairs.items()}
    return XendDomain(
        info,
        cpu_weight=_WEIGHT if scheduling.weight is None else scheduling.weight,
        cpu_cap=scheduling.cap or 0,
        pool_name=scheduling.cpupool or _POOL,
        cpus=_pinning(cpus.affinity, max(min(most, _MOST_CPUS), 0)),
        on_poweroff=pairs.get("on_poweroff", "destroy"),
        on_reboot=pairs.get("on_reboot", "restart"),
        on_crash=pairs.get("on_crash", "destroy"),
        description=pairs.get("description", ""),
        bootloader=pairs.get("bootloader", ""),
        bootloader_args=pairs.get("bootloader_args", ""),
        shadow_memory=pairs.get("shadow_memory", 0),
        vcpu_avail=(1 << max(min(cpus.online, _MOST_CPUS), 0)) - 1,
        on_xend_start="start" if autostart else "ignore",
        image=Image(
            "hvm" if hvm else "linux",
            (*settings, *(pair for pair in _SHOWN if pair[0] not in said)),
        ),
        devices=tuple(XendDevice(str(device[0]), _settings(device)) for device in ordered),
        security_label=pairs.get("security_label"),
    )


def _settings(device: tuple[Any, ...]) -> tuple[Any, ...]:
    return device[1:]


def _pinning(affinity: tuple[str, ...], vcpus: int) -> tuple[tuple[int, ...], ...]:
    """The CPUs of each vCPU; none: it runs anywhere, or where only the host knows ("node:1")."""
    lists = affinity * vcpus if len(affinity) == 1 else affinity[:vcpus]
    sets = tuple(map(_cpus, lists))
    return (*sets, *((),) * (vcpus - len(sets)))


def _cpus(text: str) -> tuple[int, ...]:
    chosen: set[int] = set()
    for part in text.split(","):
        first, _, last = part.removeprefix("^").partition("-")
        ends = (first, last or first)
        if not all(end.isascii() and end.isdigit() and int(end) < _MOST_CPUS for end in ends):
            return ()
        numbers = range(int(ends[0]), int(ends[1]) + 1)
        chosen = chosen.difference(numbers) if part.startswith("^") else chosen.union(numbers)
    return tuple(sorted(chosen))
