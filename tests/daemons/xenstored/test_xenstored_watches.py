"""Watches: who is told of what, when, and by which path."""

from __future__ import annotations

import pytest

from purevirt.daemons.xenstored import Server
from purevirt.daemons.xenstored.connection import MAX_PENDING_EVENTS
from purevirt.wire.xenstore import Op
from tests.daemons.xenstored.talk import Talk, packets, request

OK = b"OK\0"


@pytest.fixture
def other(server: Server) -> Talk:
    return Talk(server)


def test_a_watch_fires_once_when_it_is_set(dom0: Talk) -> None:
    assert dom0.watch(b"/not/there", b"token") == OK
    assert dom0.events() == [(b"/not/there", b"token")]
    assert dom0.events() == []


def test_the_reply_comes_before_the_first_event(server: Server) -> None:
    replies = packets(server.receive(server.connect(), request(Op.WATCH, b"/a\0t\0")))
    assert [packet.op for packet in replies] == [Op.WATCH, Op.WATCH_EVENT]


def test_creation_change_and_removal_are_told(dom0: Talk, other: Talk) -> None:
    dom0.watch(b"/a")
    dom0.events()
    assert other.mkdir(b"/a") == OK
    assert dom0.paths() == [b"/a"]
    assert other.write(b"/a", b"1") == OK
    assert dom0.paths() == [b"/a"]
    assert other.allow(b"/a", b"r0") == OK
    assert dom0.paths() == [b"/a"]
    other.read(b"/a")
    other.mkdir(b"/a")  # it is there: nothing changes
    assert dom0.paths() == []
    other.rm(b"/a")
    assert dom0.paths() == [b"/a"]
    other.rm(b"/a")
    assert dom0.paths() == []


def test_what_happens_below_is_told_with_its_own_path(dom0: Talk, other: Talk) -> None:
    dom0.watch(b"/a")
    dom0.watch(b"/", b"root")
    dom0.events()
    other.write(b"/a/b/c")
    assert dom0.events() == [(b"/a/b/c", b"t"), (b"/a/b/c", b"root")]
    other.write(b"/ab")
    assert dom0.events() == [(b"/ab", b"root")]


def test_a_parents_removal_is_told_with_the_watched_path(dom0: Talk, other: Talk) -> None:
    other.write(b"/a/b/c")
    other.write(b"/a/b/d")
    dom0.watch(b"/a/b/c", b"c")
    dom0.watch(b"/a/b", b"b")
    dom0.watch(b"/a", b"a")
    dom0.events()
    other.rm(b"/a")
    assert dom0.events() == [(b"/a/b/c", b"c"), (b"/a/b", b"b"), (b"/a", b"a")]


def test_a_node_that_was_not_there_is_not_removed(dom0: Talk, other: Talk) -> None:
    other.write(b"/a/b")
    dom0.watch(b"/a/x")
    dom0.events()
    other.rm(b"/a")
    assert dom0.events() == []


def test_one_is_told_of_ones_own_changes_before_the_reply(server: Server, dom0: Talk) -> None:
    dom0.watch(b"/a")
    dom0.events()
    replies = packets(server.receive(dom0.connection, request(Op.WRITE, b"/a\0")))
    assert [packet.op for packet in replies] == [Op.WATCH_EVENT, Op.WRITE]


def test_relative_watches_tell_relative_paths(dom0: Talk, other: Talk) -> None:
    dom0.watch(b"data", b"rel")
    assert dom0.events() == [(b"data", b"rel")]
    other.write(b"/local/domain/0/data/x")
    assert dom0.events() == [(b"data/x", b"rel")]
    other.rm(b"/local/domain/0")
    assert dom0.events() == [(b"data", b"rel")]
    assert dom0.watch(b"/local/domain/0/data", b"rel") == "EEXIST"
    assert dom0.unwatch(b"/local/domain/0/data", b"rel") == OK


def test_the_same_watch_twice_is_eexist(dom0: Talk, other: Talk) -> None:
    assert dom0.watch(b"/a", b"t") == OK
    assert dom0.watch(b"/a", b"t") == "EEXIST"
    assert dom0.watch(b"/a", b"u") == OK
    assert dom0.watch(b"/b", b"t") == OK
    assert other.watch(b"/a", b"t") == OK


def test_unwatch_ends_it(dom0: Talk, other: Talk) -> None:
    dom0.watch(b"/a", b"t")
    dom0.watch(b"/a", b"u")
    dom0.events()
    assert dom0.unwatch(b"/a", b"t") == OK
    other.write(b"/a")
    assert dom0.events() == [(b"/a", b"u")]
    assert dom0.unwatch(b"/a", b"t") == "ENOENT"
    assert other.unwatch(b"/a", b"u") == "ENOENT"


@pytest.mark.parametrize(
    "payload",
    [b"", b"/a\0", b"/a\0t", b"/a//b\0t\0", b"\0t\0", b"/a\0t\0x\0", b"/a\0t\0-1\0", b"/a\0t\x001\x002\0"],
)
def test_what_is_no_watch_is_einval(dom0: Talk, payload: bytes) -> None:
    assert dom0.ask(Op.WATCH, payload) == "EINVAL"


@pytest.mark.parametrize("payload", [b"", b"/a\0", b"/a//b\0t\0", b"/a\0t\x001\x002\0"])
def test_what_ends_no_watch_is_einval(dom0: Talk, payload: bytes) -> None:
    assert dom0.ask(Op.UNWATCH, payload) == "EINVAL"


def test_any_token_comes_back(dom0: Talk) -> None:
    token = bytes(range(1, 256))
    dom0.watch(b"/a", token)
    dom0.watch(b"/a", b"")
    assert dom0.events() == [(b"/a", token), (b"/a", b"")]


