"""What a stream of events tells, and what it cannot know: over a whole host in this thread."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from purevirt._run import run_blocking
from purevirt.drivers.xen.comparing import Seen, compare, compare_devices
from purevirt.drivers.xen.events import Stream
from purevirt.errors import Closed
from purevirt.model import Access, DomainRef, Event, EventKind, EventSource
from purevirt.wire.hypercall.subops import (
    ShutdownCode,
)
from tests.support.memory_host import MemoryHost

ALWAYS = 1e-9  # a look at every call


def subscribe(
    host: MemoryHost,
    kinds: Iterable[EventKind] | None = None,
    ref: DomainRef | None = None,
    queue: int = 100,
) -> Stream:
    wanted = None if kinds is None else frozenset(kinds)
    return run_blocking(host.driver.events(wanted, ref, poll=ALWAYS, queue=queue))


def told(stream: Stream) -> list[Event]:
    """Everything that has happened."""
    found: list[Event] = []
    while (event := run_blocking(stream.next(0.0))) is not None:
        found.append(event)
    return found


def words(stream: Stream) -> list[tuple[str, str | None, str | None]]:
    return [(event.kind.value, event.name, event.detail) for event in told(stream)]


def test_nothing_happened() -> None:
    stream = subscribe(MemoryHost("web"))
    assert told(stream) == []
    assert told(stream) == []


def test_a_domains_life() -> None:
    host = MemoryHost("web")
    stream = subscribe(host)
    domid = host.add("new")
    assert words(stream) == [("created", "new", None), ("started", "new", "booted")]
    host.hypervisor.pause(domid)
    assert words(stream) == [("suspended", "new", "paused")]
    host.hypervisor.unpause(domid)
    assert words(stream) == [("resumed", "new", "unpaused")]
    host.hypervisor.shutdown(domid, ShutdownCode.REBOOT)
    assert words(stream) == [("shutdown", "new", "reboot")]
    host.hypervisor.pause(domid)  # as a toolstack does before it tears a domain down
    assert words(stream) == []
    host.remove(domid)
    assert words(stream) == [("stopped", "new", "reboot")]


def test_an_event_says_who_what_and_when_in_libvirts_numbers_too() -> None:
    host = MemoryHost("web")
    stream = subscribe(host)
    host.hypervisor.pause(1)
    (suspended,) = told(stream)
    ref = run_blocking(host.driver.lookup_name("web"))
    assert suspended == Event(
        1,
        suspended.time,
        EventSource.HYPERVISOR,
        EventKind.SUSPENDED,
        1,
        ref.uuid,
        "web",
        "paused",
        3,
        0,
    )
    host.hypervisor.shutdown(1, ShutdownCode.CRASH)
    (crashed,) = told(stream)
    assert (crashed.seq, crashed.kind, crashed.detail) == (2, EventKind.CRASHED, "crash")
    assert (crashed.libvirt_event, crashed.libvirt_detail) == (8, 0)
    host.remove(1)
    (stopped,) = told(stream)
    assert (stopped.detail, stopped.libvirt_event, stopped.libvirt_detail) == ("crash", 5, 2)


def test_a_reason_that_nobody_could_see_is_unknown() -> None:
    host = MemoryHost("web")
    stream = subscribe(host)
    host.remove(1)
    assert words(stream) == [("stopped", "web", "unknown")]


def test_a_domain_seen_dying_was_destroyed() -> None:
    host = MemoryHost("web")
    stream = subscribe(host)
    host.hypervisor.destroy(1, linger=True)
    assert words(stream) == [("stopped", "web", "destroyed")]
    host.remove(1)
    assert told(stream) == []


def test_what_is_done_and_undone_between_two_looks_leaves_no_trace() -> None:
    host = MemoryHost("web")
    stream = subscribe(host)
    host.hypervisor.pause(1)
    host.hypervisor.unpause(1)
    assert told(stream) == []


def test_one_that_is_built_paused_is_started_when_it_first_runs() -> None:
    host = MemoryHost()
    stream = subscribe(host)
    domid = host.add("web")
    host.hypervisor.pause(domid)
    assert words(stream) == [("created", "web", None)]
    host.hypervisor.unpause(domid)
    assert words(stream) == [("started", "web", "booted")]


def test_a_rebuilt_domain_with_the_same_uuid_is_another() -> None:
    host = MemoryHost("web")
    stream = subscribe(host)
    uuid = run_blocking(host.driver.lookup_name("web")).uuid
    host.hypervisor.shutdown(1, ShutdownCode.REBOOT)
    assert words(stream) == [("shutdown", "web", "reboot")]
    host.remove(1)
    host.add("web", uuid)
    found = told(stream)
    assert [(event.kind.value, event.domid) for event in found] == [
        ("stopped", 1),
        ("created", 2),
        ("started", 2),
    ]
    assert {event.uuid for event in found} == {uuid}


def test_a_rename_tells_the_name_before() -> None:
    host = MemoryHost("web")
    stream = subscribe(host)
    run_blocking(host.store.write("/local/domain/1/name", "www"))
    (event,) = told(stream)
    assert (event.kind, event.name, event.detail) == (EventKind.RENAMED, "www", "web")
    assert event.source is EventSource.STORE


def test_a_new_domain_is_told_when_it_has_its_name() -> None:
    host = MemoryHost()
    stream = subscribe(host)
    domid = host.add("web")
    run_blocking(host.store.rm(f"/local/domain/{domid}/name"))
    assert told(stream) == []
    run_blocking(host.store.write(f"/local/domain/{domid}/name", "web"))
    assert words(stream) == [("created", "web", None), ("started", "web", "booted")]


def test_a_new_domain_without_a_name_is_told_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("purevirt.drivers.xen.watching._UNNAMED", 0.0)
    host = MemoryHost()
    stream = subscribe(host)
    domid = host.add("web")
    run_blocking(host.store.rm(f"/local/domain/{domid}/name"))
    assert words(stream) == [("created", None, None), ("started", None, "booted")]


def test_devices_that_come_and_go_are_told_by_kind() -> None:
    host = MemoryHost("web")
    stream = subscribe(host)
    run_blocking(host.store.write("/local/domain/1/device/vbd/51712/state", "1"))
    run_blocking(host.store.write("/local/domain/1/device/vif/0/state", "1"))
    assert words(stream) == [("devices", "web", "vbd, vif")]
    run_blocking(host.store.write("/local/domain/1/device/vbd/51712/state", "4"))
    assert told(stream) == []  # a guest that connects is no new device
    run_blocking(host.store.rm("/local/domain/1/device/vif/0"))
    assert words(stream) == [("devices", "web", "vif")]


def test_only_what_was_asked_for_is_told() -> None:
    host = MemoryHost("web", "db")
    ref = run_blocking(host.driver.lookup_name("db"))
    kinds = subscribe(host, [EventKind.SUSPENDED])
    domain = subscribe(host, ref=ref)
    for domid in (1, 2):
        host.hypervisor.pause(domid)
    run_blocking(host.store.write("/local/domain/1/device/vbd/51712/state", "1"))
    assert words(kinds) == [("suspended", "web", "paused"), ("suspended", "db", "paused")]
    assert words(domain) == [("suspended", "db", "paused")]


def test_more_than_the_queue_holds_becomes_one_lost_and_the_stream_goes_on() -> None:
    host = MemoryHost()
    stream = subscribe(host, queue=5)
    for number in range(10):
        host.add(f"d{number}")
    first, *rest = told(stream)
    assert (first.kind, first.domid, first.name) == (EventKind.LOST, None, None)
    assert len(rest) <= 5
    assert [info.name for info in run_blocking(stream.snapshot())] == [
        "Domain-0",
        *(f"d{number}" for number in range(10)),
    ]
    host.hypervisor.pause(1)
    assert words(stream) == [("suspended", "d0", "paused")]


def test_lost_passes_every_filter() -> None:
    host = MemoryHost()
    stream = subscribe(host, [EventKind.CREATED], queue=2)
    for number in range(4):
        host.add(f"d{number}")
    assert EventKind.LOST in {event.kind for event in told(stream)}


def test_numbers_go_on_through_everything() -> None:
    host = MemoryHost()
    stream = subscribe(host, queue=3)
    for number in range(9):
        host.add(f"d{number}")
    numbers = [event.seq for event in told(stream)]
    assert numbers == sorted(set(numbers))


def test_the_store_alone_tells_who_comes_and_goes() -> None:
    host = MemoryHost("web")
    host.driver.access = Access.RO
    stream = subscribe(host)
    domid = host.add("new")
    run_blocking(host.store.introduce(domid, 1, 1))
    assert words(stream) == [("created", "new", None)]
    host.hypervisor.pause(domid)
    assert told(stream) == []
    run_blocking(host.store.write(f"/local/domain/{domid}/name", "newer"))
    assert words(stream) == [("renamed", "newer", "new")]
    host.remove(domid)
    run_blocking(host.store.release(domid))
    assert words(stream) == [("stopped", "newer", "unknown")]


def test_a_closed_stream_says_so() -> None:
    stream = subscribe(MemoryHost())
    run_blocking(stream.close())
    run_blocking(stream.close())
    assert stream.closed
    with pytest.raises(Closed):
        run_blocking(stream.next(0.0))


def test_a_quiet_look_is_one_hypercall_and_nothing_of_the_store() -> None:
    host = MemoryHost("web", "db")
    stream = subscribe(host)
    told(stream)
    host.reset()
    run_blocking(stream.next(0.0))
    assert (host.hypercalls.calls, host.transport.requests) == (1, 0)


# --- two looks, compared

KEY = (3, b"h" * 16)
RUNS = Seen("web", False)


@pytest.mark.parametrize(
    ("before", "now", "kinds"),
    [
        (RUNS, RUNS, []),
        (RUNS, RUNS._replace(paused=True), ["suspended"]),
        (RUNS._replace(paused=True), RUNS, ["resumed"]),
        (RUNS._replace(stopped="suspend"), RUNS, ["resumed"]),
        (RUNS._replace(paused=True, ran=False), RUNS, ["started"]),
        (RUNS, RUNS._replace(stopped="poweroff"), ["shutdown"]),
        (RUNS, RUNS._replace(stopped="watchdog"), ["crashed"]),
        (RUNS._replace(stopped="suspend"), RUNS._replace(stopped="crash"), ["crashed"]),
        (RUNS, RUNS._replace(name="www", paused=True), ["renamed", "suspended"]),
        (RUNS._replace(name=None), RUNS, []),
        (RUNS, None, ["stopped"]),
        (None, RUNS, ["created", "started"]),
        (None, RUNS._replace(paused=True, ran=False), ["created"]),
        (None, RUNS._replace(paused=True), ["created", "started", "suspended"]),
        (None, RUNS._replace(stopped="crash"), ["created", "started", "crashed"]),
        (None, Seen("web"), ["created"]),
    ],
)
def test_two_looks(before: Seen | None, now: Seen | None, kinds: list[str]) -> None:
    old = {} if before is None else {KEY: before}
    new = {} if now is None else {KEY: now}
    assert [found.kind.value for found in compare(old, new, {}, EventSource.STORE)] == kinds


def test_two_looks_at_devices() -> None:
    old = {"vbd": ["1", "2"], "vif": ["0"], "vkbd": []}
    assert compare_devices(KEY, "web", old, {"vbd": ["2", "1"], "vif": ["0"]}) == []
    (found,) = compare_devices(KEY, "web", old, {"vbd": ["1"], "console": ["0"]})
    assert found.detail == "console, vbd, vif"
