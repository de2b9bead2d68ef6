"""A Xen Store in this very thread: our server's core behind the transport's interface, without a socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from purevirt._run import run_blocking
from purevirt.channels.xenstore.client import StoreClient
from purevirt.channels.xenstore.pipeline import Pipeline
from purevirt.channels.xenstore.transport import Request
from purevirt.daemons.xenstored import Server
from purevirt.wire.xenstore.packets import Packet


class MemoryTransport:
    """Carries requests to a server's core and counts the exchanges."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = server.connect()
        self._pipeline = Pipeline()
        self.on_event: Callable[[bytes], None] | None = None
        self.closed = False
        self.exchanges = 0
        self.requests = 0
        self.before_exchange: Callable[[int], None] | None = None

    async def exchange(self, requests: Sequence[Request], timeout: float | None) -> list[Packet]:
        self.exchanges += 1
        self.requests += len(requests)
        if self.before_exchange is not None:
            self.before_exchange(self.exchanges)
        if not requests:
            return []
        self._pipeline.on_event = self.on_event
        batch = self._pipeline.begin(requests)
        self._pipeline.feed(self._server.receive(self._connection, batch.data))
        assert not batch.missing
        return batch.replies

    async def wait_events(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        await self.poll_events()
        return ready()

    async def poll_events(self) -> None:
        self._pipeline.on_event = self.on_event
        self._pipeline.feed(self._connection.take())

    async def pause(self, seconds: float) -> None:
        return None

    async def close(self) -> None:
        self.closed = True


class MemoryConnector:
    """Makes further connections to the same server, for watches."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def connect(self, timeout: float | None) -> MemoryTransport:
        return MemoryTransport(self._server)

    async def connect_lane(self, timeout: float | None) -> None:
        return None  # as a device: a large batch counts as one exchange

    async def pause(self, seconds: float) -> None:
        return None


def memory_store(nodes: dict[str, str] | None = None) -> tuple[StoreClient, MemoryTransport]:
    """A client of a new, private store that holds these nodes."""
    server = Server()
    transport = MemoryTransport(server)
    client = StoreClient(transport, connector=MemoryConnector(server))
    if nodes:
        run_blocking(client.write_many(list(nodes.items())))
    transport.exchanges = transport.requests = 0
    return client, transport
