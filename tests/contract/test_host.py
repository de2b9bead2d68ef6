"""What every host answers about itself."""

from __future__ import annotations

import os
from typing import Any

import pytest

import purevirt
from purevirt.errors import ChannelUnavailable, Closed, Unsupported

from .conftest import Caller, Facts


def test_the_library_and_the_type_are_named(either: Any) -> None:
    assert either.type() == "Xen"
    assert either.library_version() == purevirt.__version__


def test_the_uri_is_the_one_opened(either: Any, facts: Facts) -> None:
    assert either.uri == facts.uri


def test_the_hypervisor_says_its_version_and_interfaces(do: Caller, rw: Any) -> None:
    version = do(rw.version)
    assert version.major == 4
    assert 14 <= version.minor <= 22
    assert version.sysctl is not None
    assert version.domctl is not None
    assert str(version).startswith(f"4.{version.minor}")


def test_read_only_the_version_comes_without_interfaces(do: Caller, rw: Any, alone: Any) -> None:
    version, measured = do(alone.version), do(rw.version)
    assert (version.major, version.minor) == (measured.major, measured.minor)
    assert (version.sysctl, version.domctl, version.verified) == (None, None, None)


def test_the_hostname_is_text(do: Caller, either: Any) -> None:
    assert do(either.hostname)


def test_the_node_has_cpus_and_memory(do: Caller, rw: Any) -> None:
    node = do(rw.node_info)
    assert node.cpus == node.nodes * node.sockets * node.cores * node.threads
    assert node.memory_kib > 0
    assert node.mhz > 0


def test_read_only_the_node_hides_what_only_the_hypervisor_knows(do: Caller, alone: Any) -> None:
    node = do(alone.node_info)
    assert node.machine
    assert (node.cpus, node.memory_kib, node.nodes) == (None, None, None)


def test_free_memory_is_part_of_the_memory(do: Caller, rw: Any) -> None:
    free = do(rw.free_memory)
    node = do(rw.node_info)
    domains = do(rw.domain_infos)
    assert 0 < free < node.memory_kib
    assert free + sum(info.memory_kib for info in domains) <= node.memory_kib


def test_the_cells_hold_all_cpus_and_the_memory(do: Caller, rw: Any) -> None:
    cells = do(rw.numa_cells)
    node = do(rw.node_info)
    assert len(cells) == node.nodes
    assert sorted(cpu for cell in cells for cpu in cell.cpus) == list(range(node.cpus))
    assert all(0 <= cell.free_kib <= cell.memory_kib for cell in cells)
    assert all(cell.distances[cell.id] in (10, None) for cell in cells)


def test_the_scheduler_is_named(do: Caller, rw: Any) -> None:
    scheduler = do(rw.scheduler)
    assert scheduler.name in ("credit", "credit2", "rtds", "null", "arinc653")


@pytest.mark.parametrize("method", ["free_memory", "numa_cells", "scheduler", "cpupools", "dmesg"])
def test_read_only_says_what_needs_hypercalls(do: Caller, alone: Any, method: str) -> None:
    with pytest.raises(Unsupported, match="needs hypercalls"):
        do(getattr(alone, method))


@pytest.mark.parametrize("method", ["version", "hostname", "numa_cells", "scheduler", "cpupools"])
def test_the_daemon_tells_what_hypercalls_tell(do: Caller, rw: Any, told: Any, method: str) -> None:
    mine, theirs = do(getattr(told, method)), do(getattr(rw, method))
    if method == "numa_cells":  # free memory moves
        mine, theirs = ([cell._replace(free_kib=0) for cell in cells] for cells in (mine, theirs))
    assert mine == theirs


def test_the_daemon_tells_who_one_is(do: Caller, told: Any) -> None:
    caller = do(told.whoami)
    assert (caller.uid, caller.pid) == (os.geteuid(), os.getpid())
    assert caller.role >= purevirt.Role.READER


def test_without_a_daemon_nobody_is_anybody(do: Caller, alone: Any) -> None:
    with pytest.raises(ChannelUnavailable, match="purevirt xend"):
        do(alone.whoami)


def test_every_cpu_is_in_at_most_one_pool(do: Caller, rw: Any) -> None:
    pools = do(rw.cpupools)
    cpus = [cpu for pool in pools for cpu in pool.cpus]
    assert pools[0].id == 0
    assert len(cpus) == len(set(cpus))
    assert set(cpus) <= set(range(do(rw.node_info).cpus))
    assert sum(pool.domains for pool in pools) == do(rw.count_domains)


def test_xen_has_said_something(do: Caller, rw: Any) -> None:
    assert "(XEN) " in do(rw.dmesg)  # somebody may have cleared what it said at boot


def test_explain_has_a_row_for_each_operation(either: Any) -> None:
    rows = either.explain()
    assert {row.operation for row in rows} >= {"list_domains", "domain_info", "node_info", "version"}
    for row in rows:
        assert row.channels or row.note
        if either.read_only:
            assert purevirt.Channel.HYPERVISOR not in row.channels


def test_a_closed_connection_says_so(do: Caller, facts: Facts) -> None:
    connection = do.open(facts.uri, "rw")
    do(connection.close)
    do(connection.close)
    assert not connection.is_open
    with pytest.raises(Closed):
        do(connection.domain_infos)
    with pytest.raises(Closed):
        connection.explain()
