"""The two connections to the real xenstored: one asks, one watches, for all clients together.

A path that several clients watch is watched once. Both connections are made when the first client needs them and
kept. When either is lost, so are both, and all clients are dropped: as with a xenstored that was restarted, which
they have to know how to survive. The next request makes new ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from purevirt.channels.xenstore.aio import AsyncioTransport, Connector
from purevirt.channels.xenstore.transport import Request
from purevirt.daemons.xend.locks import Locks
from purevirt.errors import Closed, ConnectError, RemoteProtocolError, Timeout, XenError
from purevirt.wire.xenstore import messages
from purevirt.wire.xenstore.packets import Op, Packet

__all__ = ["Upstream"]

CONNECT_TIMEOUT = 5.0
TIMEOUT = 10.0

_TOKEN = b"ro"


class Upstream:
    """xenstored, shared. `on_event(path)`: a watched path, or something below it, has changed. `on_lost()`: both
    connections are gone."""

    def __init__(self, path: str, on_event: Callable[[bytes], None], on_lost: Callable[[], None]) -> None:
        self._connector = Connector(path)
        self._on_event = on_event
        self._on_lost = on_lost
        self._asking: AsyncioTransport | None = None
        self._watching: AsyncioTransport | None = None
        self._opening = asyncio.Lock()
        self._monitors: set[asyncio.Task[None]] = set()
        self._watched: dict[bytes, int] = {}
        self._turns = Locks()  # watching and unwatching one path happen in their order

    @property
    def watched(self) -> int:
        """How many paths are watched."""
        return len(self._watched)

    async def ask(self, requests: Sequence[Request]) -> list[Packet]:
        """Carry requests out, in one exchange. Raises what the transport raises."""
        transport = self._asking
        if transport is None or transport.closed:
            transport, _ = await self._open()
        return await transport.exchange(requests, TIMEOUT)

    async def watch(self, path: bytes) -> bool:
        """One client more wants to hear of a path. False: xenstored refuses it."""
        async with self._turns.hold(path):
            if self._watched.get(path, 0) == 0 and not await self._set(Op.WATCH, path):
                return False
            self._watched[path] = self._watched.get(path, 0) + 1
            return True

    async def unwatch(self, path: bytes) -> None:
        """One client less."""
        async with self._turns.hold(path):
            left = self._watched.get(path, 0) - 1
            if left > 0:
                self._watched[path] = left
            elif self._watched.pop(path, None) is not None:
                with contextlib.suppress(XenError):
                    await self._set(Op.UNWATCH, path)

    async def _set(self, op: Op, path: bytes) -> bool:
        transport = self._watching
        if transport is None or transport.closed:
            if op is Op.UNWATCH:
                return True
            _, transport = await self._open()
        (reply,) = await transport.exchange([(int(op), 0, path + b"\0" + _TOKEN + b"\0")], TIMEOUT)
        return reply.op != Op.ERROR

    async def _open(self) -> tuple[AsyncioTransport, AsyncioTransport]:
        async with self._opening:
            if self._asking is not None and self._watching is not None:
                return self._asking, self._watching
            asking = await self._connector.connect(CONNECT_TIMEOUT)
            try:
                watching = await self._connector.connect(CONNECT_TIMEOUT)
            except BaseException:
                await asking.close()
                raise
            watching.on_event = self._event
            self._asking, self._watching = asking, watching
            for transport in (asking, watching):
                task = asyncio.create_task(self._monitor(transport), name="rostore: upstream")
                self._monitors.add(task)
                task.add_done_callback(self._monitors.discard)
            return asking, watching

    async def _monitor(self, transport: AsyncioTransport) -> None:
        """Notice that a connection has ended, without asking it anything."""
        with contextlib.suppress(XenError):
            await transport.wait_events(lambda: False, None)
        await self._drop()

    async def _drop(self) -> None:
        asking, watching = self._asking, self._watching
        if asking is None or watching is None:
            return
        self._asking = self._watching = None
        self._watched.clear()
        await asking.close()
        await watching.close()
        self._on_lost()

    def _event(self, payload: bytes) -> None:
        try:
            event = messages.parse_watch_event(payload)
        except RemoteProtocolError:
            return
        self._on_event(event.path.encode("ascii", "surrogateescape"))

    async def close(self) -> None:
        """Close both connections."""
        self._on_lost = lambda: None
        await self._drop()
        for task in list(self._monitors):
            task.cancel()
        await asyncio.gather(*self._monitors, return_exceptions=True)


LOST = (Closed, ConnectError, RemoteProtocolError, Timeout)
"""What says that xenstored cannot be asked now."""
