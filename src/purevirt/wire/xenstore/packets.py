"""Packets: a header of four words, then at most 4096 bytes.

    struct xsd_sockmsg {
        uint32_t type;      /* the operation, XS_??? */
        uint32_t req_id;    /* chosen by the client, echoed in the reply */
        uint32_t tx_id;     /* 0: in no transaction */
        uint32_t len;       /* of what follows, at most 4096 */
    };

in the byte order of the machine. A reply echoes type, req_id and tx_id; an error has type ERROR and the
errno's name as payload; a WATCH_EVENT comes unasked, with req_id and tx_id 0. Whoever sends a larger len
breaks the connection for good, since nothing says where the next packet begins.
"""

from __future__ import annotations

import enum
import struct

from purevirt._typing import NamedTuple
from purevirt.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["HEADER", "MAX_PAYLOAD", "Decoder", "Feature", "Op", "Packet", "encode"]

HEADER = struct.Struct("=4I")
MAX_PAYLOAD = 4096

_pack = HEADER.pack
_unpack_from = HEADER.unpack_from


class Op(enum.IntEnum):
    """Every operation of the protocol (xs_wire.h, `enum xsd_sockmsg_type`)."""

    CONTROL = 0
    DIRECTORY = 1
    READ = 2
    GET_PERMS = 3
    WATCH = 4
    UNWATCH = 5
    TRANSACTION_START = 6
    TRANSACTION_END = 7
    INTRODUCE = 8
    RELEASE = 9
    GET_DOMAIN_PATH = 10
    WRITE = 11
    MKDIR = 12
    RM = 13
    SET_PERMS = 14
    WATCH_EVENT = 15
    ERROR = 16
    IS_DOMAIN_INTRODUCED = 17
    RESUME = 18
    SET_TARGET = 19
    RESTRICT = 20  # gone since Xen 4.9; the number stays reserved
    RESET_WATCHES = 21
    DIRECTORY_PART = 22  # since 4.9, and only the C daemon has it
    GET_FEATURE = 23  # 23 to 26: since 4.21
    SET_FEATURE = 24
    GET_QUOTA = 25
    SET_QUOTA = 26
    INVALID = 0xFFFF  # never an operation, by definition


_DIRECTORY = int(Op.DIRECTORY)


class Feature(enum.IntFlag):
    """What a server can do, as GET_FEATURE tells (and offset 2064 of a guest's ring page)."""

    RECONNECTION = 1
    ERROR_FIELD = 2
    WATCH_DEPTH = 4
    ANY_DOMAIN_PERMISSION = 8


class Packet(NamedTuple):
    """One packet. A tuple, not a dataclass: a listing makes thousands, and this is a third of the cost."""

    op: int
    req_id: int
    tx_id: int
    payload: bytes


def encode(op: int, req_id: int, tx_id: int, payload: bytes) -> bytes:
    """The bytes of one packet. LocalProtocolError if the payload is longer than the protocol allows."""
    if len(payload) > MAX_PAYLOAD:
        raise LocalProtocolError(
            f"a XenStore packet carries at most {MAX_PAYLOAD} bytes, not {len(payload)}", channel="store"
        )
    return _pack(op, req_id, tx_id, len(payload)) + payload


class Decoder:
    """Bytes in, packets out, however the bytes are split.

    `max_directory`: how long the payload of a DIRECTORY reply may be. The protocol says 4096 as for all
    others, but oxenstored sends longer ones over sockets (it answers E2BIG only over a ring), and libxenstore
    takes them.

    Never holds more than one incomplete packet (4111 bytes, or `max_directory` and 15). After the one error
    it raises (RemoteProtocolError: a length over 4096) the stream has no next packet: every later `feed`
    raises it again.
    """

    __slots__ = ("_broken", "_max_directory", "_rest")

    def __init__(self, max_directory: int = MAX_PAYLOAD) -> None:
        self._max_directory = max_directory
        self._rest = b""
        self._broken: str | None = None

    @property
    def broken(self) -> str | None:
        """What broke the stream, or None."""
        return self._broken

    @property
    def pending(self) -> int:
        """How many bytes of an incomplete packet are held."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Packet]:
        """Take what arrived and return the packets that are now complete, in their order."""
        if self._broken is not None:
            raise RemoteProtocolError(self._broken, channel="store")
        if self._rest:
            data = self._rest + data
        packets: list[Packet] = []
        append = packets.append
        new = tuple.__new__  # half the time of the class's own
        size = len(data)
        start = 0
        while start + 16 <= size:
            op, req_id, tx_id, length = _unpack_from(data, start)
            if length > MAX_PAYLOAD and (op != _DIRECTORY or length > self._max_directory):
                # What came before the broken packet is whole and is delivered; the next call tells.
                self._broken = f"a XenStore packet claims {length} bytes, more than {MAX_PAYLOAD}"
                self._rest = b""
                if packets:
                    return packets
                raise RemoteProtocolError(self._broken, channel="store")
            end = start + 16 + length
            if end > size:
                break
            append(new(Packet, (op, req_id, tx_id, data[start + 16 : end])))
            start = end
        self._rest = data[start:]
        return packets
