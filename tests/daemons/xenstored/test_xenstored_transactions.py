"""Transactions: what they see, when they fail, and what the others see of them."""

from __future__ import annotations

import pytest

from purevirt.daemons.xenstored import Server
from purevirt.wire.xenstore import Op
from tests.daemons.xenstored.talk import Talk

OK = b"OK\0"


@pytest.fixture
def other(server: Server, dom0: Talk) -> Talk:
    """A second client; /a is "old", with the child /a/b."""
    dom0.write(b"/a", b"old")
    dom0.write(b"/a/b", b"old")
    return Talk(server)


def test_changes_show_to_others_only_once_committed(dom0: Talk, other: Talk) -> None:
    tx = dom0.start()
    dom0.write(b"/a", b"new", tx)
    dom0.write(b"/x/y", b"new", tx)
    dom0.rm(b"/a/b", tx)
    assert dom0.read(b"/a", tx) == b"new"
    assert dom0.read(b"/x/y", tx) == b"new"
    assert dom0.read(b"/a/b", tx) == "ENOENT"
    assert dom0.list(b"/", tx) == [b"a", b"tool", b"x"]
    for client in (dom0, other):
        assert client.read(b"/a") == b"old"
        assert client.read(b"/x/y") == "ENOENT"
        assert client.list(b"/a") == [b"b"]
    assert dom0.end(tx) == OK
    assert other.read(b"/a") == b"new"
    assert other.read(b"/x/y") == b"new"
    assert other.list(b"/a") == []


def test_an_aborted_transaction_leaves_nothing(dom0: Talk, other: Talk) -> None:
    tx = dom0.start()
    dom0.write(b"/a", b"new", tx)
    dom0.rm(b"/a/b", tx)
    dom0.mkdir(b"/a/c", tx)
    assert dom0.end(tx, commit=False) == OK
    assert other.read(b"/a") == b"old"
    assert other.list(b"/a") == [b"b"]


def read_value(client: Talk, tx: int) -> None:
    client.read(b"/a", tx)


def read_children(client: Talk, tx: int) -> None:
    client.list(b"/a", tx)


def read_permissions(client: Talk, tx: int) -> None:
    client.permissions(b"/a", tx)


def overwrite(client: Talk, tx: int) -> None:
    client.write(b"/a", b"mine", tx)


def add_a_child(client: Talk, tx: int) -> None:
    client.mkdir(b"/a/mine", tx)


def remove_it(client: Talk, tx: int) -> None:
    client.rm(b"/a", tx)


ACCESSES = [read_value, read_children, read_permissions, overwrite, add_a_child, remove_it]
CHANGES = {
    "value": lambda client: client.write(b"/a", b"theirs"),
    "same value": lambda client: client.write(b"/a", b"old"),
    "new child": lambda client: client.mkdir(b"/a/theirs"),
    "lost child": lambda client: client.rm(b"/a/b"),
    "permissions": lambda client: client.allow(b"/a", b"r0"),
    "removal": lambda client: client.rm(b"/a"),
}


@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_node_that_was_touched_is_a_conflict(
    dom0: Talk, other: Talk, access: object, change: str
) -> None:
    assert callable(access)
    tx = dom0.start()
    access(dom0, tx)
    assert CHANGES[change](other) == OK
    before = other.list(b"/a"), other.read(b"/a")
    assert dom0.end(tx) == "EAGAIN"
    assert (other.list(b"/a"), other.read(b"/a")) == before


@pytest.mark.parametrize("access", ACCESSES)
def test_the_retry_succeeds(dom0: Talk, other: Talk, access: object) -> None:
    assert callable(access)
    tx = dom0.start()
    access(dom0, tx)
    other.write(b"/a", b"theirs")
    assert dom0.end(tx) == "EAGAIN"
    tx = dom0.start()
    access(dom0, tx)
    assert dom0.end(tx) == OK


def test_changes_elsewhere_are_no_conflict(dom0: Talk, other: Talk) -> None:
    tx = dom0.start()
    dom0.write(b"/a", b"mine", tx)
    other.write(b"/a/b", b"theirs")
    other.write(b"/c/d", b"theirs")
    assert dom0.end(tx) == OK
    assert dom0.read(b"/a") == b"mine"
    assert dom0.read(b"/a/b") == b"theirs"


def test_a_change_of_a_child_does_not_touch_its_parent(dom0: Talk, other: Talk) -> None:
    tx = dom0.start()
    assert dom0.list(b"/a", tx) == [b"b"]
    other.write(b"/a/b", b"theirs")
    assert dom0.end(tx) == OK


def test_a_node_that_was_missed_and_came_is_a_conflict(dom0: Talk, other: Talk) -> None:
    tx = dom0.start()
    assert dom0.read(b"/a/x", tx) == "ENOENT"
    other.mkdir(b"/a/x")
    assert dom0.end(tx) == "EAGAIN"


def test_of_two_transactions_that_touch_the_same_the_second_fails(dom0: Talk, other: Talk) -> None:
    first, second = dom0.start(), other.start()
    dom0.read(b"/a", first)
    dom0.write(b"/a", b"first", first)
    other.read(b"/a", second)
    other.write(b"/a", b"second", second)
    assert dom0.end(first) == OK
    assert other.end(second) == "EAGAIN"
    assert dom0.read(b"/a") == b"first"


def test_two_transactions_that_only_read_do_not_conflict(dom0: Talk, other: Talk) -> None:
    first, second = dom0.start(), other.start()
    dom0.read(b"/a", first)
    other.read(b"/a", second)
    assert dom0.end(first) == OK
    assert other.end(second) == OK


