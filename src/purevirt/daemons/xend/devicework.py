"""The operations that add, remove and change devices: what their arguments say, and who may ask for what.

A device comes as text (`formats.device_text`). An operator may give a domain what the host has for that: raw files
below the directories that the settings name, bridges. Scripts, which run as root, block devices and files elsewhere,
which may be anybody's, and devices that other domains serve take an admin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from purevirt.daemons.xend import arguments as args
from purevirt.daemons.xend.arguments import Argument
from purevirt.daemons.xend.managed.descriptions import device_needs_admin
from purevirt.daemons.xend.work import Done, Later, Operation, Work
from purevirt.errors import Denied, Unsupported
from purevirt.formats import device_text
from purevirt.model import AttachedDevice, EventKind, Role
from purevirt.model.description import Disk, Interface

__all__ = ["DEVICE_CHANGES"]


def _device(work: Work, operation: str) -> Disk | Interface:
    field, device = device_text.parse(work.arguments["device"], work.arguments["format"])
    if not isinstance(device, (Disk, Interface)):
        raise Unsupported(
            f"{operation}: {field} cannot be changed while a domain runs, only disks and interfaces",
            operation=operation,
        )
    return device


async def _attach(work: Work) -> Later:
    device = _device(work, "attach_device")
    await _admit(work, "attach_device", device)
    return Later(await work.toolstack.attach_device(work.info, device, work.left))


async def _detach(work: Work) -> Later:
    device = _device(work, "detach_device")
    return Later(await work.toolstack.detach_device(work.info, device, work.arguments["force"], work.left))


async def _update(work: Work) -> AttachedDevice:
    device = _device(work, "update_device")
    await _admit(work, "update_device", device)
    return await work.toolstack.update_device(work.info, device, work.left)


async def _admit(work: Work, operation: str, device: Disk | Interface) -> None:
    """Denied names the field that takes an admin."""
    if work.caller.role >= Role.ADMIN:
        return
    root, roots = work.driver.root, work.roots
    field = await asyncio.to_thread(lambda: next(device_needs_admin(device, root, roots), None))
    if field is not None:
        raise Denied(
            f"{operation}: {field} takes the role admin, and the caller has only "
            f"{work.caller.role.name.lower()}",
            operation=operation,
            domain=work.info.name,
            channel="daemon",
        )


def _change(operation: str, handler: Callable[[Work], Awaitable[object]], **more: Argument) -> Operation:
    arguments = {"device": Argument(args.long_text), "format": Argument(args.text, None), **more}
    return Operation(Role.OPERATOR, handler, True, arguments, Done(EventKind.CHANGED, lambda work: operation))


DEVICE_CHANGES: Mapping[str, Operation] = {
    "attach_device": _change("attach_device", _attach),
    "detach_device": _change("detach_device", _detach, force=Argument(args.flag, False)),
    "update_device": _change("update_device", _update),
}
