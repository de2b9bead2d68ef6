"""xenstored and guests through real rings: introduced, hostile, slow, gone, and found again."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.daemons.xenstored import Server, state
from purevirt.wire.bus import ChannelStatus, GrantFlag, RingConnection, RingError
from purevirt.wire.hypercall.subops import (
    ShutdownCode,
)
from purevirt.wire.xenstore import HEADER, Op, Packet
from tests.daemons.xenstored.talk import Talk, sound
from tests.support.ring_host import Domain, RingHost, ring_host

MAPPED = GrantFlag.PERMIT_ACCESS | GrantFlag.READING | GrantFlag.WRITING


@pytest.fixture
def host(tmp_path: Path) -> Iterator[RingHost]:
    with ring_host(tmp_path) as host:
        yield host
        sound(host.server)


def works(guest: Domain) -> bool:
    path = b"/local/domain/%d" % guest.domid
    return guest.ask(Op.GET_DOMAIN_PATH, b"%d\0" % guest.domid).payload == path + b"\0"


def home(host: RingHost, guest: Domain) -> Talk:
    """Give the guest a place of its own; Domain 0's client."""
    dom0 = Talk(host.server)
    path = b"/local/domain/%d" % guest.domid
    dom0.write(path)
    dom0.allow(path, b"n%d" % guest.domid)
    return dom0


# --- introductions


def test_an_introduction_maps_the_page_and_binds_the_channel(host: RingHost) -> None:
    guest = host.create()
    assert host.introduce(guest) == Packet(Op.INTRODUCE, 7, 0, b"OK\0")
    assert host.bus.channels.status(guest.domid, guest.seed.store_port).status is ChannelStatus.INTERDOMAIN
    assert host.bus.grants.flags(guest.domid, 1) == MAPPED
    assert guest.rung
    assert guest.ring.server_features == 7
    assert works(guest)


@pytest.mark.parametrize("port", [3, 77, 4096])
def test_an_introduction_with_a_wrong_port_is_refused_and_leaves_nothing(host: RingHost, port: int) -> None:
    guest = host.create()
    assert host.introduce(guest, port).payload == b"EINVAL\0"
    assert host.bus.grants.flags(guest.domid, 1) == GrantFlag.PERMIT_ACCESS
    assert not host.server.is_introduced(guest.domid)
    assert host.introduce(guest).payload == b"OK\0"


def test_a_domain_that_does_not_exist_cannot_be_introduced(host: RingHost) -> None:
    assert host.privileged(Op.INTRODUCE, b"9\x001\x001\0").payload == b"EINVAL\0"


def test_a_domain_without_a_granted_page_cannot_be_introduced(host: RingHost) -> None:
    guest = host.create()
    host.bus.grants.end(guest.domid, 1)
    assert host.introduce(guest).payload == b"EINVAL\0"
    port = host.bus.channels.status(guest.domid, guest.seed.store_port)
    assert port.status is ChannelStatus.UNBOUND


def test_what_a_client_asks_behind_an_introduction_is_answered_behind_it(host: RingHost) -> None:
    guest = host.create()
    connection = host.server.connect()
    introduce = b"%d\x001\x00%d\0" % (guest.domid, guest.seed.store_port)
    data = HEADER.pack(Op.INTRODUCE, 1, 0, len(introduce)) + introduce
    data += HEADER.pack(Op.IS_DOMAIN_INTRODUCED, 2, 0, 2) + b"%d\0" % guest.domid
    assert host.server.receive(connection, data) == b""
    host.shell.deliver()
    host.turn()
    assert connection.take() == (
        HEADER.pack(Op.INTRODUCE, 1, 0, 3) + b"OK\0" + HEADER.pack(Op.IS_DOMAIN_INTRODUCED, 2, 0, 2) + b"T\0"
    )
    host.server.disconnect(connection)


def test_a_client_that_goes_before_the_answer_changes_nothing(host: RingHost) -> None:
    guest = host.create()
    connection = host.server.connect()
    introduce = b"%d\x001\x00%d\0" % (guest.domid, guest.seed.store_port)
    host.server.receive(connection, HEADER.pack(Op.INTRODUCE, 1, 0, len(introduce)) + introduce)
    host.server.disconnect(connection)
    host.shell.deliver()
    host.turn()
    assert works(guest)


def test_a_second_introduction_begins_anew(host: RingHost) -> None:
    guest = host.guest()
    dom0 = home(host, guest)
    path = b"/local/domain/%d" % guest.domid
    guest.ask(Op.WATCH, path + b"\0t\0")
    guest.ring.requests.put(b"half a packet")
    assert host.introduce(guest).payload == b"OK\0"
    assert works(guest)
    dom0.write(path + b"/new")
    host.shell.deliver()
    host.turn()
    assert guest.ring.replies.take() == b""  # its watch is forgotten


