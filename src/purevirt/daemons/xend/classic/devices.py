"""`op=device_…`: what a domain has is added, changed and taken away, live and, where it is defined, in its definition.

xend kept both in step for every domain that it managed, and so is it here: the definition is made ready first, the
running domain changed then, and the definition written last, with the revision that it was read in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from purevirt.daemons.xend.classic.answers import Answer
from purevirt.daemons.xend.classic.arguments import Refusal
from purevirt.daemons.xend.classic.context import Context
from purevirt.daemons.xend.classic.drafts import Draft, draft, write
from purevirt.daemons.xend.classic.making import FORMAT, operator
from purevirt.formats import device_text
from purevirt.formats.xend_sxpr import XendDevice, disk, nic, vm
from purevirt.model import AttachedDevice, BlockDevice, DomainInfo, Interface
from purevirt.model.description import DomainDescription
from purevirt.wire import sxp
from purevirt.wire.xenstore.disknames import disk_number

__all__ = ["device_configure", "device_create", "device_destroy", "devices"]

_PATIENCE = 100.0
"""How long, in seconds, a script of Domain 0 and a guest may take over a device, as in xend."""

_Items = tuple[Any, ...]
_Live = BlockDevice | Interface


async def _draft(
    context: Context, info: DomainInfo, field: str, change: Callable[[_Items], _Items]
) -> Draft | None:
    """None: the domain is not defined."""

    def changed(description: DomainDescription) -> DomainDescription:
        fields: dict[str, Any] = {field: change(getattr(description, field))}
        return description._replace(**fields)

    return await draft(context, info, changed)


async def _device(context: Context) -> tuple[str, str, Any]:
    """The text of the device that was sent, the field that it belongs in, and its record."""
    operator(context)
    await context.arguments.expression("config")
    text = context.arguments.text("config")
    field, record = device_text.parse(text, FORMAT, file="config")
    return text, field, record


def _number(field: str, record: Any, index: int) -> int | None:
    """xend's number of a device of a definition, the `index`th of its kind."""
    if field == "disks":
        try:
            return disk_number(record.target)
        except ValueError:
            return None
    number: int | None = getattr(record, "number", None)
    return index if number is None else number


def _place(field: str, items: _Items, named: str) -> int | None:
    """Which device of a definition is meant by a number, or by a disk's target or an interface's address."""
    for index, item in enumerate(items):
        words = {str(_number(field, item, index)), str(getattr(item, "target", None) or "")}
        words.add(str(getattr(item, "mac", None) or "").lower())
        if named and (named in words or named.lower() in words):
            return index
    return None


def _place_of(live: _Live, items: _Items) -> int | None:
    """Where a definition has a device of the running domain. An interface's number is given by whoever attaches it, and
    is no place in a definition, but for those that the domain started with; its address is its own."""
    if isinstance(live, BlockDevice):
        return _place("disks", items, live.target)
    if live.mac is not None and (at := _place("interfaces", items, live.mac)) is not None:
        return at
    at = _place("interfaces", items, str(live.number))
    return at if at is not None and items[at].mac is None else None


def _named(field: str, record: Any) -> str:
    """What a device that was sent goes by. An interface without an address is a new one."""
    return str(record.target if field == "disks" else getattr(record, "mac", None) or "")


async def device_create(context: Context, info: DomainInfo) -> Answer:
    """Add a device. The answer is its expression."""
    text, field, record = await _device(context)

    def more(items: _Items) -> _Items:
        if _place(field, items, _named(field, record)) is not None:
            raise Refusal(
                f"device {_named(field, record)} is in the definition of domain {info.name} already"
            )
        return (*items, record)

    made = await _draft(context, info, field, more)
    if info.domid is None:
        await write(context, made)
        return Answer(vm.format_device(field, record))
    added = await _change(context, info, "attach_device", {"device": text, "format": FORMAT})
    if made is not None and field == "interfaces" and record.mac is None and added is not None:
        record = record._replace(mac=added.mac)  # the one that it was given
        made = await _draft(context, info, field, more)
    await write(context, made)
    return Answer(await _shown(context, info, added))


async def device_configure(context: Context, info: DomainInfo) -> Answer:
    """Change a device. `dev` says which, and the expression must not say another."""
    text, field, record = await _device(context)
    dev = context.arguments.text("dev")
    if field == "disks" and dev not in (record.target, str(_number(field, record, 0))):
        raise Refusal(f"dev: {dev} is not the {record.target} that config is about")
    live = None
    if info.domid is not None and field in ("disks", "interfaces"):
        live = await _found(context, info, field, dev)
        if isinstance(live, Interface) and live.mac is not None:
            if record.mac is None:
                text, record = _with_mac(record, live.mac)
            elif record.mac.lower() != live.mac.lower():
                raise Refusal(f"dev: {dev} is {live.mac}, not {record.mac}")

    def other(items: _Items) -> _Items:
        at = _place(field, items, dev) if live is None else _place_of(live, items)
        if at is not None:
            return (*items[:at], record, *items[at + 1 :])
        if live is None:
            raise Refusal(f"Device {dev} not connected")
        return items  # it was attached to the running domain alone

    made = await _draft(context, info, field, other)
    if info.domid is not None:
        await _change(context, info, "update_device", {"device": text, "format": FORMAT})
    await write(context, made)
    return Answer()


