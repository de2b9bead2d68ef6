"""Permissions: what a guest may do, what it is told of what it may not, and what it hears."""

from __future__ import annotations

import pytest

from purevirt.wire.xenstore import Op
from tests.daemons.xenstored.talk import Talk

OK = b"OK\0"


@pytest.fixture
def guest(dom0: Talk) -> Talk:
    """Domain 5, with a home of its own as toolstacks make it."""
    guest = dom0.guest(5)
    dom0.mkdir(b"/local/domain/5")
    dom0.allow(b"/local/domain/5", b"n0 r5")
    dom0.mkdir(b"/local/domain/5/data")
    dom0.allow(b"/local/domain/5/data", b"n5")
    return guest


@pytest.mark.parametrize(
    ("permissions", "may_read", "may_write"),
    [
        (b"n0", False, False),
        (b"r0", True, False),
        (b"w0", False, True),
        (b"b0", True, True),
        (b"n5", True, True),
        (b"n0 r5", True, False),
        (b"n0 w5", False, True),
        (b"n0 b5", True, True),
        (b"b0 n5", False, False),
        (b"n0 b7 r5 w5", True, False),
        (b"r0 b7", True, False),
    ],
)
def test_who_may_read_and_write(
    dom0: Talk, guest: Talk, permissions: bytes, may_read: bool, may_write: bool
) -> None:
    dom0.write(b"/a", b"old")
    dom0.allow(b"/a", permissions)
    assert guest.read(b"/a") == (b"old" if may_read else "EACCES")
    assert guest.list(b"/a") == ([] if may_read else "EACCES")
    assert guest.permissions(b"/a") == (permissions if may_read else "EACCES")
    assert guest.write(b"/a/b") == (OK if may_write else "EACCES")
    assert guest.write(b"/a", b"new") == (OK if may_write else "EACCES")
    assert dom0.read(b"/a") == (b"new" if may_write else b"old")
    assert guest.rm(b"/a") == (OK if may_write else "EACCES")


def test_only_who_may_read_the_parent_learns_that_a_node_is_missing(dom0: Talk, guest: Talk) -> None:
    dom0.mkdir(b"/open")
    dom0.allow(b"/open", b"r0")
    assert guest.read(b"/open/x/y") == "ENOENT"
    assert guest.read(b"/closed/x/y") == "EACCES"
    assert guest.rm(b"/open/x") == "EACCES"
    assert guest.read(b"/") == "EACCES"


def test_a_guest_owns_what_it_creates(dom0: Talk, guest: Talk) -> None:
    dom0.allow(b"/local/domain/5/data", b"r0 b5 w7")
    assert guest.write(b"data/a/b", b"1") == OK
    assert dom0.permissions(b"/local/domain/5/data/a") == b"r5 b5 w7"
    assert dom0.permissions(b"/local/domain/5/data/a/b") == b"r5 b5 w7"


def test_relative_paths_are_below_the_guests_home(dom0: Talk, guest: Talk) -> None:
    guest.write(b"data/x", b"mine")
    assert dom0.read(b"/local/domain/5/data/x") == b"mine"


def test_only_the_owner_sets_permissions_and_never_the_owner(dom0: Talk, guest: Talk) -> None:
    assert guest.allow(b"data", b"r5 b7") == OK
    assert guest.allow(b"data", b"r0") == "EPERM"
    dom0.write(b"/a")
    dom0.allow(b"/a", b"b0")
    assert guest.allow(b"/a", b"n5") == "EACCES"
    assert dom0.allow(b"/a", b"n5") == OK
    assert guest.allow(b"/a", b"r5") == OK


def test_what_a_guest_removes_goes_whoever_owns_it(dom0: Talk, guest: Talk) -> None:
    dom0.write(b"/local/domain/5/data/by-dom0/x")
    dom0.allow(b"/local/domain/5/data/by-dom0/x", b"n0")
    assert guest.rm(b"data/by-dom0") == OK
    assert dom0.read(b"/local/domain/5/data/by-dom0/x") == "ENOENT"


