"""The guests' side of the server: each has a ring in a page that it grants to Domain 0, and an event channel.

Pages and channels come from the host's bus, through `channels.bus`; nothing here waits, so that one turn serves
whoever is ready, guests and sockets alike. `Shell` puts it into its epoll.

**INTRODUCE** asks the bus for both (the page by grant, as C xenstored does: the frame number of the request is only
remembered) and is answered when the bus has answered. **A guest that breaks the rules** (indices too far apart, a
packet that is too long) is ignored from then on, and its page says why; the others never notice. It is heard again
when it is introduced anew, or asks for a fresh connection by the page's `connection` field. **A guest that does not
take its replies** is not read any more: what waits for it is bounded by what one full ring of requests can ask for,
and by the connection's own bound on events. **A domain that ends** is seen by VIRQ_DOM_EXC, and released.

When the bus is lost, guests are silent until it is there again; then each is mapped and bound anew, and the domains
that exist no more are released. After a restart of the daemon the same happens with those of its saved state.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from purevirt.channels.bus import BusClient, SharedMemory
from purevirt.errors import ConnectError
from purevirt.wire.bus import (
    BusOp,
    DomainChange,
    Notice,
    ReservedGrant,
    RingBroken,
    RingConnection,
    RingError,
)
from purevirt.wire.bus.numbers import Virq
from purevirt.wire.bus.rings import StoreRing
from purevirt.wire.xenstore import Feature

if TYPE_CHECKING:
    from purevirt.daemons.xenstored.connection import Connection
    from purevirt.daemons.xenstored.server import Server

__all__ = ["GuestRing", "Rings"]

Done = Callable[[str | None], None]
"""Called when an introduction is over: with None, or with the name of an error."""

_log = logging.getLogger(__name__)


class GuestRing:
    """One guest's ring. `ignored`: it broke the rules."""

    __slots__ = ("connection", "handle", "ignored", "port", "store", "unsent")

    connection: Connection

    def __init__(self, store: StoreRing, port: int, handle: int) -> None:
        self.store = store
        self.port = port
        self.handle = handle
        self.unsent = bytearray()
        self.ignored = False


class _Attempt:
    """An introduction under way: two answers are to come."""

    __slots__ = ("bound", "done", "mapped")

    def __init__(self, done: Done) -> None:
        self.done = done
        self.mapped: Notice | None = None
        self.bound: Notice | None = None