# --- requests


def test_a_guest_has_its_own_rights_and_quotas(host: RingHost) -> None:
    guest = host.guest()
    dom0 = home(host, guest)
    path = b"/local/domain/%d" % guest.domid
    assert guest.ask(Op.WRITE, path + b"/mine\0x").payload == b"OK\0"
    assert guest.ask(Op.WRITE, b"/local/domain/0/not\0x").payload == b"EACCES\0"
    assert guest.ask(Op.INTRODUCE, b"5\x001\x001\0").payload == b"EACCES\0"
    assert dom0.permissions(path + b"/mine") == b"n%d" % guest.domid
    assert dom0.ask(Op.SET_QUOTA, b"%d\0nodes\x003\0" % guest.domid) == b"OK\0"
    answers = [guest.ask(Op.WRITE, path + b"/n%d\0" % number).payload for number in range(3)]
    assert answers == [b"OK\0", b"ENOSPC\0", b"ENOSPC\0"]


def test_an_event_reaches_a_guest_that_asks_nothing(host: RingHost) -> None:
    guest = host.guest()
    dom0 = home(host, guest)
    path = b"/local/domain/%d" % guest.domid
    guest.ask(Op.WATCH, path + b"\0t\0")
    rung = guest.rung
    dom0.write(path + b"/new")
    host.shell.deliver()
    host.turn()
    assert guest.rung > rung
    event = path + b"/new\0t\0"
    assert guest.ring.replies.take() == HEADER.pack(Op.WATCH_EVENT, 0, 0, len(event)) + event


def test_a_reply_longer_than_the_ring_comes_in_pieces(host: RingHost) -> None:
    guest = host.guest()
    home(host, guest)
    path = b"/local/domain/%d/long" % guest.domid
    value = bytes(range(256)) * 7
    assert guest.ask(Op.WRITE, path + b"\0" + value).payload == b"OK\0"
    assert guest.ask(Op.READ, path + b"\0").payload == value


def test_a_guest_that_takes_no_replies_is_not_read_and_loses_nothing(host: RingHost) -> None:
    guest = host.guest()
    home(host, guest)
    request = HEADER.pack(Op.GET_DOMAIN_PATH, 1, 0, 2) + b"1\0"
    asked = 0
    while True:
        put = guest.ring.requests.put(request * 40)
        asked += put
        guest.notify()
        host.turn()
        if not put:
            break
    assert asked < 4096
    reply = HEADER.pack(Op.GET_DOMAIN_PATH, 1, 0, 16) + b"/local/domain/1\0"
    came = guest.send(request[asked % len(request) :] if asked % len(request) else b"")
    assert came == reply * -(-asked // len(request))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.lists(st.integers(1, 40), max_size=12))
def test_requests_arrive_in_any_pieces_at_any_indices(
    tmp_path_factory: pytest.TempPathFactory, req: int, rsp: int, sizes: list[int]
) -> None:
    with ring_host(tmp_path_factory.mktemp("ring")) as host:
        guest = host.guest()
        struct.pack_into("<4I", guest.page, 2048, req, req, rsp, rsp)
        request = HEADER.pack(Op.GET_DOMAIN_PATH, 1, 0, 2) + b"1\0"
        came, at = b"", 0
        for size in [*sizes, 1000]:
            came += guest.send((request * 3)[at : at + size])
            at += size
        assert came == (HEADER.pack(Op.GET_DOMAIN_PATH, 1, 0, 16) + b"/local/domain/1\0") * 3


# --- hostile guests


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from([2048, 2056]),
    st.binary(max_size=64),
)
def test_whatever_a_guest_writes_into_its_page_others_are_served(
    tmp_path_factory: pytest.TempPathFactory, cons: int, prod: int, at: int, garbage: bytes
) -> None:
    with ring_host(tmp_path_factory.mktemp("ring")) as host:
        bad, good = host.guest(), host.guest()
        bad.page[: len(garbage)] = garbage
        struct.pack_into("<II", bad.page, at, cons, prod)
        bad.notify()
        host.turn()
        if (prod - cons) % 2**32 > 1024:
            assert bad.ring.error == RingError.RINGIDX
        else:
            assert bad.ring.error in (RingError.NONE, RingError.PROTO)
        assert works(good)
        sound(host.server)


