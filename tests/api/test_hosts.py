"""test:///default and testing.Host: shared or private, scriptable, with a clock in the hand."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

import purevirt
from purevirt import DomainState, StateReason, testing
from purevirt.errors import DomainExists, NoMemory, NoSuchDomain


@pytest.fixture
def held() -> Iterator[testing.Host]:
    with testing.Host(held=True, empty=True) as host:
        yield host


def test_the_default_host_is_shared_while_a_connection_is_open() -> None:
    with purevirt.open("test:///default") as one:
        with purevirt.open("test:///default") as two:
            one.store.write("/tool/shared", "yes")
            assert two.store.read("/tool/shared") == "yes"
        assert one.store.read("/tool/shared") == "yes"
    with purevirt.open("test:///default") as another:
        assert not another.store.exists("/tool/shared")


def test_the_default_host_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())
    with purevirt.open("test:///default") as host:
        assert host._lease is not None
        root = host._lease.root
        assert os.path.isdir(root)
        assert set(threading.enumerate()) > before
    assert not os.path.exists(root)
    assert set(threading.enumerate()) == before


def test_both_halves_reach_the_same_default_host() -> None:
    async def main() -> str:
        async with await purevirt.open_async("test:///default") as host:
            return await host.store.read("/tool/half")

    with purevirt.open("test:///default") as host:
        host.store.write("/tool/half", "blocking")
        assert asyncio.run(main()) == "blocking"


def test_cpu_time_moves_only_with_a_held_clock(held: testing.Host) -> None:
    held.create_domain("busy", load=1.0, vcpus=2)
    held.create_domain("idle", load=0.0)
    with purevirt.open(held.uri) as host:
        busy, idle = host.lookup_by_name("busy"), host.lookup_by_name("idle")
        assert busy.info().cpu_time_ns == 0
        held.advance(2.5)
        assert busy.info().cpu_time_ns == 5_000_000_000
        assert [vcpu.cpu_time_ns for vcpu in busy.vcpus()] == [2_500_000_000] * 2
        assert idle.info().cpu_time_ns == 0
        assert idle.state()[0] is DomainState.BLOCKED
        held.pause("busy")
        held.advance(10)
        assert busy.info().cpu_time_ns == 5_000_000_000


def test_a_crash_is_seen_with_its_reason(held: testing.Host) -> None:
    held.create_domain("web")
    with purevirt.open(held.uri) as host:
        domain = host.lookup_by_name("web")
        held.pause("web")
        assert domain.state() == (DomainState.PAUSED, StateReason.UNKNOWN)
        held.unpause("web")
        held.crash("web")
        assert domain.state() == (DomainState.CRASHED, StateReason.CRASH)


def test_a_destroyed_domain_is_gone(held: testing.Host) -> None:
    held.create_domain(
        "one", disks=[testing.Disk("xvda", "/a")], interfaces=[testing.Interface("00:16:3e:00:00:01")]
    )
    with purevirt.open(held.uri) as host:
        domain = host.lookup_by_name("one")
        tree = host.store.tree("/")
        held.destroy("one")
        assert not domain.is_active()
        with pytest.raises(NoSuchDomain, match="one"):
            domain.info()
        assert [info.name for info in host.domain_infos()] == ["Domain-0"]
        left = set(host.store.tree("/"))
        assert not [path for path in left if "/1/" in path or path.endswith("/1")]
        assert left < set(tree)


def test_a_domain_keeps_its_identity_under_a_new_id(held: testing.Host) -> None:
    uuid = held.create_domain("web").uuid
    with purevirt.open(held.uri) as host:
        domain = host.lookup_by_name("web")
        held.destroy("web")
        held.create_domain("other")
        held.create_domain("web", uuid=uuid)
        assert domain.id() == 3
        assert domain.name() == "web"


def test_an_id_that_was_given_to_another_is_not_the_same_domain(held: testing.Host) -> None:
    held.create_domain("web")
    with purevirt.open(held.uri) as host:
        domain = host.lookup_by_name("web")
        held.destroy("web")
        assert domain.id() is None
        assert domain.is_active() is False


def test_two_domains_with_one_uuid_are_ambiguous_but_for_the_id_first_seen(held: testing.Host) -> None:
    uuid = held.create_domain("web").uuid
    with purevirt.open(held.uri) as host:
        domain = host.lookup_by_uuid(uuid)
        held.create_domain("web--incoming", uuid=uuid)
        assert domain.id() == 1
        with pytest.raises(purevirt.errors.DomainAmbiguous, match="ids 1, 2"):
            host.lookup_by_uuid(uuid)


def test_renames_reach_a_listing(held: testing.Host) -> None:
    held.create_domain("old")
    with purevirt.open(held.uri) as host:
        for _ in range(4):
            assert [info.name for info in host.domain_infos()] == ["Domain-0", "old"]
        held.rename("old", "new")
        assert [info.name for info in host.domain_infos()] == ["Domain-0", "new"]


@pytest.mark.parametrize("name", ["with space", 'with "quotes"', "näme", "x" * 200, "line\nbreak"])
def test_any_name_is_listed_as_it_is(held: testing.Host, name: str) -> None:
    held.create_domain(name)
    with purevirt.open(held.uri) as host:
        assert host.lookup_by_name(name).name() == name


def test_counters_can_be_set(held: testing.Host) -> None:
    held.create_domain(
        "web", disks=[testing.Disk("xvda", "/a")], interfaces=[testing.Interface("00:16:3e:00:00:01")]
    )
    held.count_block("web", "xvda", rd_req=3, rd_sect=24)
    held.count_interface("web", tx_bytes=1000, rx_bytes=7)
    with purevirt.open_read_only(held.uri) as host:
        domain = host.lookup_by_name("web")
        assert (domain.block_stats("xvda").rd_req, domain.block_stats("xvda").rd_bytes) == (3, 24 * 512)
        assert (domain.interface_stats("0").rx_bytes, domain.interface_stats("0").tx_bytes) == (1000, 7)


def test_what_cannot_be_is_refused(held: testing.Host) -> None:
    held.create_domain("web")
    with pytest.raises(DomainExists):
        held.create_domain("web")
    with pytest.raises(NoMemory):
        held.create_domain("huge", memory_kib=1 << 40)
    with pytest.raises(ValueError, match="no disk's name"):
        held.create_domain("disk", disks=[testing.Disk("disk", "/a")])
    with pytest.raises(NoSuchDomain):
        held.crash("nobody")
    with pytest.raises(ValueError, match=r"4\.99"):
        testing.Host(xen="4.99")
    with testing.Host() as real, pytest.raises(RuntimeError, match="held=True"):
        real.advance(1)


@pytest.mark.parametrize("release", [f"4.{minor}" for minor in range(14, 23)])
def test_every_release_can_be_played_and_read(release: str) -> None:
    with testing.Host(xen=release) as simulated, purevirt.open(simulated.uri) as host:
        version = host.version()
        assert f"{version.major}.{version.minor}" == release
        info = host.lookup_by_name("test").info()
        assert (info.memory_kib, info.max_vcpus) == (262144, 2)


def test_a_connection_is_shared_by_threads(held: testing.Host) -> None:
    for number in range(20):
        held.create_domain(f"d{number}")
    expected = ["Domain-0", *[f"d{number}" for number in range(20)]]
    wrong: list[object] = []
    with purevirt.open(held.uri) as host:

        def work() -> None:
            try:
                for _ in range(20):
                    names = [info.name for info in host.domain_infos()]
                    if names != expected:
                        wrong.append(names)
            except Exception as error:  # whatever a thread finds is the test's result
                wrong.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_connection_is_refused_after_a_fork(held: testing.Host) -> None:
    with purevirt.open(held.uri) as host:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                host.domain_infos()
                os.write(write, b"listed")
            except purevirt.errors.Closed as error:
                os.write(write, str(error).encode())
            finally:
                os._exit(0)
        os.close(write)
        os.waitpid(pid, 0)
        with os.fdopen(read) as answer:
            assert "fork" in answer.read()
        assert host.count_domains() == 1


def test_tasks_share_an_asyncio_connection(held: testing.Host) -> None:
    for number in range(10):
        held.create_domain(f"d{number}")

    async def main() -> list[list[str | None]]:
        async with await purevirt.open_async(held.uri) as host:
            listings = await asyncio.gather(*[host.domain_infos() for _ in range(10)])
            return [[info.name for info in listing] for listing in listings]

    assert all(names == ["Domain-0", *[f"d{n}" for n in range(10)]] for names in asyncio.run(main()))


FORKING = """
import os, sys
import purevirt
from purevirt import testing
with testing.Host() as private, purevirt.open("test:///default") as shared:
    pid = os.fork()
    if pid == 0:
        shared.close()      # the parent's share is not the child's to give back
        with purevirt.open("test:///default") as own:
            assert own.count_domains() == 2
        sys.exit(0)         # runs what is registered for the end, and leaves both contexts
    assert os.waitpid(pid, 0)[1] == 0
    with purevirt.open(private.uri) as one, purevirt.open("test:///default") as two:
        print(one.count_domains(), two.count_domains(), shared.count_domains())
"""


def test_a_forked_child_that_ends_leaves_its_parents_hosts_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("2 2 2\n", "", 0)
