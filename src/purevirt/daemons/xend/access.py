"""Whose call it is: a role for whoever is at the other end of a socket.

The kernel says who connected (SO_PEERCRED, SO_PEERGROUPS: as of the moment of connecting, and nothing a client could
send changes it). root, and the user that the daemon itself runs as, is admin; a member of the operators' group is
operator, of the readers' group reader; everybody else has no role. A connection that is not a Unix socket is
anonymous, and never more than a reader.

A group that does not exist has no members. Its number is looked up again when /etc/group has changed.
"""

from __future__ import annotations

import errno
import grp
import os
import socket
import struct
from typing import NamedTuple

from purevirt.model import Caller, Role

__all__ = ["NOBODY", "READERS", "Doorman", "Peer", "peer_of", "unknown_groups"]

READERS = "xen"
"""The group whose members may look, unless another is named."""

NOBODY = -1
"""The uid and gid of somebody unknown."""

_UCRED = struct.Struct("@iII")  # struct ucred: pid, uid, gid
_SO_PEERGROUPS = getattr(
    socket, "SO_PEERGROUPS", 59
)  # Linux 4.13; the same number on every architecture we serve
_ROOM = 1024  # what Python's getsockopt takes at most: 256 groups
_INVALID = 0xFFFFFFFF


class Peer(NamedTuple):
    """The process at the other end of a Unix socket, as the kernel knows it: whoever connected."""

    pid: int
    uid: int
    gid: int


def peer_of(sock: socket.socket) -> Peer | None:
    """Who connected; None if the kernel does not say."""
    try:
        return Peer(*_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))
    except (OSError, struct.error):
        return None


class Doorman:
    """Tells callers apart. `anonymous`: what a connection over TCP may do, at most reader."""

    def __init__(
        self,
        reader_group: str | None = READERS,
        operator_group: str | None = None,
        *,
        anonymous: Role = Role.NONE,
    ) -> None:
        self._names = (operator_group, reader_group)
        self._anonymous = min(anonymous, Role.READER)
        self._stamp: tuple[int, int] | None = None
        self._gids: tuple[int | None, int | None] = (None, None)
        self._own = os.geteuid()

    def regroup(self, reader_group: str | None, operator_group: str | None) -> None:
        """Go by other groups, for whoever connects from now on."""
        self._names = (operator_group, reader_group)
        self._stamp = None

    def caller_of(self, sock: socket.socket) -> Caller:
        """Who is at the other end."""
        if sock.family != socket.AF_UNIX:
            return Caller(NOBODY, NOBODY, 0, self._anonymous)
        peer = peer_of(sock)
        if peer is None:
            return Caller(NOBODY, NOBODY, 0, Role.NONE)
        pid, uid, gid = peer
        if uid == _INVALID or gid == _INVALID:
            return Caller(NOBODY, NOBODY, max(pid, 0), Role.NONE)
        if uid in (0, self._own):
            return Caller(uid, gid, pid, Role.ADMIN)
        return Caller(uid, gid, pid, self.role_of(frozenset((gid, *_groups(sock, pid, uid)))))

    def role_of(self, gids: frozenset[int]) -> Role:
        """The role that membership in groups gives."""
        operators, readers = self._group_ids()
        if operators is not None and operators in gids:
            return Role.OPERATOR
        if readers is not None and readers in gids:
            return Role.READER
        return Role.NONE

    def _group_ids(self) -> tuple[int | None, int | None]:
        try:
            found = os.stat("/etc/group")
            stamp = (found.st_mtime_ns, found.st_ino)
        except OSError:
            stamp = (0, 0)
        if stamp != self._stamp:
            operators, readers = self._names
            self._gids = (_gid(operators), _gid(readers))
            self._stamp = stamp
        return self._gids


def unknown_groups(*names: str | None) -> list[str]:
    """Those of these groups that do not exist, so that nobody is a member."""
    return [name for name in names if name and _gid(name) is None]


def _gid(name: str | None) -> int | None:
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _groups(sock: socket.socket, pid: int, uid: int) -> tuple[int, ...]:
    """The peer's supplementary groups; none if nobody can tell."""
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _ROOM)
    except OSError as error:
        if error.errno not in (errno.ERANGE, errno.ENOPROTOOPT):
            return ()
        return _groups_of_process(pid, uid)
    return struct.unpack(f"@{len(raw) // 4}I", raw[: len(raw) // 4 * 4])


def _groups_of_process(pid: int, uid: int) -> tuple[int, ...]:
    """The same from /proc, for a peer in more than 256 groups: believed only if the process is still the peer's."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            fields = dict(line.partition(":")[::2] for line in file)
        if int(fields["Uid"].split()[1]) != uid:
            return ()
        return tuple(int(group) for group in fields["Groups"].split())
    except (OSError, KeyError, ValueError, IndexError):
        return ()
