"""A bus, and an xenstored on it, in this thread: for tests that play the guest themselves, byte by byte.

`turn()` lets both serve whoever is ready, until nobody is. There is no kernel in the domains.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from purevirt.daemons.xenstored import Rings, Server, Shell
from purevirt.host.bus import Bus, Seed
from purevirt.host.bus_server import BusServer
from purevirt.host.clock import HeldClock
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.bus import StoreRing
from purevirt.wire.xenstore import HEADER, Decoder, Op, Packet

__all__ = ["Domain", "RingHost", "ring_host"]


class Domain:
    """A domain whose kernel is the test."""

    def __init__(self, host: RingHost, domid: int, seed: Seed) -> None:
        self.host = host
        self.domid = domid
        self.seed = seed
        self.page = host.bus.page(domid, seed.store_gfn)
        self.ring = StoreRing(self.page)
        self.rung = 0
        self.decoder = Decoder()
        host.bus.channels.listen(domid, seed.store_port, self._ring)

    def _ring(self, port: int) -> None:
        self.rung += 1

    def notify(self) -> None:
        self.host.bus.channels.send(self.domid, self.seed.store_port)

    def send(self, data: bytes) -> bytes:
        """Put bytes into the ring, ring, and take what comes back, until there is no more."""
        came = b""
        while True:
            data = data[self.ring.requests.put(data) :]
            self.notify()
            self.host.turn()
            reply = self.ring.replies.take()
            came += reply
            if not data and not reply:
                return came

    def ask(self, op: int, payload: bytes, tx_id: int = 0) -> Packet:
        """One request; its reply. Watch events that come with it are dropped."""
        packets = self.decoder.feed(self.send(HEADER.pack(op, 7, tx_id, len(payload)) + payload))
        (reply,) = [packet for packet in packets if packet.op != Op.WATCH_EVENT]
        return reply


class RingHost:
    def __init__(self, loop: asyncio.AbstractEventLoop, root: Path) -> None:
        self.loop = loop
        self.root = root
        self.hypervisor = Hypervisor(HeldClock())
        self.bus = Bus(self.hypervisor, str(root / "memory"))
        self.bus_server = BusServer(self.bus, str(root / "bus"))
        loop.run_until_complete(self.bus_server.start())
        self.server = Server()
        self.start_xenstored(self.server)

    def start_xenstored(self, server: Server, unsent: dict[int, bytes] | None = None) -> None:
        self.server = server
        self.rings = Rings(server, str(self.root / "bus"), str(self.root / "memory"))
        self.rings.unsent_of.update(unsent or {})
        self.shell = Shell(server, self.rings)
        self.turn()

    def turn_bus(self) -> None:
        """Let the bus see that somebody has gone."""
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))

    def turn(self) -> None:
        quiet = 0
        while quiet < 2:
            before = self.bus_server.served
            self.loop.run_until_complete(asyncio.sleep(0))
            served = self.shell.run_once()
            self.loop.run_until_complete(asyncio.sleep(0))
            quiet = 0 if served or self.bus_server.served != before else quiet + 1

    def create(self) -> Domain:
        domid = self.hypervisor.create_domain(handle=bytes(16)).domid
        return Domain(self, domid, self.bus.seed(domid))

    def privileged(self, op: int, payload: bytes) -> Packet:
        """A request of Domain 0's; its reply, however long that takes."""
        connection = self.server.connect()
        data = self.server.receive(connection, HEADER.pack(op, 7, 0, len(payload)) + payload)
        self.shell.deliver()
        self.turn()
        (reply,) = Decoder().feed(data or connection.take())
        self.server.disconnect(connection)
        return reply

    def introduce(self, domain: Domain, port: int | None = None) -> Packet:
        number = domain.seed.store_port if port is None else port
        return self.privileged(
            Op.INTRODUCE, b"%d\x00%d\x00%d\0" % (domain.domid, domain.seed.store_gfn, number)
        )

    def guest(self) -> Domain:
        domain = self.create()
        assert self.introduce(domain).payload == b"OK\0"
        return domain

    def close(self) -> None:
        self.shell.close()
        self.loop.run_until_complete(self.bus_server.stop())


@contextmanager
def ring_host(root: Path) -> Iterator[RingHost]:
    loop = asyncio.new_event_loop()
    try:
        host = RingHost(loop, root)
        try:
            yield host
        finally:
            host.close()
            loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()
