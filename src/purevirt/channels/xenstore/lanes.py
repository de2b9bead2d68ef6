"""Lanes: several connections to one Xen Store, over which a large batch of reads is spread.

Both of Xen's daemons take one request from each connection in turn, and look at all of their connections between
turns. That look (a poll, and a walk over every domain) costs more than the request. So a batch that comes over one
connection pays for it once per request; spread over four it is paid once for four. A bare socket loop took, with
oxenstored on a real Xen 4.17 with 51 domains, 24.6 ms for their names over one connection, 12.7 over four, 10.9 over
eight, 10.3 over sixteen; and every connection costs something to open, so that four are best for who lists once.

What is given up is order: requests on different lanes are carried out in any. So lanes serve reads outside of
transactions, nothing else. And an idle connection is one more to look at, for everybody's requests: whoever knows
that no more large batches are to come closes them (`StoreClient.narrow`).

A lane carries nothing but its share of one batch at a time, so it needs none of what a transport has for requests of
several callers: ids are places in the batch, and when anything goes wrong (a time-out, a cancellation, a reply that
was not asked for) all lanes are closed, and the next batch opens new ones. They are an economy and no channel: where
they cannot be opened, or another thread or task uses them, the one connection serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from purevirt._typing import Protocol
from purevirt.channels.xenstore.pipeline import LONGEST_DIRECTORY
from purevirt.channels.xenstore.transport import CHANNEL, WHAT, Connector, Request, Transport
from purevirt.errors import Closed, RemoteProtocolError, Timeout, XenError
from purevirt.wire.xenstore.messages import domid_request
from purevirt.wire.xenstore.packets import HEADER, MAX_PAYLOAD, Op, Packet

__all__ = ["LANES", "Lane", "Lanes", "lost", "timed_out"]

LANES = 4
"""How many connections; see above."""

SHARE = 32
"""Requests to a lane at a time, so that neither side's socket buffers fill: a request has 3088 bytes at most."""

_HELLO: Request = (int(Op.GET_DOMAIN_PATH), 0, domid_request(0))
_ERROR = int(Op.ERROR)
_DIRECTORY = int(Op.DIRECTORY)
_pack = HEADER.pack
_unpack_from = HEADER.unpack_from
_new = tuple.__new__  # half the time of the class's own


class Lane(Protocol):
    """A connection and nothing around it."""

    async def send(self, data: bytes, timeout: float | None) -> None:
        """Send all of it. Timeout, Closed."""

    async def receive(self, timeout: float | None, early: bool) -> bytes:
        """What has come; waits if nothing has. `early`: it probably has. Timeout, Closed."""

    def shutdown(self) -> None:
        """Let whoever waits on it get Closed; from any thread."""

    def close(self) -> None: ...


def timed_out(timeout: float | None) -> Timeout:
    """The error of a batch whose time is up."""
    return Timeout(f"{WHAT} did not answer a batch of reads within {timeout or 0:g} s", channel=CHANNEL)


def lost(error: OSError | None) -> Closed:
    """The error of a lane whose other side is gone."""
    detail = f"{WHAT} closed it" if error is None else error.strerror or str(error)
    number = None if error is None else error.errno
    return Closed(f"a connection to {WHAT} is lost: {detail}", channel=CHANNEL, errno=number)


