"""What is one value of the model each: its key, whether it is the image's, where it is in the model, and its kind.

A `Kind` is a pair of functions. `read` takes pairs and a key, and gives the model's value, None if nothing is said.
`write` gives what is to be written, or None where it cannot be said, which is then carried.

Source of the keys: what xend of Xen 4.1 took and showed (XendConfig.py).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import purevirt.wire.sxp as sxp
from purevirt._typing import Any, NamedTuple
from purevirt.formats.xend_sxpr.vm.pairs import Pairs
from purevirt.formats.xend_sxpr.vm.source import sayable
from purevirt.model.description import Action, TimerMode, TscMode

__all__ = ["IMAGE", "TOP", "Kind", "Row", "mebibytes"]


class Kind(NamedTuple):
    """How a value is read, and how it is written."""

    read: Callable[[Pairs, str], Any]
    write: Callable[[Any], sxp.Value]


class Row(NamedTuple):
    """A key, the record of the model ("": the description) and the field in it, and the kind."""

    key: str
    record: str
    field: str
    kind: Kind


def mebibytes(kib: int) -> int:
    """As many MiB as hold so many KiB."""
    return -(-kib // 1024)


def _inverted(pairs: Pairs, key: str) -> bool | None:
    found = pairs.flag(key)
    return None if found is None else not found


def _mib(pairs: Pairs, key: str) -> int | None:
    found = pairs.number(key)
    return found * 1024 if found else None  # 0: as much as is needed


TEXT = Kind(lambda pairs, key: pairs.text(key), lambda text: text if text and sayable(text) else None)
NUMBER = Kind(lambda pairs, key: pairs.number(key), lambda number: number if number >= 0 else None)
SIGNED = Kind(lambda pairs, key: pairs.number(key, signed=True), lambda number: number)
FLAG = Kind(lambda pairs, key: pairs.flag(key), int)
INVERTED = Kind(_inverted, lambda value: int(not value))
MIB = Kind(_mib, lambda kib: mebibytes(kib) if kib > 0 else None)


def _numbered(members: tuple[Enum, ...]) -> Kind:
    """One of an enum's values, by its number."""

    def read(pairs: Pairs, key: str) -> Enum | None:
        number = pairs.number(key)
        if number is None:
            return None
        if number >= len(members):
            found = pairs.take(key)
            assert found is not None
            pairs.fail(f"{key}: expected a number from 0 to {len(members) - 1}, found {number}", found[1])
        return members[number]

    return Kind(read, members.index)


_ACTIONS = {member.value: member for member in Action if member is not Action.SOFT_RESET}


def _action(pairs: Pairs, key: str) -> Action | None:
    """xend kept some of the words with underscores."""
    word = pairs.text(key)
    if word is None:
        return None
    found = _ACTIONS.get(word.lower().replace("_", "-"))
    if found is None:
        pair = pairs.take(key)
        assert pair is not None
        pairs.fail(f"{key}: expected one of {', '.join(_ACTIONS)}, found {word!r}", pair[1])
    return found


ACTION = Kind(_action, lambda action: action.value if action.value in _ACTIONS else None)

TOP = tuple(
    Row(*row)
    for row in (
        ("shadow_memory", "memory", "shadow_kib", MIB),
        ("cpu_weight", "scheduling", "weight", NUMBER),
        ("cpu_cap", "scheduling", "cap", NUMBER),
        ("pool_name", "scheduling", "cpupool", TEXT),
        ("description", "", "summary", TEXT),
        ("on_poweroff", "lifecycle", "on_poweroff", ACTION),
        ("on_reboot", "lifecycle", "on_reboot", ACTION),
        ("on_crash", "lifecycle", "on_crash", ACTION),
        ("bootloader", "boot", "bootloader", TEXT),
        ("security_label", "security", "label", TEXT),
    )
)
"""Pairs of the domain."""

IMAGE = tuple(
    Row(*row)
    for row in (
        ("ramdisk", "boot", "ramdisk", TEXT),
        ("acpi", "features", "acpi", FLAG),
        ("apic", "features", "apic", FLAG),
        ("pae", "features", "pae", FLAG),
        ("hap", "features", "hap", FLAG),
        ("oos", "features", "oos", FLAG),
        ("xen_platform_pci", "features", "xen_platform_pci", FLAG),
        ("nomigrate", "features", "migratable", INVERTED),
        ("localtime", "clock", "local", FLAG),
        ("rtc_timeoffset", "clock", "offset_seconds", SIGNED),
        ("tsc_mode", "clock", "tsc", _numbered(tuple(TscMode))),
        ("timer_mode", "clock", "timer", _numbered(tuple(TimerMode))),
        ("hpet", "clock", "hpet", FLAG),
        ("vpt_align", "clock", "align_timers", FLAG),
        ("nographic", "", "no_graphics", FLAG),
        ("usb", "", "usb", FLAG),
        ("pci_msitranslate", "pci_defaults", "msi_translate", FLAG),
        ("pci_power_mgmt", "pci_defaults", "power_management", FLAG),
    )
)
"""Pairs of the image; xend took them of the domain as well, where the image had none."""