def test_rights_hold_within_transactions(dom0: Talk, guest: Talk) -> None:
    tx = guest.start()
    assert guest.read(b"/tool", tx) == "EACCES"
    assert guest.write(b"/tool", b"", tx) == "EACCES"
    assert guest.write(b"data/x", b"", tx) == OK
    assert guest.end(tx) == OK
    assert dom0.permissions(b"/local/domain/5/data/x") == b"n5"


def test_a_domain_with_a_target_counts_as_its_target_too(dom0: Talk, guest: Talk) -> None:
    stub = dom0.guest(6)
    assert stub.read(b"/local/domain/5") == "EACCES"
    assert dom0.ask(Op.SET_TARGET, b"6\x005\0") == OK
    assert stub.read(b"/local/domain/5") == b""
    assert stub.write(b"/local/domain/5/data/x") == OK
    assert dom0.ask(Op.RELEASE, b"5\0") == OK
    dom0.mkdir(b"/a")
    dom0.allow(b"/a", b"n0 r5")
    assert stub.read(b"/a") == "EACCES"


@pytest.mark.parametrize(
    ("op", "payload"),
    [
        (Op.CONTROL, b"help\0"),
        (Op.INTRODUCE, b"9\x001\x001\0"),
        (Op.RELEASE, b"5\0"),
        (Op.IS_DOMAIN_INTRODUCED, b"5\0"),
        (Op.RESUME, b"5\0"),
        (Op.SET_TARGET, b"5\x005\0"),
        (Op.GET_FEATURE, b"5\0"),
        (Op.SET_FEATURE, b"5\x000\0"),
        (Op.GET_QUOTA, b"nodes\0"),
        (Op.SET_QUOTA, b"nodes\x000\0"),
    ],
)
def test_what_is_for_domain_0_alone(guest: Talk, op: Op, payload: bytes) -> None:
    assert guest.ask(op, payload) == "EACCES"


def test_a_guest_hears_only_of_what_it_may_read(dom0: Talk, guest: Talk) -> None:
    for name in (b"/open", b"/closed", b"/written"):
        dom0.mkdir(name)
    dom0.allow(b"/open", b"r0")
    dom0.allow(b"/written", b"w0")
    assert guest.watch(b"/") == OK
    assert guest.paths() == [b"/"]
    for name in (b"/open", b"/closed", b"/written"):
        dom0.write(name + b"/x")
    assert guest.paths() == [b"/open/x"]


def test_who_may_read_the_parent_hears_of_the_child(dom0: Talk, guest: Talk) -> None:
    dom0.write(b"/a/b")
    dom0.allow(b"/a", b"r0")
    guest.watch(b"/a")
    guest.events()
    dom0.write(b"/a/b", b"1")
    assert guest.paths() == [b"/a/b"]
    dom0.rm(b"/a/b")
    assert guest.paths() == [b"/a/b"]
    tx = dom0.start()
    dom0.write(b"/a/b", b"1", tx)
    dom0.end(tx)
    assert guest.paths() == [b"/a/b"]


def test_who_loses_or_gains_the_right_to_read_hears_of_that(dom0: Talk, guest: Talk) -> None:
    dom0.mkdir(b"/a")
    guest.watch(b"/a")
    guest.events()
    dom0.allow(b"/a", b"r0")
    assert guest.paths() == [b"/a"]
    dom0.allow(b"/a", b"n0")
    assert guest.paths() == [b"/a"]
    dom0.allow(b"/a", b"b0 n5")
    assert guest.paths() == []
    tx = dom0.start()
    dom0.allow(b"/a", b"r0", tx)
    dom0.end(tx)
    assert guest.paths() == [b"/a"]


def test_a_removal_is_told_to_who_could_read(dom0: Talk, guest: Talk) -> None:
    dom0.write(b"/a/open")
    dom0.write(b"/a/closed")
    dom0.allow(b"/a/open", b"r0")
    guest.watch(b"/a/open")
    guest.watch(b"/a/closed")
    guest.watch(b"/a")
    guest.events()
    dom0.rm(b"/a")
    assert guest.paths() == [b"/a/open"]
