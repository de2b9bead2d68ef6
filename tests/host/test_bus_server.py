"""The bus on its socket: what a daemon can ask, what it is told, and what its garbage does."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from purevirt.channels.bus import BusClient, SharedMemory
from purevirt.errors import ConnectError
from purevirt.host.bus import Bus, Seed
from purevirt.host.bus_server import BusServer
from purevirt.host.clock import HeldClock
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.bus import BusOp, ChannelStatus, DomainChange, GrantFlag, GrantStatus, Notice, Virq
from purevirt.wire.bus.frames import READ_ONLY


class Served:
    def __init__(self, root: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.hypervisor = Hypervisor(HeldClock())
        self.bus = Bus(self.hypervisor, str(root / "memory"))
        self.server = BusServer(self.bus, str(root / "bus"))
        self.loop.run_until_complete(self.server.start())
        self.clients: list[BusClient] = []
        self.root = root

    def client(self) -> BusClient:
        client = BusClient.connect(str(self.root / "bus"), SharedMemory(str(self.root / "memory")))
        self.clients.append(client)
        return client

    def turn(self) -> None:
        for _ in range(5):
            for client in self.clients:
                client.flush()
            self.loop.run_until_complete(asyncio.sleep(0))
            for client in self.clients:
                client.receive()

    def ask(self, client: BusClient, op: BusOp, *arguments: int) -> Notice:
        answers: list[Notice] = []
        client.ask(answers.append, op, *arguments)
        self.turn()
        (answer,) = answers
        return answer

    def domain(self) -> tuple[int, Seed]:
        domid = self.hypervisor.create_domain(handle=bytes(16)).domid
        return domid, self.bus.seed(domid)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    for client in served.clients:
        client.close()
    served.loop.run_until_complete(served.server.stop())
    served.loop.run_until_complete(asyncio.sleep(0))
    served.loop.close()


def test_a_page_that_is_mapped_is_the_guests_own(served: Served) -> None:
    domid, seed = served.domain()
    client = served.client()
    answer = served.ask(client, BusOp.MAP_GRANT, domid, 1)
    assert answer.status == 0
    served.bus.page(domid, seed.store_gfn)[:5] = b"hello"
    assert bytes(client.memory.page(answer.second)[:5]) == b"hello"
    assert served.ask(client, BusOp.UNMAP_GRANT, answer.first).status == 0
    assert served.ask(client, BusOp.UNMAP_GRANT, answer.first).status == GrantStatus.BAD_HANDLE


def test_errors_are_xens(served: Served) -> None:
    domid, seed = served.domain()
    client = served.client()
    for op, arguments, expected in (
        (BusOp.MAP_GRANT, (99, 1), GrantStatus.BAD_DOMAIN),
        (BusOp.MAP_GRANT, (domid, 9), GrantStatus.GENERAL_ERROR),
        (BusOp.MAP_GRANT, (domid, 1, 2), GrantStatus.GENERAL_ERROR),
        (BusOp.BIND_INTERDOMAIN, (99, 1), -errno.ESRCH),
        (BusOp.BIND_INTERDOMAIN, (domid, 99), -errno.EINVAL),
        (BusOp.BIND_UNBOUND, (99,), -errno.ESRCH),
        (BusOp.BIND_VIRQ, (99,), -errno.EINVAL),
        (BusOp.NOTIFY, (seed.store_port,), -errno.EINVAL),  # not a port of ours
        (BusOp.UNBIND, (seed.store_port,), -errno.EINVAL),
        (BusOp.UNMASK, (5,), -errno.EINVAL),
        (BusOp.POLL_DOMAIN, (), 0),  # the domain was created
        (BusOp.POLL_DOMAIN, (), -errno.ENOENT),
    ):
        assert served.ask(client, op, *arguments).status == expected, op


def test_a_read_only_mapping_is_marked_as_one(served: Served) -> None:
    domid, _ = served.domain()
    assert served.ask(served.client(), BusOp.MAP_GRANT, domid, 1, READ_ONLY).status == 0
    assert served.bus.grants.flags(domid, 1) == GrantFlag.PERMIT_ACCESS | GrantFlag.READING


def test_events_go_both_ways_and_coalesce_while_nobody_takes_them(served: Served) -> None:
    domid, seed = served.domain()
    heard: list[object] = []
    served.bus.channels.listen(domid, seed.store_port, lambda port: heard.append(("guest", port)))
    client = served.client()
    client.on_event = lambda port: heard.append(("daemon", port))
    port = served.ask(client, BusOp.BIND_INTERDOMAIN, domid, seed.store_port).first
    assert heard == [("daemon", port)]  # as it was bound
    heard.clear()
    for _ in range(100):
        served.bus.channels.send(domid, seed.store_port)
    served.turn()
    assert heard == [("daemon", port)] * 2  # the first, and all that came before it was taken
    heard.clear()
    client.tell(BusOp.NOTIFY, port)
    served.turn()
    assert heard == [("guest", seed.store_port)]


def test_a_port_of_ours_can_be_offered_to_a_domain(served: Served) -> None:
    domid, _ = served.domain()
    client = served.client()
    heard: list[int] = []
    client.on_event = heard.append
    port = served.ask(client, BusOp.BIND_UNBOUND, domid).first
    theirs = served.bus.channels.bind_interdomain(domid, 0, port)
    served.bus.channels.send(domid, theirs)
    served.turn()
    assert heard == [port]
    assert served.ask(client, BusOp.UNBIND, port).status == 0
    assert served.bus.channels.status(domid, theirs).status is ChannelStatus.UNBOUND


def test_whoever_binds_the_virq_is_told_which_domains_there_are_and_which_have_changed(
    served: Served,
) -> None:
    first, _ = served.domain()
    client = served.client()
    heard: list[int] = []
    client.on_event = heard.append
    assert served.ask(client, BusOp.BIND_VIRQ, Virq.DOM_EXC).status == 0
    assert served.ask(client, BusOp.POLL_DOMAIN)[2:] == (first, DomainChange.EXISTS)
    assert served.ask(served.client(), BusOp.BIND_VIRQ, Virq.DOM_EXC).status == -errno.EEXIST
    second, _ = served.domain()
    served.hypervisor.shutdown(first, 0)
    served.hypervisor.destroy(second, linger=True)
    served.turn()
    assert heard
    states = dict(served.ask(client, BusOp.POLL_DOMAIN)[2:] for _ in range(2))
    assert states == {
        first: DomainChange.EXISTS | DomainChange.SHUTDOWN,
        second: DomainChange.EXISTS | DomainChange.DYING,
    }
    served.hypervisor.destroy(second)
    assert served.ask(client, BusOp.POLL_DOMAIN)[1:] == (0, second, 0)


def test_what_a_daemon_had_ends_with_its_connection(served: Served) -> None:
    domid, seed = served.domain()
    client = served.client()
    served.ask(client, BusOp.MAP_GRANT, domid, 1)
    served.ask(client, BusOp.BIND_INTERDOMAIN, domid, seed.store_port)
    client.close()
    served.turn()
    assert served.bus.grants.flags(domid, 1) == GrantFlag.PERMIT_ACCESS
    assert served.bus.channels.status(domid, seed.store_port).status is ChannelStatus.UNBOUND
    assert served.server.clients == 0


def test_garbage_ends_the_connection_and_no_other(served: Served) -> None:
    bad, good = served.client(), served.client()
    bad._socket.send(b"\xff" * 24)
    served.turn()
    assert bad.closed
    assert served.ask(good, BusOp.BIND_UNBOUND, 0).status == 0


def test_whoever_waits_is_told_that_the_bus_has_gone(served: Served) -> None:
    client = served.client()
    served.turn()
    answers: list[Notice] = []
    client.ask(answers.append, BusOp.BIND_UNBOUND, 0)
    served.loop.run_until_complete(served.server.stop())
    served.turn()
    client.ask(answers.append, BusOp.BIND_UNBOUND, 0)
    assert [answer.status for answer in answers] == [-errno.ECONNRESET] * 2
    with pytest.raises(ConnectError):
        served.client()


def test_only_pages_of_the_host_can_be_looked_at(served: Served) -> None:
    served.domain()
    memory = SharedMemory(str(served.root / "memory"))
    for offset in (1, -4096, 1 << 40):
        with pytest.raises(OSError, match="Invalid argument"):
            memory.page(offset)
