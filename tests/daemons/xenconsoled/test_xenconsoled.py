"""The console daemon: whose output goes where, whatever guests are called and do."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from purevirt import testing
from purevirt.daemons.xenconsoled.daemon import log_name
from purevirt.errors import NoSuchDomain
from purevirt.host.guest.console import BACKLOG


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host(held=True, empty=True) as host:
        yield host


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web", "guest-web.log"),
        ("a b", "guest-a b.log"),
        ("../../etc/passwd", "guest-.._.._etc_passwd.log"),
        ("line\nbreak\0", "guest-line_break_.log"),
        ("x" * 300, "guest-" + "x" * 200 + ".log"),
        ("ä" * 150, "guest-" + "ä" * 100 + ".log"),
    ],
)
def test_a_log_has_a_name_that_a_file_can_have(name: str, expected: str) -> None:
    assert log_name(name) == expected


def test_each_guest_has_its_log(host: testing.Host) -> None:
    host.create_domain("one")
    host.create_domain("two/../../two")
    logs = Path(host.root) / "var/log/xen/console"
    assert sorted(os.listdir(logs)) == ["guest-one.log", "guest-two_.._.._two.log"]
    assert "booting" in host.console("two/../../two")


def print_lines(host: testing.Host, domid: int, count: int) -> None:
    def work() -> None:
        guest = host._machine.guest(domid)
        for number in range(count):
            guest.console.print(f"line {number}")

    host._machine.call(work)


def test_more_output_than_the_ring_holds_comes_through_whole(host: testing.Host) -> None:
    domid = host.create_domain("web").domid
    print_lines(host, domid, 2000)
    assert host.console("web").splitlines()[2:] == [f"line {number}" for number in range(2000)]


def test_a_guest_that_nobody_listens_to_keeps_the_oldest_and_goes_on(host: testing.Host) -> None:
    domid = host.create_domain("web").domid
    host.kill("xenconsoled")
    print_lines(host, domid, 20000)
    assert host._machine.guest(domid).console.lost > 0
    host.restart("xenconsoled")
    lines = host.console("web").splitlines()[2:]
    assert lines[:5] == [f"line {number}" for number in range(5)]
    assert BACKLOG < len("\n".join(lines)) < BACKLOG + 4096


def test_what_is_typed_reaches_the_guest(host: testing.Host) -> None:
    domid = host.create_domain("web").domid
    daemon = host._machine.console_daemon
    host._machine.call(lambda: daemon.type(domid, "ls\n" * 1000))
    assert bytes(host._machine.guest(domid).console.typed) == b"ls\n" * 1000
    with pytest.raises(NoSuchDomain):
        host._machine.call(lambda: daemon.type(99, "x"))


def test_a_guest_that_breaks_its_console_hurts_no_other(host: testing.Host) -> None:
    bad = host.create_domain("bad").domid
    good = host.create_domain("good").domid

    def break_it() -> None:
        guest = host._machine.guest(bad)
        seed_page = guest.bus.page(bad, guest.seed.console_gfn)
        struct.pack_into("<II", seed_page, 3080, 0, 99999)
        guest.bus.channels.send(bad, guest.seed.console_port)

    host._machine.call(break_it)
    print_lines(host, good, 3)
    assert host.console("good").endswith("line 2\n")
    host.destroy("bad")
    host.create_domain("bad")
    assert "up" in host.console("bad")


def test_the_last_words_of_a_domain_are_kept(host: testing.Host) -> None:
    domid = host.create_domain("web").domid

    def last_words() -> None:
        host._machine.guest(domid).console.print("good bye")
        host._machine.hypervisor.destroy(domid)

    host._machine.call(last_words)
    log = Path(host.root) / "var/log/xen/console/guest-web.log"
    assert log.read_text().endswith("good bye\n")
