"""Changes through library, daemon and store, to guests that answer, refuse, or do not: all of it the real code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import purevirt
from purevirt import DomainState, testing
from purevirt.errors import ChannelUnavailable, Timeout, WrongState

DISK = testing.Disk("xvda", "/images/web.img")


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host(held=True, empty=True) as host:
        host.create_domain("web", memory_kib=131072, max_memory_kib=262144, vcpus=2, disks=[DISK])
        yield host


@pytest.fixture
def web(host: testing.Host) -> Iterator[purevirt.Domain]:
    with purevirt.open(host.uri) as xen:
        yield xen.lookup_by_name("web")


def test_a_shutdown_returns_when_the_guest_has_agreed(host: testing.Host, web: purevirt.Domain) -> None:
    web.shutdown()
    assert web.state()[0] is DomainState.RUNNING
    host.advance(1)
    assert not web.is_active()


def test_a_reboot_leads_to_the_same_domain_under_a_new_id(host: testing.Host, web: purevirt.Domain) -> None:
    web.reboot()
    host.advance(1)
    assert (web.id(), web.state()[0]) == (2, DomainState.RUNNING)


def test_a_refusal_and_a_silence_are_told_apart(host: testing.Host, web: purevirt.Domain) -> None:
    host.refuse_shutdown("web")
    with pytest.raises(WrongState, match="feature-poweroff"):
        web.shutdown()
    host.refuse_shutdown("web", answer="busy")
    with pytest.raises(WrongState, match="busy"):
        web.shutdown()
    host.refuse_shutdown("web", answer="")
    host.ignore_shutdown("web")
    with pytest.raises(Timeout, match="control/shutdown"):
        web.shutdown(timeout=0.05)
    assert web.state()[0] is DomainState.RUNNING


def test_memory_follows_what_was_asked_for(host: testing.Host, web: purevirt.Domain) -> None:
    assert web.set_memory(65536) == 65536
    host.advance(0)
    assert web.info().memory_kib == 65536


def test_vcpus_are_what_the_guest_has_made_of_it(host: testing.Host, web: purevirt.Domain) -> None:
    assert web.set_vcpus(1) == (1, 1)
    assert web.set_vcpus(2) == (2, 2)


def test_a_key_and_an_nmi_reach_the_kernel(host: testing.Host, web: purevirt.Domain) -> None:
    web.send_sysrq("h")
    web.inject_nmi()
    host.advance(0)
    assert host.console("web").endswith("sysrq: h\nsimulated kernel: NMI on vCPU 0\n")


def test_a_destroyed_domain_leaves_nothing_anywhere(host: testing.Host, web: purevirt.Domain) -> None:
    domid = web.id()
    web.destroy()
    host.advance(0)
    with purevirt.open(host.uri) as xen:
        left = [path for path in xen.store.tree("/") if f"/{domid}" in path or str(web.uuid) in path]
        assert left == []
        host.create_domain("web", uuid=web.uuid, disks=[DISK])
        assert web.state()[0] is DomainState.RUNNING


def test_a_suspended_domain_does_nothing_until_it_is_resumed(
    host: testing.Host, web: purevirt.Domain
) -> None:
    web.suspend()
    with pytest.raises(WrongState, match="paused"):
        web.shutdown()
    assert web.set_memory(65536) == 65536
    host.advance(5)
    assert web.info().memory_kib == 131072
    web.resume()
    host.advance(0)
    assert web.info().memory_kib == 65536


@pytest.mark.parametrize("part", ["xenstored", "hypervisor", "xend"])
def test_the_daemon_finds_its_host_again(host: testing.Host, part: testing.Part) -> None:
    host.restart(part)
    if part == "hypervisor":
        host.create_domain("web")
    with purevirt.open(host.uri) as xen:
        domain = xen.lookup_by_name("web")
        for _ in range(100_000):  # it looks for it again, with pauses: meanwhile it says so
            try:
                domain.suspend()
                break
            except ChannelUnavailable:
                continue
        assert domain.state()[0] is DomainState.PAUSED
