"""The contract of `drivers.base` for a Xen host, put together from its parts, one per noun: `host`, `domains`,
`devicereads`, `changes`; `connected` is what they stand on."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.drivers.xen.changes import Changes
from purevirt.drivers.xen.devicereads import DeviceReads
from purevirt.drivers.xen.domains import DomainReads
from purevirt.drivers.xen.host import HostReads

if TYPE_CHECKING:
    from purevirt.drivers.xen.events import Stream
    from purevirt.model import DomainRef, EventKind

__all__ = ["XenDriver"]


class XenDriver(HostReads, DomainReads, DeviceReads, Changes):
    """A Xen host, through the channels that `open` found."""

    async def events(
        self, kinds: frozenset[EventKind] | None, ref: DomainRef | None, *, poll: float, queue: int
    ) -> Stream:
        channel = self._route("events")
        from purevirt.drivers.xen import events

        return await events.subscribe(self, channel, kinds, ref, poll=poll, queue=queue)
