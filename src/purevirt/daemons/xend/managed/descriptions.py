"""Descriptions that come from callers: read, completed with a UUID, and refused if they ask for what cannot be, or for
what the caller may not have.

An operator may describe a domain with what the host has for that: images and kernels below the directories that the
settings name, bridges. What reaches further into Domain 0 (scripts and programs that run there as root, other files
and devices, hardware) takes an admin; what an admin has put into a definition may stay when an operator changes it.
"""

from __future__ import annotations

import asyncio
import os
import uuid as uuids
from collections.abc import Iterator
from typing import NamedTuple

from purevirt.daemons.xend.toolstack import naming
from purevirt.errors import Denied, InvalidConfig
from purevirt.formats import conversion
from purevirt.model import Definition, Role
from purevirt.model.description import Disk, DomainDescription, Interface, rules
from purevirt.model.description.comparing import Difference, differences, steps

__all__ = ["Described", "admit", "definition_of", "device_needs_admin", "read", "renamed"]

_WORDS = frozenset(
    (
        "name",
        "type",
        "uuid",
        "title",
        "summary",
        "metadata",
        "generation_id",
        "memory",
        "cpus",
        "scheduling",
        "lifecycle",
        "features",
        "clock",
        "block_device_start",
        "graphics",
        "no_graphics",
        "video",
        "inputs",
        "keyboards",
        "emulated_keyboard",
        "displays",
        "usb",
        "usb_version",
    )
)
"""Fields that reach no further than the domain itself."""

_BOOT_FILES = frozenset(("kernel", "ramdisk", "device_tree"))
_BOOT_WORDS = frozenset(("command_line", "order", "firmware"))
_BOOTLOADERS = ("pygrub", "pvgrub")
_SERIALS = ("pty", "none", "null")


class Described(NamedTuple):
    """A description with its text, in a format that can be written."""

    description: DomainDescription
    text: str
    format: str

    @property
    def handle(self) -> bytes:
        """The domain's UUID's bytes."""
        assert self.description.uuid is not None
        return self.description.uuid.bytes

    @property
    def name(self) -> str:
        """The domain's name."""
        return self.description.name


def read(text: str, format_: str | None, operation: str) -> Described:
    """Read one; a UUID is made up if there is none. ConfigError, InvalidConfig (every problem, by its field)."""
    format_ = format_ or conversion.recognise(text, file="description")
    document = conversion.parse(text, format_, file="description")
    description = document.description
    if not conversion.FORMATS[format_][1]:
        format_ = "xml"
        document = conversion.format(description, format_)
    if description.uuid is None:
        description = description._replace(uuid=uuids.uuid4())
        document = document.updated(description)
    found = [f"{problem.path}: {problem.message}" for problem in rules.problems(description)]
    if not found:
        try:
            naming.check_name(description.name)
            description.name.encode()
        except InvalidConfig as error:
            found = [f"name: {error}"]
        except UnicodeEncodeError:
            found = [f"name: {description.name!r} is no UTF-8"]
    if found:
        raise InvalidConfig(
            f"{operation}: {'; '.join(found)}",
            problems=tuple(found),
            operation=operation,
            domain=description.name[:80] or None,
        )
    return Described(description, document.text(), format_)


def renamed(text: str, format_: str, name: str) -> str:
    """The text with another name in it."""
    document = conversion.parse(text, format_, file="definition")
    return document.updated(document.description._replace(name=name)).text()


def definition_of(described: Described, *, autostart: bool = False) -> Definition:
    """What a listing tells of it."""
    description = described.description
    memory, cpus = description.memory, description.cpus
    most = cpus.maximum or cpus.online
    return Definition(
        described.handle,
        description.name,
        0,
        described.format,
        description.type,
        memory.kib,
        memory.max_kib or memory.kib,
        cpus.online,
        most,
        autostart,
    )


# --- who may


async def admit(
    described: Described,
    previous: DomainDescription | None,
    role: Role,
    root: str,
    roots: tuple[str, ...],
    operation: str,
) -> None:
    """Refuse what takes an admin, unless it was there before. Denied names the field."""
    if role >= Role.ADMIN:
        return
    base = previous or DomainDescription(described.name)
    found = await asyncio.to_thread(lambda: next(_forbidden(base, described.description, root, roots), None))
    if found is not None:
        raise Denied(
            f"{operation}: {found} takes the role admin, and the caller has only {role.name.lower()}",
            operation=operation,
            domain=described.name,
            channel="daemon",
        )


def _forbidden(
    base: DomainDescription, description: DomainDescription, root: str, roots: tuple[str, ...]
) -> Iterator[str]:
    """What of the differences between two descriptions takes an admin."""
    for difference in differences(base, description):
        if difference.new is None:
            continue  # taken away
        words = steps(difference.path)
        field = str(words[0])
        if field in _WORDS:
            continue
        if field == "boot":
            yield from _boot(difference, root, roots)
        elif field == "disks":
            for disk in set(description.disks).difference(base.disks):
                yield from device_needs_admin(disk, root, roots)
        elif field == "interfaces":
            for interface in set(description.interfaces).difference(base.interfaces):
                yield from device_needs_admin(interface, root, roots)
        elif field == "serials" and all(serial.connected in _SERIALS for serial in description.serials):
            continue
        else:
            yield difference.path


def _boot(difference: Difference, root: str, roots: tuple[str, ...]) -> Iterator[str]:
    word = difference.path.partition(".")[2].partition(".")[0].partition("[")[0]
    if word in _BOOT_WORDS or (word == "bootloader" and difference.new in _BOOTLOADERS):
        return
    if word in _BOOT_FILES and isinstance(difference.new, str):
        if below(root, roots, difference.new):
            return
        yield f"{difference.path} {difference.new!r}, which is not {_where(roots)},"
    else:
        yield difference.path


def device_needs_admin(device: Disk | Interface, root: str, roots: tuple[str, ...]) -> Iterator[str]:
    """Which of a device's fields take an admin, in words."""
    if device.script is not None and device.script != "vif-bridge":
        yield f"script {device.script!r}"
    if device.backend_domain is not None:
        yield f"backend domain {device.backend_domain!r}"
    if isinstance(device, Disk) and device.source is not None and not below(root, roots, device.source):
        yield f"source {device.source!r}, which is not {_where(roots)},"


def _where(roots: tuple[str, ...]) -> str:
    return f"below {' or '.join(roots)}" if roots else "below any directory for that"


def below(root: str, roots: tuple[str, ...], source: str) -> bool:
    """Whether a file lies below one of the directories. Where it leads to counts: whoever may write there could have
    put a link."""
    path = os.path.realpath(root + source)
    return any(path.startswith(os.path.realpath(root + allowed) + "/") for allowed in roots)
