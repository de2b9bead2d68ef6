"""`op=…` on one domain: xend's names and arguments, the supervisor's operations.

An operation that xend answered with 202 (Accepted) is awaited here for a moment, so that a refusal is told; a guest
that takes its time to shut down keeps nobody's connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from purevirt.daemons.xend.classic import devices, making, resting
from purevirt.daemons.xend.classic.answers import Answer
from purevirt.daemons.xend.classic.arguments import Arguments, Refusal, integer
from purevirt.daemons.xend.classic.context import Context, unavailable
from purevirt.daemons.xend.classic.drafts import edit
from purevirt.daemons.xend.classic.making import operator
from purevirt.model import DomainInfo, DomainRef
from purevirt.model.description import DomainDescription
from purevirt.wire import sxp

__all__ = ["DOMAIN", "DomainOperation"]

DomainOperation = Callable[[Context, DomainInfo], Awaitable[Answer]]

_REASONS = ("poweroff", "reboot", "suspend", "crash", "halt")
_DEVICE_TIME = 10.0
_DEVICE_POLL = 0.1


def _done(value: sxp.Value | None = None) -> Answer:
    return Answer(None if value is None else sxp.text(value))


def _plain(operation: str, *, accepted: bool = False, **fixed: object) -> DomainOperation:
    """An operation without arguments."""

    async def call(context: Context, info: DomainInfo) -> Answer:
        await context.reads.call(operation, info.ref, fixed)
        return context.accepted if accepted else _done()

    return call


def _with(
    operation: str, read: Callable[[Arguments], dict[str, object]], *, accepted: bool = False
) -> DomainOperation:
    """An operation whose arguments `read` takes from the request."""

    async def call(context: Context, info: DomainInfo) -> Answer:
        await context.reads.call(operation, info.ref, read(context.arguments))
        return context.accepted if accepted else _done()

    return call


def _sized(
    operation: str,
    argument: str,
    field: str,
    change: Callable[[DomainDescription, int], DomainDescription],
    unit: int = 1,
) -> DomainOperation:
    """One that sets a number: of the running domain, or of the definition of one that does not run."""

    async def call(context: Context, info: DomainInfo) -> Answer:
        value = context.arguments.integer(argument) * unit
        if info.domid is None:
            operator(context)
            await edit(context, info, lambda description: change(description, value))
        else:
            await context.reads.call(operation, info.ref, {field: value})
        return _done()

    return call


def _later(words: str, **arguments: Callable[[Arguments, str], object]) -> DomainOperation:
    """One that this daemon has not."""
    operation = unavailable(words, **arguments)

    async def call(context: Context, info: DomainInfo) -> Answer:
        return await operation(context)

    return call


async def _shutdown(context: Context, info: DomainInfo) -> Answer:
    reason = context.arguments.text("reason")
    if reason not in _REASONS:
        raise Refusal(f"Invalid reason: {reason}")
    await context.background.begin(_call(context, "shutdown", info.ref, {"mode": reason}))
    return context.accepted


async def _call(context: Context, operation: str, ref: DomainRef, arguments: dict[str, object]) -> object:
    return await context.reads.call(operation, ref, arguments)


def _key(arguments: Arguments) -> dict[str, object]:
    key = arguments.integer("key")
    if not 0x20 < key < 0x7F:
        raise Refusal(f"Invalid key: {key}")
    return {"key": chr(key)}


async def _pincpu(context: Context, info: DomainInfo) -> Answer:
    which, cpumap = context.arguments.text("vcpu"), context.arguments.text("cpumap")
    if info.domid is None:
        operator(context)
        only = None if which == "all" else integer(which)
        where = [integer(cpu) for cpu in cpumap.split(",")]
        await edit(context, info, lambda description: resting.with_pinned(description, only, where))
        return _done(0)
    everyone = await context.reads.vcpus(info.ref) if which == "all" else ()
    vcpus = [vcpu.number for vcpu in everyone] or [integer(which)]
    cpus = [integer(cpu) for cpu in cpumap.split(",")]
    for vcpu in vcpus:
        await context.reads.call("pin_vcpu", info.ref, {"vcpu": vcpu, "cpus": cpus, "soft": False})
    return _done(0)


def _scheduler_get(scheduler: str, *keys: str) -> DomainOperation:
    """xend answered with the text of a Python dictionary, in the order of its hash table: cap before weight."""

    async def call(context: Context, info: DomainInfo) -> Answer:
        if info.domid is None:
            shown = await context.halted.one(context.reads, info)
            values: dict[str, object] = {"cap": shown.cpu_cap, "weight": shown.cpu_weight}
        else:
            parameters = await _parameters(context, info, scheduler)
            values = {"cap": parameters.cap or 0, "weight": parameters.weight}
        return _done("{" + ", ".join(f"'{key}': {values[key]}" for key in keys) + "}")

    return call


def _scheduler_set(scheduler: str, *keys: str) -> DomainOperation:
    async def call(context: Context, info: DomainInfo) -> Answer:
        given = [key for key in keys if context.arguments.all(key)] or ["weight"]
        values: dict[str, object] = {key: context.arguments.integer(key) for key in given}
        if info.domid is None:
            operator(context)
            await edit(context, info, lambda description: resting.with_scheduling(description, values))
            return _done(0)
        await _parameters(context, info, scheduler)
        await context.reads.call("set_scheduler_parameters", info.ref, values)
        return _done(0)

    return call


async def _parameters(context: Context, info: DomainInfo, scheduler: str) -> Any:
    found = await context.reads.scheduler(info.ref)
    if found is None or found.scheduler != scheduler:
        runs = "another" if found is None else found.scheduler
        raise Refusal(f"the scheduler of this host is {runs}, not {scheduler}")
    return found


async def _wait_for_devices(context: Context, info: DomainInfo) -> Answer:
    """Until every disk and interface is connected, or a deadline has passed.

    The guest of a paused domain connects nothing. xend's clients ask between `create` and `unpause`: whoever made the
    domain has waited for Domain 0's part.
    """
    if "p" in (info.flags or ""):
        return context.accepted
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _DEVICE_TIME
    while True:
        missing = [f"vbd {one.number}" for one in await context.reads.disks(info.ref) if not one.connected]
        missing += [f"vif {one.number}" for one in await context.reads.nics(info.ref) if not one.connected]
        if not missing:
            return context.accepted
        if loop.time() >= deadline:
            raise Refusal(f"not connected after {_DEVICE_TIME:g} s: {', '.join(missing)}")
        await asyncio.sleep(_DEVICE_POLL)


_SEDF = "the scheduler of this host is not sedf: Xen has none since 4.6"
_NEVER = "not supported: this operation never worked in xend either"

DOMAIN: dict[str, DomainOperation] = {
    "pause": _plain("suspend"),
    "unpause": _plain("resume"),
    "shutdown": _shutdown,
    "destroy": _plain("destroy", accepted=True),
    "rename": _with("rename", lambda arguments: {"name": arguments.text("name")}, accepted=True),
    "reset": _plain("send_trigger", accepted=True, trigger="reset", vcpu=0),
    "sysrq": _with("send_sysrq", _key, accepted=True),
    "wait_for_devices": _wait_for_devices,
    "pincpu": _pincpu,
    "set_vcpus": _sized("set_vcpus", "vcpus", "count", resting.with_vcpus),
    "maxmem_set": _sized("set_max_memory", "memory", "kib", resting.with_max_memory, 1024),
    "mem_target_set": _sized("set_memory", "target", "kib", resting.with_memory, 1024),
    "domain_sched_credit_get": _scheduler_get("credit", "cap", "weight"),
    "domain_sched_credit_set": _scheduler_set("credit", "weight", "cap"),
    "domain_sched_credit2_get": _scheduler_get("credit2", "weight"),
    "domain_sched_credit2_set": _scheduler_set("credit2", "weight"),
    "devices": devices.devices,
    "start": making.start,
    "delete": making.delete,
    "save": making.save,
    "dump": making.dump,
    "migrate": making.migrate,
    "device_create": devices.device_create,
    "device_configure": devices.device_configure,
    "device_destroy": devices.device_destroy,
    # What Xen has no more, and what was dead in xend.
    "cpu_sedf_get": _later(_SEDF),
    "cpu_sedf_set": _later(
        _SEDF,
        period=Arguments.integer,
        slice=Arguments.integer,
        latency=Arguments.integer,
        extratime=Arguments.integer,
        weight=Arguments.integer,
    ),
    "do_get_pauseflag": _later(_NEVER),
    "do_set_pauseflag": _later(_NEVER),
    "usb_add": _later(_NEVER),
    "usb_del": _later(_NEVER),
    "configure": _later(_NEVER),
    "vif_limit_set": _later(_NEVER),
}