class Lanes:
    """The lanes beside a store's own connection, as long as they are open."""

    __slots__ = ("_connector", "_first", "_open", "_turn")

    def __init__(self, first: Transport, connector: Connector) -> None:
        self._first = first
        self._connector = connector
        self._open: list[Lane] = []
        self._turn = [
            True
        ]  # popped by whoever opens, uses or closes them: list.pop is atomic between threads

    async def open(self, timeout: float | None) -> None:
        """Open them, unless they are; `timeout` (seconds) is for each. What cannot be opened is done without."""
        if self._take():
            try:
                await self._connect(timeout)
            finally:
                self._turn.append(True)

    async def exchange(self, requests: Sequence[Request], timeout: float | None) -> list[Packet]:
        """`Transport.exchange`, over all lanes."""
        if self._first.closed or not self._take():
            return await self._first.exchange(requests, timeout)
        try:
            await self._connect(timeout)
            if self._open:
                return await self._spread(requests, timeout)
        except BaseException:
            self._close()
            raise
        finally:
            self._turn.append(True)
        return await self._first.exchange(requests, timeout)

    def close(self) -> None:
        """Close them, unless they are in use."""
        if self._take():
            self._close()
            self._turn.append(True)

    def end(self) -> None:
        """The store is being closed: whoever uses them gets Closed, and closes them."""
        for lane in tuple(self._open):
            lane.shutdown()
        self.close()

    def _take(self) -> bool:
        try:
            return self._turn.pop()
        except IndexError:
            return False

    async def _connect(self, timeout: float | None) -> None:
        if self._open:
            return
        try:
            while len(self._open) < LANES:
                lane = await self._connector.connect_lane(timeout)
                if lane is None:
                    return  # a device: there is one connection
                self._open.append(lane)
            # Connecting does not wait for the daemon; an answer shows that it has taken them all.
            await _round(self._open[-1:], [_HELLO], timeout)
        except XenError:
            self._close()
        except BaseException:
            self._close()
            raise

    async def _spread(self, requests: Sequence[Request], timeout: float | None) -> list[Packet]:
        replies: list[Packet] = []
        step = SHARE * len(self._open)
        for start in range(0, len(requests), step):
            replies += await _round(self._open, requests[start : start + step], timeout)
        return replies

    def _close(self) -> None:
        while self._open:
            self._open.pop().close()


async def _round(lanes: Sequence[Lane], requests: Sequence[Request], timeout: float | None) -> list[Packet]:
    """Up to SHARE requests over each lane, at once."""
    deadline = None if timeout is None else monotonic() + timeout
    size = -(-len(requests) // len(lanes))
    used: list[tuple[Lane, int, int]] = []
    packets = [
        _pack(op, number, tx_id, len(payload)) + payload
        for number, (op, tx_id, payload) in enumerate(requests, 1)
    ]
    for lane, start in zip(lanes, range(0, len(requests), size), strict=False):
        share = packets[start : start + size]
        await lane.send(b"".join(share), timeout)
        used.append((lane, start + 1, start + 1 + len(share)))
    replies: list[Packet | None] = [None] * len(requests)
    early = False
    # The daemon comes to the last lane last: when its replies are there, so are the others'.
    for lane, first, last in reversed(used):
        missing = last - first
        rest = b""
        while missing:
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                raise timed_out(timeout)
            rest, count = _file(rest + await lane.receive(left, early), first, last, requests, replies)
            missing -= count
        if rest:
            raise RemoteProtocolError(f"{WHAT} answered more than it was asked", channel=CHANNEL)
        early = True
    return replies  # type: ignore[return-value]  # none is missing


def _file(
    data: bytes, first: int, last: int, requests: Sequence[Request], replies: list[Packet | None]
) -> tuple[bytes, int]:
    """Put each whole reply into its place, which must be a free one in [first, last). What is left, and how many.

    `Decoder` and `Pipeline.feed` in one loop, for half the time: names are most of a listing's price.
    """
    count = start = 0
    size = len(data)
    while start + 16 <= size:
        op, number, tx_id, length = _unpack_from(data, start)
        if not first <= number < last or replies[number - 1] is not None:
            raise RemoteProtocolError(f"{WHAT} answered request {number} unasked", channel=CHANNEL)
        asked = requests[number - 1][0]
        if op not in (asked, _ERROR):
            raise RemoteProtocolError(f"{WHAT} answered a read with a reply of type {op}", channel=CHANNEL)
        if length > MAX_PAYLOAD and (op != _DIRECTORY or length > LONGEST_DIRECTORY):
            raise RemoteProtocolError(f"{WHAT}: a XenStore packet claims {length} bytes", channel=CHANNEL)
        end = start + 16 + length
        if end > size:
            break
        replies[number - 1] = _new(Packet, (op, number, tx_id, data[start + 16 : end]))
        count += 1
        start = end
    return data[start:], count
