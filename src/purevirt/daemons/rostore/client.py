"""One client of the read-only store.

Requests are taken in their order. Those that only ask for a node are sent to xenstored together, as many as have
arrived; everything else is answered here: transactions (a client that cannot write needs none, so it gets a number
and reads what everybody reads), watches, and whatever changes something: EROFS, as from the read-only socket of old.

A node that is not shown does not exist (ENOENT), whether it does or not. A listing leaves out what is not shown; one
that is longer than a packet is told in parts, as xenstored would.

Bounds, per client: WATCHES watches, TRANSACTIONS transactions; QUEUE requests are taken in, then it is not read until
they are answered; ROOM bytes of answers and events wait for a slow reader, then it is not read either, and events that
exceed them close the connection, for a client that is not told that it missed something would be wrong for ever. Bytes
that are no packets close it at once. A client without a request in progress costs no task.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Protocol

from purevirt.channels.xenstore.transport import Request
from purevirt.daemons.rostore import listings
from purevirt.daemons.rostore.allowed import Shown, may_watch, shown_as, value_allowed
from purevirt.daemons.rostore.listings import Refused, shown_children
from purevirt.daemons.rostore.upstream import LOST, Upstream
from purevirt.errors import RemoteProtocolError
from purevirt.wire.xenstore import messages
from purevirt.wire.xenstore.errnos import error_payload
from purevirt.wire.xenstore.packets import MAX_PAYLOAD, Decoder, Op, Packet, encode
from purevirt.wire.xenstore.paths import MAX_ABSOLUTE, is_valid_path

__all__ = ["Client", "Owner"]

WATCHES = 4096
TRANSACTIONS = 64
QUEUE = 256
ROOM = 1 << 20
LONGEST_TOKEN = 512
HOME = b"/local/domain/0/"
"""What a relative path is relative to, as for every client of the socket."""

_READS = frozenset((Op.READ, Op.DIRECTORY, Op.GET_PERMS, Op.GET_DOMAIN_PATH, Op.IS_DOMAIN_INTRODUCED))
_CHANGES = frozenset(
    (
        Op.CONTROL,
        Op.INTRODUCE,
        Op.RELEASE,
        Op.WRITE,
        Op.MKDIR,
        Op.RM,
        Op.SET_PERMS,
        Op.RESUME,
        Op.SET_TARGET,
        Op.RESTRICT,
        Op.SET_FEATURE,
        Op.SET_QUOTA,
    )
)
_PATH_READS = frozenset((Op.READ, Op.DIRECTORY, Op.GET_PERMS))

_log = logging.getLogger(__name__)


class Owner(Protocol):
    """What a client needs of the server."""

    upstream: Upstream

    def forget(self, client: Client) -> None: ...
    def watch(self, client: Client, path: bytes) -> None: ...
    def unwatch(self, client: Client, path: bytes) -> None: ...


class Client(asyncio.Protocol):
    """A connection."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._decoder = Decoder()
        self._requests: deque[Packet] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._watches: dict[tuple[bytes, bytes], None] = {}
        self._transactions: set[int] = set()
        self._next_transaction = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._paused = False
        self._closed = False

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=ROOM // 4)

    def data_received(self, data: bytes) -> None:
        try:
            self._requests += self._decoder.feed(data)
        except RemoteProtocolError:
            self.drop()
            return
        if len(self._requests) >= QUEUE:
            self._pause(True)
        if self._worker is None and self._requests:
            self._worker = asyncio.get_running_loop().create_task(self._work(), name="rostore: client")

    def eof_received(self) -> bool:
        """What was asked before is still answered: `_work` closes when it is done."""
        if self._worker is None:
            return False
        self._closed = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._writable.set()
        self._requests.clear()
        for path, _ in self._watches:
            self._owner.unwatch(self, path)
        self._watches.clear()
        if self._worker is not None:
            self._worker.cancel()
        self._owner.forget(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def drop(self) -> None:
        """Close it, whatever waits."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    def _pause(self, pause: bool) -> None:
        assert self._transport is not None
        if pause != self._paused and not self._transport.is_closing():
            self._paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _send(self, op: int, req_id: int, tx_id: int, payload: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(op, req_id, tx_id, payload))

    # --- events

    def tell(self, watched: bytes, changed: bytes) -> None:
        """Something happened at `changed`, which the watches of this client on `watched` cover."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > ROOM:
            _log.info("a client of the read-only store does not read its events; it is dropped")
            self.drop()
            return
        for path, token in self._watches:
            if path == watched:
                self._event(changed, token)

    def _event(self, path: bytes, token: bytes) -> None:
        self._send(Op.WATCH_EVENT, 0, 0, messages.format_watch_event(path, token))

    # --- requests

    async def _work(self) -> None:
        try:
            while self._requests:
                batch = self._batch()
                if batch:
                    await self._forward(batch)
                else:
                    await self._serve(self._requests.popleft())
                await self._writable.wait()
                if len(self._requests) < QUEUE // 2:
                    self._pause(False)
        except LOST as error:
            _log.info("a client of the read-only store is dropped: %s", error)
            self.drop()
        except Exception:
            _log.exception("a request to the read-only store could not be served; its client is dropped")
            self.drop()
        finally:
            self._worker = None
            if self._closed and self._transport is not None:
                self._transport.close()

    def _batch(self) -> list[Packet]:
        batch: list[Packet] = []
        while self._requests and self._requests[0].op in _READS:
            batch.append(self._requests.popleft())
        return batch

    async def _forward(self, batch: list[Packet]) -> None:
        """Answer reads: those that are allowed with what xenstored says."""
        answers: list[str | None] = []  # an error's name, or None: see the reply
        requests: list[Request] = []
        paths: list[bytes] = []
        for packet in batch:
            try:
                path, payload = self._admit(packet)
            except Refused as refused:
                answers.append(str(refused))
                continue
            answers.append(None)
            requests.append((packet.op, 0, payload))
            paths.append(path)
        replies = await self._owner.upstream.ask(requests) if requests else []
        come = iter(zip(paths, replies, strict=True))
        for packet, wrong in zip(batch, answers, strict=True):
            if wrong is not None:
                self._error(packet, wrong)
                continue
            path, reply = next(come)
            if reply.op != Op.ERROR:
                self._reply(packet, path, reply.payload)
            elif packet.op == Op.DIRECTORY and reply.payload == b"E2BIG\0":
                await self._long_directory(packet, path)
            else:
                self._send(Op.ERROR, packet.req_id, packet.tx_id, reply.payload)

    def _admit(self, packet: Packet) -> tuple[bytes, bytes]:
        """The path that is asked for, and what to ask xenstored."""
        self._check_transaction(packet)
        fields = messages.split_fields(packet.payload)
        if fields is None or len(fields) != 1:
            raise Refused("EINVAL")
        if packet.op not in _PATH_READS:
            if not fields[0].isdigit() or len(fields[0]) > 5:
                raise Refused("EINVAL")
            return b"", packet.payload
        path = _absolute(fields[0])
        if shown_as(path) == Shown.NOTHING:
            raise Refused("ENOENT")
        return path, path + b"\0"

    def _check_transaction(self, packet: Packet) -> None:
        if packet.tx_id and packet.tx_id not in self._transactions:
            raise Refused("ENOENT")

    def _reply(self, packet: Packet, path: bytes, payload: bytes) -> None:
        if packet.op == Op.READ:
            if shown_as(path) != Shown.VALUE:
                payload = b""
            elif not value_allowed(path, payload):
                self._error(packet, "ENOENT")
                return
        elif packet.op == Op.DIRECTORY:
            payload = shown_children(path, payload)
            if len(payload) > MAX_PAYLOAD:  # oxenstored tells more than a packet's worth on a socket
                self._error(packet, "E2BIG")
                return
        self._send(packet.op, packet.req_id, packet.tx_id, payload)

    def _error(self, packet: Packet, name: str) -> None:
        self._send(Op.ERROR, packet.req_id, packet.tx_id, error_payload(name))

    async def _serve(self, packet: Packet) -> None:
        """Everything that is no plain read."""
        try:
            match packet.op:
                case Op.WATCH:
                    await self._watch(packet)
                case Op.UNWATCH:
                    await self._unwatch(packet)
                case Op.RESET_WATCHES:
                    self._reset(packet)
                case Op.TRANSACTION_START:
                    self._begin(packet)
                case Op.TRANSACTION_END:
                    self._end(packet)
                case Op.DIRECTORY_PART:
                    await self._directory_part(packet)
                case op if op in _CHANGES:
                    raise Refused("EROFS")
                case _:
                    raise Refused("ENOSYS")
        except Refused as refused:
            self._error(packet, str(refused))

    # --- long listings

    async def _long_directory(self, packet: Packet, path: bytes) -> None:
        """More than a packet's worth exists; what is shown of it may be less."""
        with contextlib.suppress(Refused):
            _, names = await listings.whole(self._owner.upstream, path)
            if len(names) <= MAX_PAYLOAD:
                self._send(packet.op, packet.req_id, packet.tx_id, names)
                return
        self._error(packet, "E2BIG")

    async def _directory_part(self, packet: Packet) -> None:
        self._check_transaction(packet)
        fields = messages.split_fields(packet.payload)
        if fields is None or len(fields) != 2 or not fields[1].isdigit() or len(fields[1]) > 10:
            raise Refused("EINVAL")
        path = _absolute(fields[0])
        if shown_as(path) == Shown.NOTHING:
            raise Refused("ENOENT")
        generation, names = await listings.whole(self._owner.upstream, path)
        payload = listings.cut(generation, names, int(fields[1]))
        self._send(packet.op, packet.req_id, packet.tx_id, payload)

    # --- watches

    def _watched(self, packet: Packet) -> tuple[bytes, bytes]:
        fields = messages.split_fields(packet.payload)
        if fields is None or not 2 <= len(fields) <= 3 or (len(fields) == 3 and packet.op == Op.UNWATCH):
            raise Refused("EINVAL")
        path, token = fields[:2]
        if path[:1] not in (b"/", b"@") or not is_valid_path(path) or len(token) > LONGEST_TOKEN:
            raise Refused("EINVAL")
        return path, token

    async def _watch(self, packet: Packet) -> None:
        """A depth, which came with Xen 4.22, is not taken: more is told than was asked for, and less is refused."""
        path, token = self._watched(packet)
        if packet.payload.count(b"\0") > 2:
            raise Refused("EINVAL")
        if not may_watch(path):
            raise Refused("EACCES")
        if (path, token) in self._watches:
            raise Refused("EEXIST")
        if len(self._watches) >= WATCHES:
            raise Refused("E2BIG")
        if not await self._owner.upstream.watch(path):
            raise Refused("EIO")
        if self._transport is None or self._transport.is_closing():
            await self._owner.upstream.unwatch(path)
            return
        self._watches[path, token] = None
        self._owner.watch(self, path)
        self._send(packet.op, packet.req_id, packet.tx_id, messages.OK)
        self._event(path, token)

    async def _unwatch(self, packet: Packet) -> None:
        path, token = self._watched(packet)
        if self._watches.pop((path, token), self) is self:
            raise Refused("ENOENT")
        self._owner.unwatch(self, path)
        self._send(packet.op, packet.req_id, packet.tx_id, messages.OK)

    def _reset(self, packet: Packet) -> None:
        for path, _ in self._watches:
            self._owner.unwatch(self, path)
        self._watches.clear()
        self._transactions.clear()
        self._send(packet.op, packet.req_id, packet.tx_id, messages.OK)

    # --- transactions

    def _begin(self, packet: Packet) -> None:
        if packet.tx_id:
            raise Refused("EBUSY")
        if len(self._transactions) >= TRANSACTIONS:
            raise Refused("ENOSPC")
        self._next_transaction = self._next_transaction % 0x7FFFFFFF + 1
        self._transactions.add(self._next_transaction)
        self._send(packet.op, packet.req_id, packet.tx_id, b"%d\0" % self._next_transaction)

    def _end(self, packet: Packet) -> None:
        if packet.payload not in (b"T\0", b"F\0"):
            raise Refused("EINVAL")
        if packet.tx_id not in self._transactions:
            raise Refused("ENOENT")
        self._transactions.discard(packet.tx_id)
        self._send(packet.op, packet.req_id, packet.tx_id, messages.OK)


def _absolute(path: bytes) -> bytes:
    if not is_valid_path(path) or path[:1] == b"@":
        raise Refused("EINVAL")
    if path[:1] == b"/":
        return path
    path = HOME + path
    if len(path) > MAX_ABSOLUTE:
        raise Refused("EINVAL")
    return path
