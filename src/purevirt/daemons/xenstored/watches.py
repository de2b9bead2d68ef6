"""Watches: who wants to hear of which path.

They are kept by path, so a change costs one look-up per level of its path, however many watches there are. An
event goes to a watch on the path itself or on a parent of it. A removal is reported for the removed path as
any change, and for each node below it only to watches on exactly that node, with their own path: that is how
"deletion of a parent is reported with epath = wpath" comes about.

A connection hears only of what it may read: the node, or its parent, before or after the change
(`watch_permitted` in C xenstored). Whether it may is looked at when the event occurs, not when it is fetched.

A special watch with depth 1 is told which domain: `@releaseDomain/5`; and `@releaseDomain/5` may be watched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from purevirt.daemons.xenstored.access import READ, rights
from purevirt.daemons.xenstored.tree import Permissions, parent_of
from purevirt.wire.xenstore import HEADER, MAX_PAYLOAD, Op

if TYPE_CHECKING:
    from purevirt.daemons.xenstored.connection import Connection

__all__ = ["Watch", "Watches"]


class Watch:
    """One watch. `prefix`: how many bytes of a path the client is not shown, as it gave a relative one."""

    __slots__ = ("connection", "depth", "path", "prefix", "token")

    def __init__(
        self, connection: Connection, path: bytes, token: bytes, *, depth: int | None, prefix: int
    ) -> None:
        self.connection = connection
        self.path = path
        self.token = token
        self.depth = depth
        self.prefix = prefix

    def event(self, path: bytes) -> bytes:
        """The WATCH_EVENT packet for a path; for the watched path itself if that would be too long."""
        payload = path[self.prefix :] + b"\0" + self.token + b"\0"
        if len(payload) > MAX_PAYLOAD:
            payload = self.path[self.prefix :] + b"\0" + self.token + b"\0"
        return HEADER.pack(Op.WATCH_EVENT, 0, 0, len(payload)) + payload

    def covers(self, path: bytes) -> bool:
        """Whether the depth lets a path at or below the watched one through."""
        if self.depth is None or path == self.path:
            return True
        above = 0 if self.path == b"/" else len(self.path)
        return path.count(b"/", above) <= self.depth


class Watches:
    """All watches of all connections."""

    __slots__ = ("_by_path", "count")

    def __init__(self) -> None:
        self._by_path: dict[bytes, list[Watch]] = {}
        self.count = 0

    def add(self, watch: Watch) -> None:
        """The caller has seen to it that the connection has none such yet."""
        self._by_path.setdefault(watch.path, []).append(watch)
        self.count += 1

    def remove(self, watch: Watch) -> None:
        """Remove one that was added."""
        there = self._by_path[watch.path]
        there.remove(watch)
        if not there:
            del self._by_path[watch.path]
        self.count -= 1

    def fire(self, path: bytes, exact: bool, permissions: tuple[Permissions, ...]) -> None:
        """A node changed: tell whom any of these lists lets read. `exact`: only watches on this very path."""
        by_path = self._by_path
        if not by_path:
            return
        at = path
        while True:
            there = by_path.get(at)
            if there is not None:
                for watch in there:
                    connection = watch.connection
                    if not connection.privileged and not any(
                        rights(connection, each) & READ for each in permissions
                    ):
                        continue
                    if watch.covers(path):
                        connection.push_event(watch.event(path))
            if exact or at == b"/":
                return
            at = parent_of(at)

    def fire_special(self, name: bytes, domid: int, permissions: Permissions) -> None:
        """Something happened to a domain. Hears of it who may read the special path."""
        which = b"%b/%d" % (name, domid)
        for at in (name, which):
            for watch in self._by_path.get(at, ()):
                if rights(watch.connection, permissions) & READ:
                    path = which if watch.depth == 1 else at
                    watch.connection.push_event(watch.event(path), always=True)
