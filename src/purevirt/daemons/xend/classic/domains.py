"""`/xend/domain`: which domains there are, and what is shown of one."""

from __future__ import annotations

import contextlib
from functools import partial
from uuid import UUID

from purevirt.daemons.xend.classic import making
from purevirt.daemons.xend.classic.answers import STRAY, Answer, not_found
from purevirt.daemons.xend.classic.context import Context, Operation, Operations, perform
from purevirt.daemons.xend.classic.halted import halted_domains
from purevirt.daemons.xend.classic.operations import DOMAIN, DomainOperation
from purevirt.errors import NoSuchDomain
from purevirt.formats.xend_sxpr import XendDomain, domain_name, domain_text, status, vcpus_text
from purevirt.model import DomainInfo
from purevirt.wire import sxp

__all__ = ["get_domain", "get_domains", "post_domain", "post_domains"]

_RESTING = frozenset((0, 3))
"""The states, by xend's number, in which a domain may be that does not run."""

# xend's names for states, by its number; "unknown" has whatever has no name of its own.
_STATES: dict[str, tuple[int, ...]] = {
    "halted": (0,),
    "paused": (1,),
    "running": (2,),
    "suspended": (3,),
    "crashed": (5,),
    "unknown": (4, 6),
    "all": (0, 1, 2, 3, 4, 5, 6),
}


def _order(info: DomainInfo) -> tuple[str, int]:
    return domain_name(info), -1 if info.domid is None else info.domid


async def get_domains(context: Context) -> Answer:
    """The names of the domains in a state (`state=`, running unless said), or with `detail=1` all about them."""
    return await _listing(context, detail="1" in context.arguments.all("detail"))


async def _listing(context: Context, *, detail: bool) -> Answer:
    named = context.arguments.all("state")
    wanted = _STATES.get(
        (named or ["running"])[0].lower(), ()
    )  # a state that xend does not know selects nothing
    reads, halted = context.reads, context.halted
    infos = await reads.domains()
    resting = not _RESTING.isdisjoint(wanted)
    known = await halted.definitions(reads) if detail or resting else {}
    if resting:
        infos = [*infos, *halted_domains(known.values(), infos)]
    chosen = sorted((info for info in infos if status(info) in wanted), key=_order)
    names = tuple(map(domain_name, chosen))
    if not detail:
        return Answer(sxp.text(names), links=names)
    running = iter(await context.facts.all(reads.caller, [info for info in chosen if info.domid is not None]))
    shown: list[XendDomain] = []
    for info in chosen:
        if info.domid is not None:
            shown.append(await halted.described(reads, next(running), known.get(info.handle)))
            continue
        with contextlib.suppress(NoSuchDomain):  # it was deleted between the two looks
            shown.append(await halted.shown(reads, known[info.handle]))
    return Answer(f"({' '.join(map(domain_text, shown))})", links=names)


async def _list(context: Context) -> Answer:
    return await _listing(context, detail=True)


COLLECTION: Operations = {
    "list": _list,
    "create": making.create,
    "new": making.new,
    "restore": making.restore,
}


async def post_domains(context: Context) -> Answer:
    """An operation on all domains, or one that makes a domain."""
    return await perform(context, COLLECTION)


async def _find(context: Context, name: str) -> DomainInfo | None:
    """By name, id or UUID, in this order; and of each the domains that run before those that do not, and these before
    what is being torn down."""
    there = await context.reads.domains()
    known = await context.halted.definitions(context.reads)
    infos = sorted([*there, *halted_domains(known.values(), there)], key=_presence)
    for info in infos:
        if domain_name(info) == name:
            return info
    if name.isascii() and name.isdigit() and len(name) < 10:
        for info in infos:
            if info.domid == int(name):
                return info
    try:
        handle = UUID(name).bytes
    except ValueError:
        return None
    return next((info for info in infos if info.handle == handle), None)


def _presence(info: DomainInfo) -> int:
    if info.domid is None:
        return 1
    return 2 if "d" in (info.flags or "") else 0


def _unknown(name: str) -> Answer:
    return not_found(f"<Fault 3: {name!r}>")


async def get_domain(context: Context, name: str) -> Answer:
    """All about one domain; with `op=vcpuinfo` about its vCPUs. `detail` is accepted, and changes nothing."""
    info = await _find(context, name)
    if info is None:
        return _unknown(name)
    try:
        if context.arguments.all("op")[:1] == ["vcpuinfo"]:
            return await _vcpuinfo(context, info)
        return Answer(domain_text(await _shown(context, info)) + STRAY)
    except NoSuchDomain:
        return _unknown(name)  # it went between the two looks


async def _shown(context: Context, info: DomainInfo) -> XendDomain:
    reads, halted = context.reads, context.halted
    if info.domid is None:
        return await halted.one(reads, info)
    shown = await context.facts.one(reads.caller, info)
    return await halted.described(reads, shown, await halted.find(reads, info.ref))


async def _vcpuinfo(context: Context, info: DomainInfo) -> Answer:
    return Answer(vcpus_text(info.domid, domain_name(info), await context.reads.vcpus(info.ref)))


async def post_domain(context: Context, name: str) -> Answer:
    """An operation on one domain."""
    info = await _find(context, name)
    if info is None:
        return _unknown(name)
    bound: dict[str, Operation] = {name: partial(_of, operation, info) for name, operation in DOMAIN.items()}
    bound["vcpuinfo"] = partial(_of, _vcpuinfo, info)
    return await perform(context, bound)


async def _of(operation: DomainOperation, info: DomainInfo, context: Context) -> Answer:
    return await operation(context, info)