class Rings:
    """All guests' rings of one server. `bus`: the bus's socket; `memory`: the file with the pages."""

    def __init__(self, server: Server, bus: str, memory: str) -> None:
        self.server = server
        self._path = bus
        self._memory_path = memory
        self._bus: BusClient | None = None
        self.number = 0
        """Which connection to the bus this is: a descriptor's number may come again."""
        self._virq = 0
        self._guests: dict[int, GuestRing] = {}
        self._by_port: dict[int, GuestRing] = {}
        self._attempts: dict[int, _Attempt] = {}
        self.unsent_of: dict[int, bytes] = {}
        """What a saved state had for guests that are not mapped yet."""
        server.guests = self

    # --- the bus

    @property
    def fileno(self) -> int | None:
        """To be watched for reading, and for writing while `unsent`; None without a bus."""
        return None if self._bus is None else self._bus.fileno()

    @property
    def unsent(self) -> bool:
        """Whether something waits for the bus to take it."""
        return self._bus is not None and self._bus.unsent > 0

    def connect(self) -> bool:
        """Find the bus, and what belongs to the domains that are introduced. False: it is not there."""
        if self._bus is not None:
            return True
        try:
            bus = BusClient.connect(self._path, SharedMemory(self._memory_path))
        except ConnectError:
            return False
        self._bus = bus
        self.number += 1
        bus.on_event = self._event
        bus.ask(self._listening, BusOp.BIND_VIRQ, Virq.DOM_EXC)
        for domid, port in self.server.guests_introduced():
            self._attempt(domid, port, partial(self._returned, domid))
        bus.flush()
        return True

    def serve(self) -> None:
        """The bus has something for us."""
        if self._bus is not None and not self._bus.receive():
            self._lost()

    def flush(self) -> None:
        """Send what this turn has asked of the bus."""
        if self._bus is not None:
            self._bus.flush()

    def close(self) -> None:
        """Let all pages and channels go. The state of the guests stays in their pages."""
        if self._bus is not None:
            self._bus.close()
            self._lost()

    def _lost(self) -> None:
        self._bus = None
        for domid, ring in self._guests.items():
            if ring.unsent:
                self.unsent_of[domid] = bytes(ring.unsent)
        self._guests.clear()
        self._by_port.clear()

    def _listening(self, notice: Notice) -> None:
        if notice.status:
            _log.warning(
                "cannot hear of domains that end: %s", errno.errorcode.get(-notice.status, notice.status)
            )
            return
        self._virq = notice.first
        self._event(self._virq)

    # --- what the server asks for

    def attach(self, domid: int, port: int, done: Done) -> str | None:
        """A domain is to be introduced: map its ring and bind its channel. `done` is called once that is over.

        The name of an error: it cannot even be tried.
        """
        if domid in self._attempts:
            return "EBUSY"
        if not self.connect():
            return "EIO"
        self._attempt(domid, port, done)
        return None

    def introduced(self, domid: int) -> None:
        """What was attached is now the domain's: its connection begins, or begins anew."""
        ring = self._guests.get(domid)
        if ring is not None:
            self._join(ring, domid)
            self._begin(ring)

    def detach(self, domid: int) -> None:
        """The domain is released."""
        self.unsent_of.pop(domid, None)
        ring = self._guests.pop(domid, None)
        if ring is not None and self._bus is not None:
            self._by_port.pop(ring.port, None)
            self._bus.tell(BusOp.UNBIND, ring.port)
            self._bus.tell(BusOp.UNMAP_GRANT, ring.handle)

    def unsent_to(self, domid: int) -> bytes:
        """What a guest has not been sent yet, for the saved state."""
        ring = self._guests.get(domid)
        return bytes(ring.unsent) if ring is not None else self.unsent_of.get(domid, b"")

    def _attempt(self, domid: int, port: int, done: Done) -> None:
        assert self._bus is not None
        self.detach(domid)
        attempt = self._attempts[domid] = _Attempt(done)
        self._bus.ask(partial(self._mapped, domid, attempt), BusOp.MAP_GRANT, domid, ReservedGrant.XENSTORE)
        self._bus.ask(partial(self._bound, domid, attempt), BusOp.BIND_INTERDOMAIN, domid, port)

    def _mapped(self, domid: int, attempt: _Attempt, notice: Notice) -> None:
        attempt.mapped = notice  # the other answer comes next

    def _bound(self, domid: int, attempt: _Attempt, notice: Notice) -> None:
        attempt.bound = notice
        self._attempts.pop(domid, None)
        mapped, bus = attempt.mapped, self._bus
        assert mapped is not None
        failed = mapped.status or notice.status
        if not failed and bus is not None and not bus.closed:
            try:
                page = bus.memory.page(mapped.second)
            except OSError:
                failed = -errno.EIO
            else:
                ring = GuestRing(StoreRing(page), notice.first, mapped.first)
                self._guests[domid] = ring
                attempt.done(None)
                return
        if bus is not None and not bus.closed:
            if not mapped.status:
                bus.tell(BusOp.UNMAP_GRANT, mapped.first)
            if not notice.status:
                bus.tell(BusOp.UNBIND, notice.first)
        attempt.done("EIO" if failed in (-errno.ECONNRESET, -errno.EIO, 0) else "EINVAL")

    def _join(self, ring: GuestRing, domid: int) -> None:
        ring.connection = self.server.domain_connection(domid)
        self._by_port[ring.port] = ring

    def _begin(self, ring: GuestRing) -> None:
        """A fresh connection: empty rings."""
        ring.store.requests.reset()
        ring.store.replies.reset()
        ring.store.server_features = ring.connection.domain.features
        ring.store.error = RingError.NONE
        ring.store.connection = RingConnection.CONNECTED
        ring.unsent.clear()
        ring.ignored = False
        self._notify(ring)

    def _returned(self, domid: int, problem: str | None) -> None:
        """A domain that was introduced before the bus, or this daemon, went away: go on where it was."""
        ring = self._guests.get(domid)
        if problem is not None or ring is None:
            if problem == "EINVAL":
                self.server.release(domid)
            return
        self._join(ring, domid)
        ring.unsent += self.unsent_of.pop(domid, b"")
        ring.ignored = ring.store.error != RingError.NONE
        ring.store.server_features = ring.connection.domain.features
        self._pump(ring)

    # --- events

    def _event(self, port: int) -> None:
        if port == self._virq:
            if self._bus is not None:
                self._bus.ask(self._changed, BusOp.POLL_DOMAIN)
            return
        ring = self._by_port.get(port)
        if ring is not None:
            self._pump(ring)

    def _changed(self, notice: Notice) -> None:
        """One domain has changed its state; ask for the next until there is none."""
        if notice.status:
            return
        domid, state = notice.first, DomainChange(notice.second & 7)
        if not state & DomainChange.EXISTS or state & DomainChange.DYING:
            self.server.release(domid)
        elif state & DomainChange.SHUTDOWN:
            self.server.shut_down(domid)
        if self._bus is not None:
            self._bus.ask(self._changed, BusOp.POLL_DOMAIN)

    def deliver(self, connection: Connection) -> None:
        """Watch events, caused by others, wait in a guest's connection."""
        ring = self._guests.get(connection.domid)
        if ring is not None and ring.connection is connection and not ring.unsent and not ring.ignored:
            self._guarded(ring, lambda: self._send(ring, connection.take()))

    def _pump(self, ring: GuestRing) -> None:
        """The guest rang: it has asked something, or has taken what was there."""
        store = ring.store
        if (
            store.connection == RingConnection.RECONNECT
            and ring.connection.domain.features & Feature.RECONNECTION
        ):
            self.server.restart(ring.connection)
            self._begin(ring)
        elif not ring.ignored:
            self._guarded(ring, lambda: self._exchange(ring))

    def _exchange(self, ring: GuestRing) -> None:
        _ = ring.store.replies.used  # broken indices are noticed even when there is nothing to say
        self._send(ring, b"")
        if ring.unsent:
            return
        requests = ring.store.requests.take()
        if requests:
            replies = self.server.receive(ring.connection, requests)
            if ring.connection.closed:
                self._ignore(ring, RingError.PROTO)
            elif not self._send(ring, replies):
                self._notify(ring)  # there is room for the rest of a request

    def _send(self, ring: GuestRing, data: bytes) -> bool:
        """Put what fits into the ring, and say so. Events wait in the connection while anything waits here."""
        unsent = ring.unsent
        unsent += data
        moved = 0
        while unsent or (more := ring.connection.take()):
            unsent += b"" if unsent else more
            sent = ring.store.replies.put(unsent)
            if not sent:
                break
            del unsent[:sent]
            moved += sent
        if moved:
            self._notify(ring)
        return moved > 0

    def _guarded(self, ring: GuestRing, work: Callable[[], object]) -> None:
        try:
            work()
        except RingBroken:
            self._ignore(ring, RingError.RINGIDX)
        except Exception:
            # A fault of ours, on one guest's request: it must not end the service for all others.
            _log.exception("a request of domain %d could not be served", ring.connection.domid)
            self._ignore(ring, RingError.COMM)

    def _ignore(self, ring: GuestRing, reason: RingError) -> None:
        ring.ignored = True
        ring.unsent.clear()
        self.server.restart(ring.connection)
        ring.store.error = reason
        self._notify(ring)

    def _notify(self, ring: GuestRing) -> None:
        if self._bus is not None:
            self._bus.tell(BusOp.NOTIFY, ring.port)
