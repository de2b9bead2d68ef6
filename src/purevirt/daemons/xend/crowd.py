"""The connections of the daemon's HTTP server: whose they are, what they are at, and who gives way to the next.

Nobody can lock others out by opening sockets. One that is still sending its request gives way when there are too many,
of the user who has most of those; one whose request is worked on never does. No user but an admin has more than half of
all, whatever they wait for.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from purevirt.daemons.xend.http_messages import Limits
from purevirt.model.access import Caller, Role

__all__ = ["Crowd"]

Connection = asyncio.Task[None]


class Crowd:
    """Of one server."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._users: dict[Connection, int] = {}
        self._count: Counter[int] = Counter()  # of each user's
        self._reading: dict[
            Connection, int
        ] = {}  # whose request is not whole yet, the longest first; for which user
        self._bodies: dict[Connection, int] = {}  # bytes of the request that is received or worked on
        self.fewer = asyncio.Event()
        """Set when a connection has ended."""

    def __len__(self) -> int:
        return len(self._users)

    @property
    def all(self) -> list[Connection]:
        """Every connection."""
        return list(self._users)

    @property
    def still_sending(self) -> list[Connection]:
        """Those whose request is not whole, the longest first."""
        return list(self._reading)

    @property
    def full(self) -> bool:
        """Whether one has to give way before the next is let in."""
        return len(self._users) >= self._limits.connections

    # --- connections

    def room_for(self, caller: Caller) -> bool:
        """Whether this user may have one more; one of the user's own is ended for it, if need be and if one can."""
        if caller.role >= Role.ADMIN or self._count[caller.uid] < self._limits.connections // 2:
            return True
        mine = next((one for one, uid in self._reading.items() if uid == caller.uid), None)
        if mine is not None:
            mine.cancel()
        return mine is not None

    def add(self, connection: Connection, caller: Caller) -> None:
        """One more, from which a request is to come."""
        self._users[connection] = caller.uid
        self._count[caller.uid] += 1
        self._reading[connection] = caller.uid
        connection.add_done_callback(self._ended)

    def _ended(self, connection: Connection) -> None:
        uid = self._users.pop(connection)
        self._count[uid] -= 1
        if not self._count[uid]:
            del self._count[uid]
        self._reading.pop(connection, None)
        self._bodies.pop(connection, None)
        self.fewer.set()

    def end_one(self) -> None:
        """End one of the user with most of those that still send: the one that takes longest."""
        self.fewer.clear()
        for user, _ in Counter(self._reading.values()).most_common(1):
            next(one for one, uid in self._reading.items() if uid == user).cancel()

    # --- requests

    def sends(self, connection: Connection) -> None:
        """Its next request is awaited."""
        self._reading[connection] = self._users[connection]

    def has_sent(self, connection: Connection) -> None:
        """Its request is whole, or refused."""
        self._reading.pop(connection, None)

    def holds(self, connection: Connection, size: int) -> bool:
        """Note how long its request is so far; whether all of them together are not too long."""
        self._bodies[connection] = size
        return sum(self._bodies.values()) <= self._limits.bodies

    def holds_nothing(self, connection: Connection) -> None:
        """Its request is done with."""
        self._bodies.pop(connection, None)
