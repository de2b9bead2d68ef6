"""One client of the server: who it is, what it holds open, and what waits to be sent to it.

**What waits** is a list of packets: replies and watch events, in the order in which they came to be. An event
that is waiting already is not added again (C xenstored does the same): to be told twice before looking once
says nothing more. Special events (`@releaseDomain`) are always added. If a client does not read, its events
are bounded by MAX_PENDING_EVENTS bytes. Beyond that a guest loses the event, as with C xenstored, which drops
what a guest leaves lying for 20 s; a socket is closed, because a client that is not told that it missed
something would be wrong for ever, and one that is closed looks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from purevirt.daemons.xenstored.domains import Domain
    from purevirt.daemons.xenstored.transactions import Transaction
    from purevirt.daemons.xenstored.watches import Watch

__all__ = ["MAX_PENDING_EVENTS", "Connection"]

MAX_PENDING_EVENTS = 1 << 20


class Connection:
    """Made by `Server.connect` and `Server.domain_connection`.

    `domain`: whose rights it has; sockets are domain 0's. `privileged`: it may do everything. `read_only`:
    operations that change something are answered with EROFS. `closed`: the server is done with it (it broke
    the protocol, did not read its events, or its domain is gone), and whoever carries its bytes must close
    too.
    """

    __slots__ = (
        "_events",
        "_pending",
        "closed",
        "domain",
        "domid",
        "dropped",
        "greeting",
        "home",
        "next_transaction",
        "output",
        "privileged",
        "read_only",
        "rest",
        "transactions",
        "waiting",
        "watches",
        "woken",
    )

    def __init__(self, domain: Domain, woken: list[Connection], *, read_only: bool) -> None:
        self.domain = domain
        self.domid = domain.domid
        self.home = b"/local/domain/%d" % domain.domid
        self.privileged = domain.domid == 0
        self.read_only = read_only
        self.closed = False
        self.dropped = 0
        self.rest = b""
        self.output: list[bytes] = []
        self.greeting: bytes | None = None
        self.watches: dict[tuple[bytes, bytes], Watch] = {}
        self.transactions: dict[int, Transaction] = {}
        self.next_transaction = 1
        self.waiting: tuple[int, int, int] | None = None
        """A request that will be answered later (operation and ids); what came after it waits in `rest`."""
        self.woken = woken
        self._events: set[bytes] = set()
        self._pending = 0

    def take(self) -> bytes:
        """All that waits to be sent, and it waits no more."""
        output = self.output
        if not output:
            return b""
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        if self._pending:
            self._events.clear()
            self._pending = 0
        return data

    def push_event(self, packet: bytes, *, always: bool = False) -> None:
        """Add a WATCH_EVENT to what waits."""
        if self.closed or (packet in self._events and not always):
            return
        if self._pending + len(packet) > MAX_PENDING_EVENTS:
            if self.domid:
                self.dropped += 1
                return
            self.closed = True
            self.output.clear()
        else:
            self.output.append(packet)
            self._events.add(packet)
            self._pending += len(packet)
        self.woken.append(self)
