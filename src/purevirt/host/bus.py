"""The bus of a simulated host: what its domains share with one another.

Event channels (`evtchn`), grant tables (`grants`) and the pages behind them (`frames`), and what Xen tells Domain 0:
that some domain has stopped or is gone (VIRQ_DOM_EXC), and which. It follows the hypervisor's domains: what a domain
had ends with it.

`seed` is the domain builder's part of it: the rings of store and console, their grants and their ports. Who builds a
domain by hypercalls has given it pages and ports so, and says here which of them are its rings (`give_ring`): on a real
host it would map the new domain's pages, fill in its grant table and, for a PV kernel, its start_info page.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from purevirt.host.changes import Change
from purevirt.host.domains import SimDomain
from purevirt.host.evtchn import EventChannels
from purevirt.host.frames import Frames
from purevirt.host.grants import Grants
from purevirt.host.hypervisor import Hypervisor
from purevirt.host.memory import XenError
from purevirt.wire.bus.frames import DomainChange
from purevirt.wire.bus.numbers import ChannelStatus, ReservedGrant, Virq
from purevirt.wire.hypercall.subops import HvmParam

__all__ = ["Bus", "Seed"]

_PARAMS = (HvmParam.STORE_PFN, HvmParam.STORE_EVTCHN, HvmParam.CONSOLE_PFN, HvmParam.CONSOLE_EVTCHN)

FIRST_GFN = 0x100  # below it lie, as ever, things of old machines


class Seed(NamedTuple):
    """What a domain's builder gives it: pages (guest frame numbers) and unbound ports of the two rings."""

    store_gfn: int
    store_port: int
    console_gfn: int
    console_port: int


class Bus:
    """The bus of one hypervisor. `path`: the file that holds the shared pages. OSError if it cannot be made."""

    def __init__(self, hypervisor: Hypervisor, path: str) -> None:
        self.frames = Frames(path)
        self.channels = EventChannels(self._exists)
        self.grants = Grants(self.frames, self._exists)
        self._hypervisor = hypervisor
        self._pages: dict[int, dict[int, int]] = {}  # domid: gfn: frame
        self._rings: dict[int, dict[ReservedGrant, tuple[int, int]]] = {}  # domid: which: page and port
        self._changed: dict[int, None] = {}
        hypervisor.listeners.append(self._follow)
        hypervisor.alloc_unbound = self.channels.alloc_unbound

    def seed(self, domid: int) -> Seed:
        """The two rings of a new domain: pages granted to Domain 0, and ports for it to bind."""
        store, console = self.allocate(domid), self.allocate(domid)
        for gfn, reference in ((store, ReservedGrant.XENSTORE), (console, ReservedGrant.CONSOLE)):
            self.grants.grant(domid, 0, self._pages[domid][gfn], reference=reference)
        seed = Seed(
            store,
            self.channels.alloc_unbound(domid, 0),
            console,
            self.channels.alloc_unbound(domid, 0),
        )
        domain = self._hypervisor.domain(domid)
        if domain.kind != "pv":
            # A PV kernel is told in its start_info page; these ask the hypervisor.
            values = (seed.store_gfn, seed.store_port, seed.console_gfn, seed.console_port)
            domain.hvm_params.update(zip(_PARAMS, values, strict=True))
        return seed

    def give_ring(self, domid: int, ring: ReservedGrant, gfn: int, port: int) -> None:
        """Let a page that a builder has put into a new domain be its ring to Domain 0, and a port ring for it.

        XenError: ESRCH; EBUSY, it has that ring; EINVAL, it has no such page, or the page is shared already, or the
        port does not wait for Domain 0.
        """
        domain = self._hypervisor.find(domid)
        if domain is None or not domid:
            raise XenError(errno.ESRCH)
        if ring in self._rings.get(domid, ()):
            raise XenError(errno.EBUSY)
        there = any(first <= gfn < end for first, end in domain.populated)
        status = self.channels.status(domid, port)
        if (
            not there
            or gfn in self._pages.get(domid, ())
            or (status.status, status.remote) != (ChannelStatus.UNBOUND, 0)
        ):
            raise XenError(errno.EINVAL)
        frame = self.frames.allocate()
        self._pages.setdefault(domid, {})[gfn] = frame
        self.grants.grant(domid, 0, frame, reference=ring)
        self._rings.setdefault(domid, {})[ring] = (gfn, port)

    def given(self, domain: SimDomain) -> Seed | None:
        """The rings that a builder gave to a domain, as its kernel is told of them; None: not both, or wrongly."""
        rings = self._rings.get(domain.domid, {})
        if len(rings) < len(ReservedGrant):
            return None
        seed = Seed(*rings[ReservedGrant.XENSTORE], *rings[ReservedGrant.CONSOLE])
        if domain.kind != "pv" and seed != tuple(domain.hvm_params.get(param) for param in _PARAMS):
            return None
        return seed

    def allocate(self, domid: int) -> int:
        """Choose a page of the domain to be shared; its guest frame number."""
        pages = self._pages.setdefault(domid, {})
        gfn = max(pages, default=FIRST_GFN - 1) + 1
        pages[gfn] = self.frames.allocate()
        return gfn

    def free(self, domid: int, gfn: int) -> None:
        """The page is shared no more. KeyError: it was not."""
        self.frames.release(self._pages[domid].pop(gfn))

    def frame(self, domid: int, gfn: int) -> int:
        """The machine's frame behind a page that is shared. KeyError."""
        return self._pages[domid][gfn]

    def page(self, domid: int, gfn: int) -> memoryview:
        """The bytes of a page that is shared. KeyError."""
        return self.frames.page(self.frame(domid, gfn))

    def poll_changed(self) -> tuple[int, DomainChange] | None:
        """One domain whose state has changed since it was last told of here, and what it is now."""
        for domid in self._changed:
            del self._changed[domid]
            return domid, self._state(domid)
        return None

    def tell_all(self) -> None:
        """Let `poll_changed` tell of each domain that there is: to whoever begins to listen."""
        self._changed.update(dict.fromkeys(domain.domid for domain in self._hypervisor if domain.domid))

    def _state(self, domid: int) -> DomainChange:
        domain = self._hypervisor.find(domid)
        if domain is None:
            return DomainChange(0)
        state = DomainChange.EXISTS
        if domain.shutdown_code is not None:
            state |= DomainChange.SHUTDOWN
        if domain.dying:
            state |= DomainChange.DYING
        return state

    def _exists(self, domid: int) -> bool:
        return self._hypervisor.find(domid) is not None

    def _follow(self, domid: int, change: Change) -> None:
        if change is Change.DESTROYED:
            self.channels.forget(domid)
            self.grants.forget(domid)
            self._rings.pop(domid, None)
            for frame in self._pages.pop(domid, {}).values():
                self.frames.release(frame)
        if change in (Change.CREATED, Change.STOPPED, Change.DYING, Change.DESTROYED):
            self._changed[domid] = None
            if change is not Change.CREATED:
                self.channels.raise_virq(Virq.DOM_EXC)
