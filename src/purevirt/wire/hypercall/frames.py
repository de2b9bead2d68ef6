"""Hypercalls over a stream: how a client speaks to a simulated hypervisor. Both ends, without I/O.

The format is this project's own; a real Xen never sees it. Little-endian throughout. Whoever connects is
greeted by

    hello    8s magic "PVHCALL1"; u32 arch (0 x86_64, 1 arm64); u32 zero

and then sends calls and receives answers, each a frame:

    frame    u32 length of what follows; u32 id, which the answer repeats; body
    call     u32 op; u16 number of arguments (at most 5); u16 number of extents (at most 16);
             u64 each argument; then for each extent u64 address, u32 size, u32 sent; then the extents' bytes
    answer   i64 value; u32 number of extents; u32 zero;
             for each extent u32 size, u32 sent; then the extents' bytes

`sent` is how many bytes of an extent travel: the zeros at its end do not. A listing asks with a buffer of
zeros that is filled for its first part only, so both ways shrink from a hundred kilobytes to what is really
said.

Bounds: extents of one frame add up to at most MAX_MEMORY, whatever `sent` says, and a frame's length follows
from that. They are checked before anything is allocated, so that a hostile peer costs its own bytes and no
more. Bytes that break any of this raise RemoteProtocolError, now and ever after: nothing says where a next
frame would begin.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Generic, TypeVar

from purevirt.errors import LocalProtocolError, RemoteProtocolError
from purevirt.wire.hypercall.values import Answer, Extent, Hypercall
from purevirt.wire.hypercall.versions import ARCHES

__all__ = [
    "HELLO_SIZE",
    "MAX_EXTENTS",
    "MAX_FRAME",
    "MAX_MEMORY",
    "AnswerDecoder",
    "CallDecoder",
    "decode_hello",
    "encode_answer",
    "encode_call",
    "encode_hello",
]

MAX_MEMORY = 1 << 20
MAX_EXTENTS = 16
MAX_ARGS = 5
MAX_FRAME = MAX_MEMORY + 4096

_MAGIC = b"PVHCALL1"
_HELLO = struct.Struct("<8sII")
_FRAME = struct.Struct("<II")
_CALL = struct.Struct("<IHH")
_EXTENT = struct.Struct("<QII")
_ANSWER = struct.Struct("<qII")
_SIZES = struct.Struct("<II")

HELLO_SIZE = _HELLO.size

T = TypeVar("T")


def encode_hello(arch: str) -> bytes:
    """What a server says first: the architecture that its structs are laid out for."""
    return _HELLO.pack(_MAGIC, ARCHES.index(arch), 0)


def decode_hello(data: bytes) -> str:
    """The architecture. RemoteProtocolError if this is no simulated hypervisor."""
    if len(data) == HELLO_SIZE:
        magic, arch, zero = _HELLO.unpack(data)
        if magic == _MAGIC and arch < len(ARCHES) and not zero:
            return ARCHES[int(arch)]
    raise RemoteProtocolError("the peer does not greet like a simulated hypervisor", channel="hypervisor")


def encode_call(call_id: int, call: Hypercall) -> bytes:
    """A call's frame. LocalProtocolError for one that the bounds or the fields' sizes do not allow."""
    op, args, extents = call
    if len(args) > MAX_ARGS:
        raise LocalProtocolError(f"a hypercall has at most {MAX_ARGS} arguments", channel="hypervisor")
    _check(len(extents), sum(len(extent.data) for extent in extents))
    sent = [extent.data.rstrip(b"\0") for extent in extents]
    try:
        head = [_CALL.pack(op, len(args), len(extents)), struct.pack(f"<{len(args)}Q", *args)]
        head += [
            _EXTENT.pack(extent.address, len(extent.data), len(data))
            for extent, data in zip(extents, sent, strict=True)
        ]
    except struct.error as error:
        raise LocalProtocolError(
            f"a hypercall with a number out of range: {error}", channel="hypervisor"
        ) from None
    return _frame(call_id, head + sent)


def encode_answer(call_id: int, answer: Answer) -> bytes:
    """An answer's frame. LocalProtocolError as for `encode_call`."""
    _check(len(answer.extents), sum(map(len, answer.extents)))
    sent = [data.rstrip(b"\0") for data in answer.extents]
    head = [_ANSWER.pack(answer.value, len(sent), 0)]
    head += [_SIZES.pack(len(whole), len(data)) for whole, data in zip(answer.extents, sent, strict=True)]
    return _frame(call_id, head + sent)


