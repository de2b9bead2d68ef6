"""Changing a definition as a person would: its text is read, changed where it says something else, and defined again.

The revision that was read goes along, so two who do this at the same time cannot undo each other's work. Both halves of
the API run these coroutines.
"""

from __future__ import annotations

from collections.abc import Callable

from purevirt._typing import TYPE_CHECKING, Any, NamedTuple
from purevirt.errors import Denied, InvalidConfig, NoSuchDevice, OperationError

if TYPE_CHECKING:
    from purevirt.drivers.base import Driver
    from purevirt.model import AttachedDevice, Definition, DefinitionText, DomainRef
    from purevirt.model.description import DomainDescription

__all__ = [
    "Draft",
    "changed",
    "draft",
    "edited",
    "source",
    "told",
    "with_device",
    "with_max_memory",
    "with_max_vcpus",
    "with_memory",
    "with_vcpus",
    "without_device",
]


async def source(driver: Driver, ref: DomainRef) -> DefinitionText:
    """A definition's text, with passwords if this user may see them. NoSuchDomain: it has none."""
    try:
        return await driver.definition_text(ref, True)
    except Denied:
        return await driver.definition_text(ref, False)


class Draft(NamedTuple):
    """A definition's text, changed and not yet written; `revision` is that of the text it was made from."""

    text: str
    format: str
    revision: int

    async def define(self, driver: Driver) -> Definition:
        """Write it. Conflict: somebody else was faster."""
        return await driver.define(self.text, self.format, self.revision)


async def draft(
    driver: Driver, ref: DomainRef, change: Callable[[DomainDescription], DomainDescription]
) -> Draft:
    """Change a definition's text. NoSuchDomain: the domain is not defined; and what `change` raises."""
    from purevirt.formats import conversion

    known = await source(driver, ref)
    document = conversion.parse(known.text, known.format, file="definition")
    return Draft(document.updated(change(document.description)).text(), known.format, known.revision)


async def edited(
    driver: Driver, ref: DomainRef, change: Callable[[DomainDescription], DomainDescription]
) -> Definition:
    """Change a definition, and write it."""
    return await (await draft(driver, ref, change)).define(driver)


def changed(description: DomainDescription, what: str, device: str, format_: str | None) -> DomainDescription:
    """With a device attached, detached or updated, which comes as text."""
    from purevirt.formats import device_text

    field, found = device_text.parse(device, format_)
    if what == "detach":
        return without_device(description, field, found)
    return with_device(description, field, found, replace=what == "update")


def told(device: str, format_: str | None) -> AttachedDevice:
    """Such a device, as a change of a running domain would tell of it."""
    from purevirt.formats import device_text
    from purevirt.model import AttachedDevice

    field, found = device_text.parse(device, format_)
    mac = getattr(found, "mac", None)
    name = getattr(found, "key", None) or mac or str(getattr(found, "number", None) or "")
    kind = {"disks": "disk", "interfaces": "interface"}.get(field, field)
    source = getattr(found, "source", None) or getattr(found, "bridge", None)
    return AttachedDevice(kind, getattr(found, "number", None) or 0, name, mac, source)


def with_device(
    description: DomainDescription, field: str, device: Any, *, replace: bool = False
) -> DomainDescription:
    """With a device more, or, to `replace` it, another in place of the one with the same name. OperationError: there is
    one already. NoSuchDevice: there is none."""
    items = list(getattr(description, field))
    at = _place(items, device)
    if replace:
        if at is None:
            raise _none(description, field, device)
        items[at] = device
    elif at is not None:
        raise OperationError(
            f"{_shown(device)} is in the definition of domain {description.name} already",
            domain=description.name,
        )
    else:
        items.append(device)
    return _with(description, field, items)


def without_device(description: DomainDescription, field: str, device: Any) -> DomainDescription:
    """Without the device with that name. NoSuchDevice."""
    items = list(getattr(description, field))
    at = _place(items, device)
    if at is None:
        raise _none(description, field, device)
    del items[at]
    return _with(description, field, items)


def with_memory(description: DomainDescription, kib: int) -> DomainDescription:
    """With so much memory to start with. InvalidConfig: more than its maximum."""
    memory = description.memory
    most = memory.max_kib or memory.kib
    if kib > most:
        raise InvalidConfig(
            f"{kib} KiB are more than the {most} KiB that domain {description.name} may hold",
            domain=description.name,
        )
    return description._replace(memory=memory._replace(kib=kib, max_kib=most))


def with_max_memory(description: DomainDescription, kib: int) -> DomainDescription:
    """With so much memory at most; it starts with no more."""
    memory = description.memory
    return description._replace(memory=memory._replace(kib=min(memory.kib, kib), max_kib=kib))


def with_vcpus(description: DomainDescription, count: int) -> DomainDescription:
    """With so many vCPUs online at the start. InvalidConfig: more than it may have."""
    cpus = description.cpus
    most = cpus.maximum or cpus.online
    if not 1 <= count <= most:
        raise InvalidConfig(
            f"domain {description.name} may have 1 to {most} vCPUs, not {count}", domain=description.name
        )
    return description._replace(cpus=cpus._replace(online=count, maximum=most))


def with_max_vcpus(description: DomainDescription, count: int) -> DomainDescription:
    """With so many vCPUs at most; it starts with no more."""
    cpus = description.cpus
    return description._replace(cpus=cpus._replace(online=min(cpus.online, count), maximum=count))


def _with(description: DomainDescription, field: str, items: list[Any]) -> DomainDescription:
    fields: dict[str, Any] = {field: tuple(items)}
    return description._replace(**fields)


def _place(items: list[Any], device: Any) -> int | None:
    """Where the device is that is meant: a disk by its target, an interface by its address, or else its number."""
    for index, item in enumerate(items):
        key = getattr(item, "key", None)
        if key is not None:
            if key == device.key:
                return index
        elif getattr(device, "mac", None) is not None:
            if (item.mac or "").lower() == device.mac.lower():
                return index
        elif getattr(device, "number", None) is not None:
            if device.number == (index if item.number is None else item.number):
                return index
        elif item == device:
            return index
    return None


def _none(description: DomainDescription, field: str, device: Any) -> NoSuchDevice:
    return NoSuchDevice(
        f"{_shown(device)} is not in the definition of domain {description.name}", domain=description.name
    )


def _shown(device: Any) -> str:
    key = getattr(device, "key", None)
    if key is not None:
        return f"{type(device).__name__.lower()} {key}"
    name = getattr(device, "mac", None) or getattr(device, "number", None)
    return (
        f"{type(device).__name__.lower()} {name}"
        if name is not None
        else f"such a {type(device).__name__.lower()}"
    )
