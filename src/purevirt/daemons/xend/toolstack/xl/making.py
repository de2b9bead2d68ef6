"""A domain made by `xl create` or `xl restore`, paused, and with no process of `xl` that waits for its end.

If that fails, what there is of the domain is destroyed by the toolstack, as any domain is: `xl` cleans up after itself
when it can, but not when it was killed. A domain of the same UUID that was there before is left alone (`xl` makes a
second one without a word). A domain id that `xl` spoke of counts as the new one's, since the hypervisor may have
forgotten it when the store has not.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from uuid import UUID

from purevirt.daemons.xend.toolstack.base import Toolstack
from purevirt.daemons.xend.toolstack.builder import Report
from purevirt.daemons.xend.toolstack.xl import process, progress
from purevirt.daemons.xend.toolstack.xl.runs import Run
from purevirt.daemons.xend.toolstack.xl.tool import Tool
from purevirt.errors import OperationError, XenError
from purevirt.model import DomainInfo, DomainState, StateReason
from purevirt.model.description import DomainDescription

__all__ = ["make"]

_DOMID = re.compile(r"\bDomain (\d+):")

_log = logging.getLogger(__name__)


async def make(
    tool: Tool,
    toolstack: Toolstack,
    uuid: UUID,
    words: Callable[[Run], Sequence[str]],
    description: DomainDescription | None,
    report: Report,
    seconds: float | None,
) -> int:
    """Run `xl` with these words; the id of the new domain with that UUID."""
    handle = uuid.bytes
    before = await _alike(tool, handle)
    steps = progress.making(report)
    spoken_of: set[int] = set()

    def heard(line: str) -> None:
        spoken_of.update(int(found) for found in _DOMID.findall(line))
        steps.line(line)

    async with tool.run(str(uuid)) as run:
        try:
            output = await tool(run, words(run), heard, seconds=seconds, description=description)
            made = await _alike(tool, handle) - before
            if len(made) != 1:
                raise OperationError(f"xl has made {len(made)} domains instead of one", detail=output or None)
        except BaseException:
            await process.to_its_end(_undo(tool, toolstack, handle, before, spoken_of))
            raise
    (domid,) = made
    return domid


async def _alike(tool: Tool, handle: bytes) -> frozenset[int]:
    """The ids of the domains with that UUID."""
    infos = await tool.host.hypercalls.domain_infos()
    return frozenset(info.domid for info in infos if info.handle == handle)


async def _undo(
    tool: Tool, toolstack: Toolstack, handle: bytes, before: frozenset[int], spoken_of: set[int]
) -> None:
    """Destroy what was made. What cannot be is logged: whoever is told of the failure is told why it failed."""
    try:
        known = await tool.host.hypercalls.domain_infos()
        doomed = {info.domid for info in known if info.handle == handle} - before
        for domid in spoken_of - {info.domid for info in known}:
            if await _is_noted(tool, domid):
                doomed.add(domid)
        for domid in sorted(doomed):
            await toolstack.destroy(_unseen(domid, handle))
    except XenError as error:
        _log.error("what was made of domain %s could not be removed: %s", UUID(bytes=handle), error)


async def _is_noted(tool: Tool, domid: int) -> bool:
    """Whether the store still has something of a domain."""
    paths = [f"/local/domain/{domid}", f"/libxl/{domid}"]
    return any(value is not None for value in await tool.host.store.read_many(paths))


def _unseen(domid: int, handle: bytes) -> DomainInfo:
    """A domain of which nothing is known but who it is."""
    return DomainInfo(
        domid, handle, None, None, DomainState.SHUTOFF, StateReason.UNKNOWN, None, None, None, None, None
    )