def _check(extents: int, memory: int) -> None:
    if extents > MAX_EXTENTS or memory > MAX_MEMORY:
        raise LocalProtocolError(
            f"a hypercall over a socket has at most {MAX_EXTENTS} extents of {MAX_MEMORY} bytes in all",
            channel="hypervisor",
        )


def _frame(call_id: int, parts: list[bytes]) -> bytes:
    body = b"".join(parts)
    return _FRAME.pack(len(body) + 4, call_id) + body


def _broken(reason: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"a hypercall frame {reason}", channel="hypervisor")


class _Decoder(Generic[T]):
    """Bytes in, (id, body) out, however they are split.

    One frame at a time, because a frame of fifty bytes may stand for a megabyte of zeros: whoever asks for the
    next one has had the chance to answer, or to stop reading, before it is made.
    """

    __slots__ = ("_broken", "_buffer")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._broken: str | None = None

    @property
    def pending(self) -> int:
        """How many bytes are held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        if self._broken is None:
            self._buffer += data

    def next(self) -> tuple[int, T] | None:
        """The next frame, or None if it is not complete. RemoteProtocolError, now and ever after."""
        if self._broken is not None:
            raise RemoteProtocolError(self._broken, channel="hypervisor")
        buffer = self._buffer
        if len(buffer) < _FRAME.size:
            return None
        length, call_id = _FRAME.unpack_from(buffer)
        try:
            if not 4 <= length <= MAX_FRAME:
                raise _broken(f"claims {length} bytes, more than {MAX_FRAME} or less than 4")
            end = 4 + length
            if end > len(buffer):
                return None
            body = self._body(bytes(buffer[_FRAME.size : end]))
        except RemoteProtocolError as error:
            self._broken = error.message
            buffer.clear()
            raise
        del buffer[:end]
        return call_id, body

    def _body(self, body: bytes) -> T:
        raise NotImplementedError


class CallDecoder(_Decoder[Hypercall]):
    """The server's half."""

    __slots__ = ()

    def _body(self, body: bytes) -> Hypercall:
        if len(body) < _CALL.size:
            raise _broken("is shorter than a call")
        op, n_args, n_extents = _CALL.unpack_from(body)
        extents_at = _CALL.size + 8 * n_args
        if n_args > MAX_ARGS or n_extents > MAX_EXTENTS or len(body) < extents_at + n_extents * _EXTENT.size:
            raise _broken("does not hold the arguments and extents that it counts")
        args = struct.unpack_from(f"<{n_args}Q", body, _CALL.size)
        heads = [_EXTENT.unpack_from(body, extents_at + index * _EXTENT.size) for index in range(n_extents)]
        data = _extents(
            body, extents_at + n_extents * _EXTENT.size, [(size, sent) for _, size, sent in heads]
        )
        return Hypercall(
            op, args, tuple(Extent(head[0], content) for head, content in zip(heads, data, strict=True))
        )


class AnswerDecoder(_Decoder[Answer]):
    """The client's half."""

    __slots__ = ()

    def _body(self, body: bytes) -> Answer:
        if len(body) < _ANSWER.size:
            raise _broken("is shorter than an answer")
        value, n_extents, _zero = _ANSWER.unpack_from(body)
        data_at = _ANSWER.size + n_extents * _SIZES.size
        if n_extents > MAX_EXTENTS or len(body) < data_at:
            raise _broken("does not hold the extents that it counts")
        sizes = [_SIZES.unpack_from(body, _ANSWER.size + index * _SIZES.size) for index in range(n_extents)]
        return Answer(value, tuple(_extents(body, data_at, sizes)))


def _extents(body: bytes, position: int, sizes: Sequence[tuple[int, ...]]) -> list[bytes]:
    if sum(size for size, _ in sizes) > MAX_MEMORY or any(sent > size for size, sent in sizes):
        raise _broken(f"has extents of more than {MAX_MEMORY} bytes, or longer than they say")
    if position + sum(sent for _, sent in sizes) != len(body):
        raise _broken("has another length than its extents add up to")
    extents = []
    for size, sent in sizes:
        extents.append(body[position : position + sent].ljust(size, b"\0"))
        position += sent
    return extents