def test_what_was_seen_once_stays_seen(dom0: Talk, other: Talk) -> None:
    tx = dom0.start()
    assert dom0.read(b"/a", tx) == b"old"
    assert dom0.list(b"/a", tx) == [b"b"]
    other.write(b"/a", b"theirs")
    other.mkdir(b"/a/c")
    other.rm(b"/a/b")
    assert dom0.read(b"/a", tx) == b"old"
    assert dom0.list(b"/a", tx) == [b"b"]
    assert dom0.read(b"/a") == b"theirs"
    assert dom0.end(tx) == "EAGAIN"


def test_a_lost_transaction_may_see_parts_that_do_not_fit_and_does_no_harm(dom0: Talk, other: Talk) -> None:
    tx = dom0.start()
    assert dom0.list(b"/a", tx) == [b"b"]
    other.write(b"/a/c/d")
    assert dom0.read(b"/a/c/d", tx) == b""
    assert dom0.rm(b"/a/c", tx) == OK
    assert dom0.mkdir(b"/a/c/e", tx) == OK
    assert dom0.end(tx) == "EAGAIN"
    tx = dom0.start()
    assert dom0.read(b"/y", tx) == "ENOENT"
    other.write(b"/y/z")
    assert dom0.rm(b"/y/z", tx) == "EINVAL"
    assert dom0.end(tx) == "EAGAIN"


def test_created_and_removed_within_one_transaction(dom0: Talk, other: Talk) -> None:
    tx = dom0.start()
    dom0.write(b"/x/y", b"", tx)
    dom0.rm(b"/x", tx)
    assert dom0.end(tx) == OK
    assert other.list(b"/") == [b"a", b"tool"]


def test_removed_and_created_again_within_one_transaction(dom0: Talk, other: Talk) -> None:
    tx = dom0.start()
    dom0.rm(b"/a", tx)
    dom0.write(b"/a/c", b"new", tx)
    assert dom0.end(tx) == OK
    assert other.read(b"/a") == b""
    assert other.list(b"/a") == [b"c"]


def test_permissions_change_on_commit(dom0: Talk, other: Talk) -> None:
    tx = dom0.start()
    dom0.allow(b"/a", b"r5", tx)
    assert dom0.permissions(b"/a", tx) == b"r5"
    assert other.permissions(b"/a") == b"n0"
    assert dom0.end(tx) == OK
    assert other.permissions(b"/a") == b"r5"


def test_one_transaction_within_another_is_refused(dom0: Talk) -> None:
    tx = dom0.start()
    assert dom0.ask(Op.TRANSACTION_START, b"\0", tx) == "EBUSY"
    assert dom0.end(tx) == OK


def test_several_may_be_open_side_by_side(dom0: Talk, other: Talk) -> None:
    first, second = dom0.start(), dom0.start()
    assert first != second
    dom0.write(b"/x/1", b"", first)
    dom0.write(b"/a/2", b"", second)
    assert dom0.end(first) == OK
    assert dom0.end(second) == OK
    assert other.list(b"/x") == [b"1"]
    assert other.list(b"/a") == [b"2", b"b"]


@pytest.mark.parametrize(
    "op", [Op.READ, Op.WRITE, Op.DIRECTORY, Op.RM, Op.TRANSACTION_END, Op.TRANSACTION_START]
)
def test_an_unknown_transaction_is_enoent(dom0: Talk, op: Op) -> None:
    assert dom0.ask(op, b"T\0" if op == Op.TRANSACTION_END else b"/tool\0", 99) == "ENOENT"


def test_a_transaction_belongs_to_its_connection(dom0: Talk, other: Talk) -> None:
    tx = dom0.start()
    assert other.read(b"/a", tx) == "ENOENT"
    assert other.end(tx) == "ENOENT"
    assert dom0.end(tx) == OK
    assert dom0.end(tx) == "ENOENT"


def test_the_end_needs_a_transaction_and_t_or_f(dom0: Talk) -> None:
    assert dom0.end(0) == "ENOENT"
    tx = dom0.start()
    for payload in (b"", b"T", b"X\0", b"T\0F\0", b"TRUE\0"):
        assert dom0.ask(Op.TRANSACTION_END, payload, tx) == "EINVAL"
    assert dom0.end(tx) == OK


def test_watches_ignore_the_transaction(dom0: Talk) -> None:
    assert dom0.ask(Op.WATCH, b"/a\0t\0", 99) == OK
    assert dom0.ask(Op.UNWATCH, b"/a\0t\0", 99) == OK


def test_ids_are_used_again_only_after_all_others(dom0: Talk) -> None:
    dom0.connection.next_transaction = 0xFFFFFFFF
    last = dom0.start()
    first = dom0.start()
    assert (last, first) == (0xFFFFFFFF, 1)
    dom0.connection.next_transaction = 0xFFFFFFFF
    assert dom0.start() == 2


def test_a_client_that_leaves_takes_its_transactions_along(server: Server, dom0: Talk, other: Talk) -> None:
    other.write(b"/a", b"lost", other.start())
    server.disconnect(other.connection)
    assert server.tree.readers == 0
    assert dom0.read(b"/a") == b"old"


def test_a_list_of_children_is_not_shared_with_a_snapshot(dom0: Talk, other: Talk) -> None:
    tx = dom0.start()
    dom0.write(b"/a", b"mine", tx)  # the new node takes the list of the old one over
    other.mkdir(b"/a/c")
    assert dom0.list(b"/a", tx) == [b"b"]
    dom0.mkdir(b"/a/d", tx)
    assert other.list(b"/a") == [b"b", b"c"]
    assert dom0.end(tx) == "EAGAIN"
    assert other.list(b"/a") == [b"b", b"c"]
