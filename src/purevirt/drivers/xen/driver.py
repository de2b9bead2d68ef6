"""The contract of `drivers.base` for a Xen host, put together from its parts, one per noun: `domains`, `host`,
`devicereads`, `descriptions`, `changes`, `definitions`, `console`; `connected` is what they stand on.

A listing, which most short programs are, needs `domains` alone. The other parts are loaded with the first use of any
of their operations: a type checker sees one class with all of them, a running program one whose missing methods are
then taken over from the parts.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.drivers.xen.domains import DomainReads

if TYPE_CHECKING:
    from purevirt.drivers.xen.changes import Changes
    from purevirt.drivers.xen.console import Consoles
    from purevirt.drivers.xen.definitions import Definitions
    from purevirt.drivers.xen.descriptions import DescriptionReads
    from purevirt.drivers.xen.devicereads import DeviceReads
    from purevirt.drivers.xen.events import Stream
    from purevirt.drivers.xen.host import HostReads
    from purevirt.model import DomainRef, EventKind

    class _Later(HostReads, DeviceReads, DescriptionReads, Changes, Definitions, Consoles):
        """What is loaded when it is first used."""

else:

    class _Later:
        def __getattr__(self, name):
            for method, function in _parts().items():
                if not hasattr(XenDriver, method):
                    setattr(XenDriver, method, function)
            return object.__getattribute__(self, name)  # or the AttributeError that it is

        def __dir__(self):
            return sorted({*object.__dir__(self), *_parts()})

    def _parts():
        from purevirt.drivers.xen.changes import Changes
        from purevirt.drivers.xen.console import Consoles
        from purevirt.drivers.xen.definitions import Definitions
        from purevirt.drivers.xen.descriptions import DescriptionReads
        from purevirt.drivers.xen.devicereads import DeviceReads
        from purevirt.drivers.xen.host import HostReads

        own = {}
        for part in (HostReads, DeviceReads, DescriptionReads, Changes, Definitions, Consoles):
            own.update({name: value for name, value in vars(part).items() if not name.startswith("__")})
        return own


__all__ = ["XenDriver"]


class XenDriver(DomainReads, _Later):
    """A Xen host, through the channels that `open` found."""

    async def events(
        self, kinds: frozenset[EventKind] | None, ref: DomainRef | None, *, poll: float, queue: int
    ) -> Stream:
        channel = self._route("events")
        from purevirt.drivers.xen import events

        return await events.subscribe(self, channel, kinds, ref, poll=poll, queue=queue)