def test_a_packet_that_is_too_long_is_a_broken_protocol(host: RingHost) -> None:
    guest = host.guest()
    assert guest.send(HEADER.pack(Op.READ, 1, 0, 4097)) == b""
    assert guest.ring.error == RingError.PROTO
    assert guest.send(HEADER.pack(Op.GET_DOMAIN_PATH, 1, 0, 2) + b"1\0") == b""  # it is not heard any more


def test_a_guest_that_was_ignored_is_heard_again_when_it_asks_for_a_fresh_connection(host: RingHost) -> None:
    guest = host.guest()
    struct.pack_into("<II", guest.page, 2048, 0, 5000)
    guest.notify()
    host.turn()
    assert guest.ring.error == RingError.RINGIDX
    guest.ring.connection = RingConnection.RECONNECT
    guest.notify()
    host.turn()
    assert (guest.ring.connection, guest.ring.error) == (RingConnection.CONNECTED, RingError.NONE)
    assert works(guest)


# --- domains that end


def test_a_domain_that_is_destroyed_is_released(host: RingHost) -> None:
    guest = host.guest()
    dom0 = home(host, guest)
    dom0.watch(b"@releaseDomain")
    dom0.events()
    host.hypervisor.destroy(guest.domid)
    host.turn()
    assert not host.server.is_introduced(guest.domid)
    assert dom0.paths() == [b"@releaseDomain"]
    assert len(host.bus.frames) == 0
    assert dom0.ask(Op.RELEASE, b"%d\0" % guest.domid) == "ENOENT"


def test_a_domain_that_stops_is_told_of_once_and_stays(host: RingHost) -> None:
    guest = host.guest()
    dom0 = Talk(host.server)
    dom0.watch(b"@releaseDomain")
    dom0.events()
    host.hypervisor.shutdown(guest.domid, ShutdownCode.CRASH)
    host.turn()
    assert dom0.paths() == [b"@releaseDomain"]
    assert host.server.is_introduced(guest.domid)


def test_release_lets_page_and_channel_go(host: RingHost) -> None:
    guest = host.guest()
    assert host.privileged(Op.RELEASE, b"%d\0" % guest.domid).payload == b"OK\0"
    assert host.bus.grants.flags(guest.domid, 1) == GrantFlag.PERMIT_ACCESS
    port = host.bus.channels.status(guest.domid, guest.seed.store_port)
    assert port.status is ChannelStatus.UNBOUND


# --- the bus, and the daemon itself, lost and found


def test_guests_go_on_where_they_were_when_the_bus_is_back(host: RingHost) -> None:
    guest = host.guest()
    home(host, guest)
    guest.ask(Op.WATCH, b"/local/domain/%d\0t\0" % guest.domid)
    host.loop.run_until_complete(host.bus_server.stop())
    guest.ring.requests.put(HEADER.pack(Op.GET_DOMAIN_PATH, 1, 0, 2) + b"1\0")
    guest.notify()
    host.turn()
    assert guest.ring.replies.take() == b""
    host.loop.run_until_complete(host.bus_server.start())
    host.turn()
    assert guest.ring.replies.take() == HEADER.pack(Op.GET_DOMAIN_PATH, 1, 0, 16) + b"/local/domain/1\0"


def test_without_a_bus_nobody_can_be_introduced(host: RingHost) -> None:
    guest = host.create()
    host.loop.run_until_complete(host.bus_server.stop())
    host.turn()
    assert host.introduce(guest).payload == b"EIO\0"


def test_a_daemon_that_takes_over_serves_the_guests_of_the_one_before(host: RingHost) -> None:
    guest, gone = host.guest(), host.guest()
    home(host, guest)
    path = b"/local/domain/%d" % guest.domid
    guest.ask(Op.WATCH, path + b"\0t\0")
    guest.ring.requests.put(HEADER.pack(Op.READ, 1, 0, len(path) + 1)[:10])  # the first part of a request
    guest.notify()
    host.turn()
    text = state.dump(host.server, host.rings.unsent_to)
    host.shell.close()
    host.hypervisor.destroy(gone.domid)
    host.turn_bus()
    server = Server()
    unsent = state.load(text, server)
    host.start_xenstored(server, unsent)
    rest = HEADER.pack(Op.READ, 1, 0, len(path) + 1)[10:] + path + b"\0"
    assert guest.send(rest) == HEADER.pack(Op.READ, 1, 0, 0)
    assert not server.is_introduced(gone.domid)
    Talk(server).write(path + b"/new")
    host.shell.deliver()
    host.turn()
    event = path + b"/new\0t\0"
    assert guest.ring.replies.take() == HEADER.pack(Op.WATCH_EVENT, 0, 0, len(event)) + event
