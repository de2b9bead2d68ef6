"""Records over a stream: how a daemon reaches the bus of a simulated host. Both ends, without I/O.

On a real host the same is done by ioctls of /dev/xen/evtchn and /dev/xen/gntdev; their operations, and what they
answer, are these; the last two are a domain builder's, which there writes into the pages of the new domain that it has
mapped. The format is this project's own. Little-endian; every record has the same length, so there is
nothing to be bounded, and a stream is broken only by an operation that does not exist.

    request   u32 id (0: no answer is wanted); u32 operation; u32 each of three arguments; u32 zero
    notice    u32 id of the request (0: an event, with its port in `first`); i32 status; u64 first; u64 second

The status is 0 or a negative number: an errno, but for grants, where it is a GNTST_*.

A daemon that was told of an event on a port is told of no other one on it before it says UNMASK, as with the
device: so events cannot pile up before one that does not read.
"""

from __future__ import annotations

import enum
import struct

from purevirt._typing import NamedTuple
from purevirt.errors import RemoteProtocolError

__all__ = [
    "READ_ONLY",
    "BusOp",
    "DomainChange",
    "Notice",
    "NoticeDecoder",
    "Request",
    "RequestDecoder",
    "encode_notice",
    "encode_request",
]

_REQUEST = struct.Struct("<6I")
_NOTICE = struct.Struct("<IiQQ")

READ_ONLY = 1
"""The flag of MAP_GRANT for a mapping that cannot be written to."""


class BusOp(enum.IntEnum):
    """What can be asked: arguments, and what `first` and `second` of the answer are."""

    BIND_VIRQ = 0  # virq: the port
    BIND_INTERDOMAIN = 1  # domid, its port: our port
    BIND_UNBOUND = 2  # domid that may bind it: our port
    UNBIND = 3  # port
    NOTIFY = 4  # port
    UNMASK = 5  # port
    MAP_GRANT = 6  # domid, reference, flags: handle, and where the page begins in the host's memory
    UNMAP_GRANT = 7  # handle
    POLL_DOMAIN = 8  # nothing: domid and `DomainChange` of one domain whose state changed; ENOENT: of none
    GIVE_STORE = 9  # domid, guest frame, its port: nothing; they are that new domain's ring to the store
    GIVE_CONSOLE = 10  # the same for its console


_LAST = max(BusOp)


class Request(NamedTuple):
    """What a daemon asks."""

    id: int
    op: int
    arguments: tuple[int, int, int] = (0, 0, 0)


class Notice(NamedTuple):
    """What it is told: the answer to a request, or with id 0 an event."""

    id: int
    status: int
    first: int = 0
    second: int = 0


def encode_request(request: Request) -> bytes:
    """A request's record. struct.error for a number out of range."""
    return _REQUEST.pack(request.id, request.op, *request.arguments, 0)


def encode_notice(notice: Notice) -> bytes:
    """A notice's record."""
    return _NOTICE.pack(*notice)


class RequestDecoder:
    """The bus's half: bytes in, requests out, however they are split."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Request]:
        """The whole requests so far. RemoteProtocolError: an operation that does not exist, or a zero that is none."""
        data = self._rest + data
        end = len(data) - len(data) % _REQUEST.size
        self._rest = data[end:]
        found = []
        for number, op, first, second, third, zero in _REQUEST.iter_unpack(data[:end]):
            if op > _LAST or zero:
                raise RemoteProtocolError("a record that is no request to the bus", channel="bus")
            found.append(Request(number, op, (first, second, third)))
        return found


class NoticeDecoder:
    """The daemon's half."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Notice]:
        """The whole notices so far. RemoteProtocolError: one that cannot be."""
        data = self._rest + data
        end = len(data) - len(data) % _NOTICE.size
        self._rest = data[end:]
        found = []
        for number, status, first, second in _NOTICE.iter_unpack(data[:end]):
            if status > 0:
                raise RemoteProtocolError("a record that is no notice of the bus", channel="bus")
            found.append(Notice(number, status, first, second))
        return found


class DomainChange(enum.IntFlag):
    """What POLL_DOMAIN says a domain now is."""

    EXISTS = 1
    SHUTDOWN = 2
    DYING = 4
