"""The operations that change a domain: each goes through the toolstack, under the domain's lock, and is written down.

An operator may do all of this to any domain but Domain 0, which is the host: there it takes an admin.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from purevirt.daemons.xend import arguments as args
from purevirt.daemons.xend.arguments import Argument
from purevirt.daemons.xend.devicework import DEVICE_CHANGES
from purevirt.daemons.xend.work import Done, Later, Operation, Work
from purevirt.model import EventKind, Role, ShutdownMode, Trigger, VcpuCount

__all__ = ["CHANGES"]


async def _suspend(work: Work) -> None:
    await work.toolstack.suspend(work.info)


async def _resume(work: Work) -> None:
    await work.toolstack.resume(work.info)


async def _destroy(work: Work) -> None:
    await work.manager.destroy(work.info)


async def _shutdown(work: Work) -> Later | None:
    answer = await work.toolstack.shutdown(work.info, work.arguments["mode"], work.left)
    return None if answer is None else Later(answer)


async def _reboot(work: Work) -> Later | None:
    answer = await work.toolstack.shutdown(work.info, ShutdownMode.REBOOT, work.left)
    return None if answer is None else Later(answer)


async def _set_memory(work: Work) -> int:
    return await work.toolstack.set_memory(work.info, work.arguments["kib"])


async def _set_max_memory(work: Work) -> None:
    await work.toolstack.set_max_memory(work.info, work.arguments["kib"])


async def _set_vcpus(work: Work) -> VcpuCount:
    return await work.toolstack.set_vcpus(work.info, work.arguments["count"], work.left)


async def _pin_vcpu(work: Work) -> None:
    values = work.arguments
    await work.toolstack.pin_vcpu(work.info, values["vcpu"], values["cpus"], values["soft"])


async def _set_scheduler_parameters(work: Work) -> None:
    values = work.arguments
    await work.toolstack.set_scheduler_parameters(work.info, values["weight"], values["cap"])


async def _rename(work: Work) -> None:
    name = work.arguments["name"]
    await work.toolstack.rename(work.info, name)
    await work.manager.renamed(work.info.handle, name)


async def _rename_inactive(work: Work) -> None:
    await work.manager.rename_inactive(work.ref.handle, work.arguments["name"])


async def _send_sysrq(work: Work) -> None:
    await work.toolstack.send_sysrq(work.info, work.arguments["key"])


async def _inject_nmi(work: Work) -> None:
    await work.toolstack.send_trigger(work.info, Trigger.NMI, 0)


async def _send_trigger(work: Work) -> None:
    await work.toolstack.send_trigger(work.info, work.arguments["trigger"], work.arguments["vcpu"])


def _change(
    handler: Callable[[Work], Awaitable[object]],
    detail: str,
    kind: EventKind = EventKind.CHANGED,
    **arguments: Argument,
) -> Operation:
    return Operation(Role.OPERATOR, handler, True, arguments, Done(kind, lambda work: detail))


def _old_name(work: Work) -> str | None:
    return work.info.name


CHANGES: Mapping[str, Operation] = {
    **DEVICE_CHANGES,
    "suspend": _change(_suspend, "paused", EventKind.SUSPENDED),
    "resume": _change(_resume, "unpaused", EventKind.RESUMED),
    "destroy": _change(_destroy, "destroyed", EventKind.STOPPED),
    # That the guest has agreed to. That it has shut down is an event of its own, when it has.
    "shutdown": Operation(
        Role.OPERATOR,
        _shutdown,
        True,
        {"mode": Argument(args.mode, ShutdownMode.POWEROFF)},
        Done(EventKind.CHANGED, lambda work: f"shutdown {work.arguments['mode'].value}"),
    ),
    "reboot": _change(_reboot, "reboot"),
    "set_memory": _change(_set_memory, "set_memory", kib=Argument(args.integer)),
    "set_max_memory": _change(_set_max_memory, "set_max_memory", kib=Argument(args.integer)),
    "set_vcpus": _change(_set_vcpus, "set_vcpus", count=Argument(args.integer)),
    "pin_vcpu": _change(
        _pin_vcpu,
        "pin_vcpu",
        vcpu=Argument(args.integer),
        cpus=Argument(args.cpus),
        soft=Argument(args.flag, False),
    ),
    "set_scheduler_parameters": _change(
        _set_scheduler_parameters,
        "set_scheduler_parameters",
        weight=Argument(args.integer, None),
        cap=Argument(args.integer, None),
    ),
    "rename": Operation(
        Role.OPERATOR,
        _rename,
        True,
        {"name": Argument(args.text)},
        Done(EventKind.RENAMED, _old_name),
        inactive=_rename_inactive,
    ),
    "send_sysrq": _change(_send_sysrq, "send_sysrq", key=Argument(args.text)),
    "inject_nmi": _change(_inject_nmi, "inject_nmi"),
    "send_trigger": _change(
        _send_trigger, "send_trigger", trigger=Argument(args.trigger), vcpu=Argument(args.integer, 0)
    ),
}