def test_depth_limits_how_far_below(dom0: Talk, other: Talk) -> None:
    for depth in (b"0", b"1", b"2"):
        dom0.watch(b"/a", depth, depth)
        dom0.watch(b"/", b"/" + depth, depth)
    dom0.watch(b"/a", b"any", b"")
    dom0.events()
    other.write(b"/a/b/c/d")
    assert dom0.events() == [(b"/a/b/c/d", b"any")]
    other.write(b"/a/b/c")
    assert dom0.events() == [(b"/a/b/c", b"2"), (b"/a/b/c", b"any")]
    other.write(b"/a/b")
    assert [token for _, token in dom0.events()] == [b"1", b"2", b"any", b"/2"]
    other.write(b"/a")
    assert [token for _, token in dom0.events()] == [b"0", b"1", b"2", b"any", b"/1", b"/2"]
    other.write(b"/")
    assert [token for _, token in dom0.events()] == [b"/0", b"/1", b"/2"]


def test_a_transaction_tells_on_commit_once_per_path(dom0: Talk, other: Talk) -> None:
    dom0.watch(b"/a")
    dom0.events()
    tx = other.start()
    other.write(b"/a/b", b"1", tx)
    other.write(b"/a/b", b"2", tx)
    other.write(b"/a/c", b"", tx)
    assert dom0.events() == []
    assert other.end(tx) == OK
    assert dom0.paths() == [b"/a/b", b"/a/c"]


def test_a_transaction_that_fails_tells_nothing(dom0: Talk, other: Talk) -> None:
    dom0.watch(b"/a")
    dom0.events()
    for commit in (False, True):
        tx = other.start()
        other.write(b"/a/b", b"1", tx)
        if commit:
            dom0.mkdir(b"/a/b")
            dom0.events()
        other.end(tx, commit=commit)
        assert dom0.events() == []


def test_what_a_transaction_made_and_removed_again_is_not_told(dom0: Talk, other: Talk) -> None:
    dom0.watch(b"/a")
    dom0.events()
    tx = other.start()
    other.write(b"/a/b", b"", tx)
    other.rm(b"/a/b", tx)
    other.end(tx)
    assert dom0.paths() == []


def test_a_removal_in_a_transaction_reaches_the_watches_below(dom0: Talk, other: Talk) -> None:
    other.write(b"/a/b/c")
    dom0.watch(b"/a/b/c")
    dom0.watch(b"/a")
    dom0.events()
    tx = other.start()
    other.rm(b"/a/b", tx)
    other.end(tx)
    assert dom0.paths() == [b"/a/b/c", b"/a/b"]


def test_reset_drops_watches_and_transactions(server: Server, dom0: Talk, other: Talk) -> None:
    dom0.watch(b"/a")
    tx = dom0.start()
    assert dom0.ask(Op.RESET_WATCHES, b"\0") == OK
    dom0.events()
    other.write(b"/a")
    assert dom0.events() == []
    assert dom0.end(tx) == "ENOENT"
    assert server.watches.count == 0


def test_a_client_that_leaves_takes_its_watches_along(server: Server, dom0: Talk, other: Talk) -> None:
    dom0.watch(b"/a")
    server.disconnect(dom0.connection)
    server.disconnect(dom0.connection)
    assert server.watches.count == 0
    other.write(b"/a")
    assert server.woken() == []


def test_the_woken_are_named_once(server: Server, dom0: Talk, other: Talk) -> None:
    dom0.watch(b"/a")
    server.woken()
    other.write(b"/a/1")
    other.write(b"/a/2")
    assert server.woken() == [dom0.connection]
    assert server.woken() == []
    assert len(list(packets(dom0.connection.take()))) == 2


def test_an_event_that_waits_is_not_added_again(server: Server, dom0: Talk, other: Talk) -> None:
    dom0.watch(b"/a")
    dom0.events()
    for _ in range(3):
        other.write(b"/a")
    assert dom0.paths() == [b"/a"]
    other.write(b"/a")
    assert dom0.paths() == [b"/a"]


def flood(writer: Talk, size: int) -> None:
    """More events than may wait for one client: about `size` bytes."""
    name = b"/a/" + b"x" * 2000
    for number in range(size // 2000 + 1):
        writer.write(b"%b%d" % (name, number))


def test_a_socket_that_does_not_read_its_events_is_closed(server: Server, dom0: Talk, other: Talk) -> None:
    dom0.watch(b"/a")
    dom0.events()
    flood(other, MAX_PENDING_EVENTS)
    assert dom0.connection.closed
    assert dom0.connection in server.woken()
    assert dom0.connection.take() == b""
    assert server.receive(dom0.connection, request(Op.READ, b"/\0")) == b""
    server.disconnect(dom0.connection)


def test_a_guest_that_does_not_read_its_events_loses_them(server: Server, dom0: Talk) -> None:
    guest = dom0.guest(5)
    dom0.mkdir(b"/a")
    dom0.allow(b"/a", b"r0")
    guest.watch(b"/a")
    guest.events()
    flood(dom0, MAX_PENDING_EVENTS)
    assert not guest.connection.closed
    assert guest.connection.dropped > 0
    assert len(guest.connection.take()) <= MAX_PENDING_EVENTS
    dom0.write(b"/a/y")
    assert guest.paths() == [b"/a/y"]


def test_an_event_too_long_for_a_packet_tells_the_watched_path(dom0: Talk, other: Talk) -> None:
    token = b"t" * 3000
    dom0.watch(b"/a", token)
    dom0.events()
    other.write(b"/a/" + b"x" * 2000)
    assert dom0.events() == [(b"/a", token)]
