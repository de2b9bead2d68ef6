"""The guest's side of the Xen Store's ring, as a transport of the ordinary client.

Requests go into the ring as far as there is room, and replies are taken out of it, whenever the event channel rings.
There are no deadlines: a kernel whose xenstored is gone waits until there is one again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from purevirt.channels.xenstore.pipeline import Pipeline
from purevirt.channels.xenstore.transport import CHANNEL, Request
from purevirt.errors import Closed, RemoteProtocolError
from purevirt.wire.bus.rings import RingBroken, StoreRing
from purevirt.wire.xenstore.packets import Packet

__all__ = ["RingTransport"]


class RingTransport:
    """A ring and its port. `notify` rings the daemon; call `pump` when the daemon rings."""

    def __init__(self, ring: StoreRing, notify: Callable[[], None]) -> None:
        self._ring = ring
        self._notify = notify
        self._pipeline = Pipeline()
        self._outgoing = bytearray()
        self._waiting: set[asyncio.Future[None]] = set()
        self._reason: str | None = None

    @property
    def on_event(self) -> Callable[[bytes], None] | None:
        return self._pipeline.on_event

    @on_event.setter
    def on_event(self, handler: Callable[[bytes], None] | None) -> None:
        self._pipeline.on_event = handler

    @property
    def closed(self) -> bool:
        return self._reason is not None

    async def exchange(self, requests: Sequence[Request], timeout: float | None) -> list[Packet]:
        if self._reason is not None:
            raise Closed(self._reason, channel=CHANNEL)
        if not requests:
            return []
        batch = self._pipeline.begin(requests)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        batch.on_done = lambda: None if future.done() else future.set_result(None)
        self._waiting.add(future)
        try:
            self._outgoing += batch.data
            self.pump()
            await future
        finally:
            self._waiting.discard(future)
            if batch.missing:
                self._pipeline.abandon(batch)
        return batch.replies

    def pump(self) -> None:
        """Take what has come, and send what there is room for."""
        if self._reason is not None:
            return
        try:
            data = self._ring.replies.take()
            sent = self._ring.requests.put(self._outgoing)
        except RingBroken:
            self.end("the Xen Store's ring is broken")
            return
        del self._outgoing[:sent]
        if data or sent:
            self._notify()
        if data:
            try:
                self._pipeline.feed(data)
            except RemoteProtocolError as error:
                self.end(error.message)

    def end(self, reason: str) -> None:
        """No more of it: whoever waits gets Closed."""
        self._reason = self._reason or reason
        for future in self._waiting:
            if not future.done():
                future.set_exception(Closed(self._reason, channel=CHANNEL))

    async def wait_events(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        raise NotImplementedError("a kernel is told of its events")

    async def poll_events(self) -> None:
        self.pump()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        self.end("the guest's connection to the Xen Store is closed")
