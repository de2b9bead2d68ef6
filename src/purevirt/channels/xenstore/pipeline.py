"""Requests out, replies back by their id: the part of a transport that does no I/O.

A batch is the requests of one `exchange`. Its packets get consecutive ids, so a reply's place in the batch is
a subtraction. `feed` takes bytes as they come and files each packet:

- a WATCH_EVENT goes to `on_event`, whatever ids it carries (Linux' xenbus device leaves them uninitialised);
- a reply to a request that somebody waits for completes it;
- a reply to a request whose caller has given up (time-out, cancellation) is dropped: its id was issued, and
  is no longer awaited;
- a reply to WATCH or UNWATCH with id 0 belongs to the oldest such request: Linux' xenbus device, in old
  kernels, made these replies itself and forgot the id;
- anything else means that the other side has lost its way: RemoteProtocolError, and the stream is over.

Ids run from 1 to 2³²-1 and start again; 0 is never issued.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from purevirt.channels.xenstore.transport import CHANNEL, WHAT, Request
from purevirt.errors import LocalProtocolError, RemoteProtocolError, Timeout
from purevirt.wire.xenstore.packets import HEADER, MAX_PAYLOAD, Decoder, Op, Packet

__all__ = ["Batch", "Pipeline", "describe", "packet_end", "timed_out"]

_ID_END = 1 << 32
_ERROR = int(Op.ERROR)
_WATCH_EVENT = int(Op.WATCH_EVENT)
_WITHOUT_ID = (int(Op.WATCH), int(Op.UNWATCH))
_WITH_PATH = frozenset(
    (
        *(Op.DIRECTORY, Op.DIRECTORY_PART, Op.READ, Op.WRITE, Op.MKDIR, Op.RM),
        *(Op.GET_PERMS, Op.SET_PERMS, Op.WATCH, Op.UNWATCH),
    )
)

LONGEST_DIRECTORY = 1 << 20
"""oxenstored (seen in 4.17) sends a long list of children whole, beyond 4096 bytes, over a socket."""

_pack = HEADER.pack


class Batch:
    """The requests of one exchange, their bytes, and the replies so far."""

    __slots__ = ("data", "first", "missing", "on_done", "replies", "requests", "sent")

    def __init__(self, requests: Sequence[Request], first: int, data: bytes) -> None:
        self.requests = requests
        self.first = first
        self.data = data
        self.sent = 0
        self.missing = len(requests)
        # The caller sees the list when none is missing.
        self.replies: list[Packet] = [None] * len(requests)  # type: ignore[list-item]
        self.on_done: Callable[[], object] | None = None


class Pipeline:
    """Gives ids to requests, and replies to whoever waits for them."""

    __slots__ = ("_decoder", "_issued", "_limit", "_next", "_pending", "on_event", "replies")

    def __init__(self, limit: int = MAX_PAYLOAD, first_id: int = 1) -> None:
        self._limit = limit
        self._next = first_id
        self._issued = first_id  # ids below it have been issued
        self._pending: dict[int, Batch] = {}
        self._decoder = Decoder(LONGEST_DIRECTORY)
        self.on_event: Callable[[bytes], None] | None = None
        self.replies = 0  # how many came, awaited or not

    def begin(self, requests: Sequence[Request]) -> Batch:
        """Encode the requests and expect their replies. LocalProtocolError: one is too long."""
        first = self._next
        count = len(requests)
        if first + count > _ID_END:
            first = 1
            self._issued = _ID_END
        pieces: list[bytes] = []
        limit = self._limit
        req_id = first
        for op, tx_id, payload in requests:
            size = len(payload)
            if size > limit:
                raise LocalProtocolError(
                    f"a request to {WHAT} carries at most {limit} bytes here, not {size}",
                    operation=Op(op).name.lower(),
                    channel=CHANNEL,
                )
            pieces += _pack(op, req_id, tx_id, size), payload
            req_id += 1
        batch = Batch(requests, first, b"".join(pieces))
        if count == 1:
            self._pending[first] = batch
        else:
            self._pending.update(dict.fromkeys(range(first, req_id), batch))
        self._next = req_id
        if req_id > self._issued:
            self._issued = req_id
        return batch

    def abandon(self, batch: Batch) -> None:
        """Nobody waits for this batch any more: its replies are dropped when they come."""
        pending = self._pending
        for req_id in range(batch.first, batch.first + len(batch.requests)):
            if pending.get(req_id) is batch:
                del pending[req_id]

    def feed(self, data: bytes) -> None:
        """Take what arrived. RemoteProtocolError: the stream is broken, and there is no more to be had."""
        decoder = self._decoder
        pending = self._pending
        packets = decoder.feed(data)
        self.replies += len(packets)
        for packet in packets:
            op, req_id, _, payload = packet
            if op == _WATCH_EVENT:
                self.replies -= 1
                if self.on_event is not None:
                    self.on_event(payload)
                continue
            batch = pending.pop(req_id, None)
            if batch is None:
                found = self._find(op, req_id)
                if found is None:
                    continue
                req_id, batch = found
            index = req_id - batch.first
            if op not in (batch.requests[index][0], _ERROR):
                raise RemoteProtocolError(
                    f"{WHAT} answered {describe(batch.requests[index])} with a reply of type {op}",
                    channel=CHANNEL,
                )
            batch.replies[index] = packet
            batch.missing -= 1
            if not batch.missing and batch.on_done is not None:
                batch.on_done()
        if decoder.broken is not None:
            raise RemoteProtocolError(f"{WHAT}: {decoder.broken}", channel=CHANNEL)

    def _find(self, op: int, req_id: int) -> tuple[int, Batch] | None:
        """What to do with a reply that no pending request has the id of: None drops it."""
        if req_id == 0 and op in _WITHOUT_ID:
            for candidate, batch in self._pending.items():
                if batch.requests[candidate - batch.first][0] == op:
                    del self._pending[candidate]
                    return candidate, batch
            return None
        if 0 < req_id < self._issued:
            return None
        raise RemoteProtocolError(f"{WHAT} answered request {req_id}, which was never sent", channel=CHANNEL)


def packet_end(data: bytes | memoryview, position: int) -> int:
    """Where the packet ends that `position` is in, of packets that begin at 0."""
    end = 0
    while end < position:
        end += HEADER.size + HEADER.unpack_from(data, end)[3]
    return end


def describe(request: Request) -> str:
    """A request in words, for messages: "read of /local/domain/0/name"."""
    op, _, payload = request
    try:
        name = Op(op).name.lower()
    except ValueError:
        name = f"operation {op}"
    return name if op not in _WITH_PATH else f"{name} of {_path(payload)}"


def _path(payload: bytes) -> str:
    return payload.partition(b"\0")[0].decode("ascii", "backslashreplace")


def timed_out(batch: Batch, timeout: float | None) -> Timeout:
    """The error of an exchange whose time is up, naming the first request without an answer."""
    replies: Sequence[Packet | None] = batch.replies
    index = next((index for index, reply in enumerate(replies) if reply is None), 0)
    request = batch.requests[index]
    others = f" (and {batch.missing - 1} more)" if batch.missing > 1 else ""
    return Timeout(
        f"{WHAT} did not answer {describe(request)}{others} within {timeout or 0:g} s",
        operation=Op(request[0]).name.lower(),
        channel=CHANNEL,
        path=_path(request[2]) if request[0] in _WITH_PATH else None,
    )
