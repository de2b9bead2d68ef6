"""Who asks, and what they may do: the daemon's roles."""

from __future__ import annotations

import enum

from purevirt._typing import NamedTuple

__all__ = ["Caller", "Role"]


class Role(enum.IntEnum):
    """Each role may do what those below it may: a reader looks, an operator changes domains, an admin everything."""

    NONE = 0
    READER = 1
    OPERATOR = 2
    ADMIN = 3


class Caller(NamedTuple):
    """Who is at the other end of a connection, as the kernel says (SO_PEERCRED), and the role that follows from it."""

    uid: int
    gid: int
    pid: int
    role: Role