def _with_mac(record: Any, mac: str) -> tuple[str, Any]:
    record = record._replace(mac=mac)
    return vm.format_device("interfaces", record), record


async def device_destroy(context: Context, info: DomainInfo) -> Answer:
    """Take a device away; with `rm_cfg` out of the definition as well, which alone a halted domain has."""
    operator(context)
    arguments = context.arguments
    kind, dev = arguments.text("type"), arguments.text("dev")
    force, rm_cfg = bool(arguments.integer("force")), bool(arguments.integer("rm_cfg"))
    field = vm.device_field(kind)
    if field is None:
        raise Refusal(f"type: {kind[:40]!r} is no kind of device, expected vbd, vif, pci, …")
    if info.domid is None and not rm_cfg:
        raise Refusal(
            f"domain {info.name} is halted: its devices are only in its definition, expected rm_cfg=1"
        )
    live = None if info.domid is None else await _found(context, info, field, dev)

    def fewer(items: _Items) -> _Items:
        at = _place(field, items, dev) if live is None else _place_of(live, items)
        if at is not None:
            return items[:at] + items[at + 1 :]
        if live is None:
            raise Refusal(f"Device {dev} not connected")
        return items

    made = await _draft(context, info, field, fewer) if rm_cfg else None
    if live is not None:
        device, form = _text_of(live)
        await _change(context, info, "detach_device", {"device": device, "format": form, "force": force})
    await write(context, made)
    return Answer()


async def _change(
    context: Context, info: DomainInfo, operation: str, arguments: dict[str, object]
) -> AttachedDevice | None:
    """Have the running domain's device changed."""
    return cast("AttachedDevice | None", await context.reads.call(operation, info.ref, arguments, _PATIENCE))


async def _found(context: Context, info: DomainInfo, field: str, dev: str) -> _Live:
    """A device of a running domain, by name or number. Refusal: it has none such."""
    if field == "disks":
        for one in await context.reads.disks(info.ref):
            if dev in (str(one.number), one.target):
                return one
    elif field == "interfaces":
        for each in await context.reads.nics(info.ref):
            if dev.lower() in (str(each.number), (each.mac or "").lower()):
                return each
    else:
        raise Refusal(
            f"type: {field} cannot be changed while a domain runs, only disks and interfaces (vbd, vif)"
        )
    raise Refusal(f"Device {dev} not connected")


def _text_of(live: _Live) -> tuple[str, str]:
    """Enough text to find it by, and its format."""
    if isinstance(live, BlockDevice):
        return device_text.named_disk(live.target)
    return device_text.named_interface(live.mac or live.number)


async def _listed(context: Context, info: DomainInfo, kind: str) -> list[tuple[int, XendDevice]]:
    if info.domid is None:
        return []
    if kind == "vbd":
        return [(one.number, disk(one)) for one in await context.reads.disks(info.ref)]
    if kind == "vif":
        return [(one.number, nic(one)) for one in await context.reads.nics(info.ref)]
    return []


def _expression(device: XendDevice) -> tuple[sxp.Value, ...]:
    return (device.kind, *device.settings)


async def _shown(context: Context, info: DomainInfo, made: AttachedDevice | None) -> str | None:
    """What was attached, as it stands now; nothing if it went meanwhile."""
    if made is None:
        return None
    kind = "vbd" if made.kind == "disk" else "vif"
    listed = dict(await _listed(context, info, kind))
    return sxp.text(_expression(listed[made.number])) if made.number in listed else None


async def devices(context: Context, info: DomainInfo) -> Answer:
    """The devices of a kind, each with its number: of a halted domain those of its definition."""
    kind = context.arguments.text("type")
    if info.domid is None:
        shown = [one for one in (await context.halted.one(context.reads, info)).devices if one.kind == kind]
        return Answer(sxp.text([(_of(one, index), _expression(one)) for index, one in enumerate(shown)]))
    listed = await _listed(context, info, kind)
    return Answer(sxp.text([(number, _expression(device)) for number, device in listed]))


def _of(device: XendDevice, index: int) -> int:
    """A disk's number is in its name, any other's its place."""
    name = str(dict(device.settings).get("dev", "")).partition(":")[0]
    try:
        return disk_number(name) if device.kind in ("vbd", "tap") else index
    except ValueError:
        return index
