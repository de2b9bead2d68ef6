"""What every host says it can do."""

from __future__ import annotations

from typing import Any

import pytest

from purevirt.errors import Unsupported
from purevirt.formats import capabilities_xml
from purevirt.model import DomainType

from .conftest import Caller, Facts


def test_the_hosts_figures_are_the_nodes(do: Caller, rw: Any) -> None:
    cpu, node = do(rw.capabilities).host.cpu, do(rw.node_info)
    assert cpu.arch == node.machine
    assert (cpu.sockets, cpu.cores, cpu.threads) == (node.nodes * node.sockets, node.cores, node.threads)
    if cpu.arch == "x86_64":
        assert {"fpu", "pae", "lm", "sse2"} <= set(cpu.features)


def test_the_cells_are_the_numa_cells_with_their_cpus_in_place(do: Caller, rw: Any) -> None:
    cells, numa = do(rw.capabilities).host.cells, do(rw.numa_cells)
    assert [(cell.id, cell.memory_kib, tuple(place.id for place in cell.cpus)) for cell in cells] == [
        (cell.id, cell.memory_kib, cell.cpus) for cell in numa
    ]
    ids = {cell.id for cell in cells}
    for cell in cells:
        assert {node for node, _ in cell.distances} <= ids
        for place in cell.cpus:
            assert place.id in place.siblings
            assert len(place.siblings) <= do(rw.node_info).threads


def test_every_guest_that_runs_is_of_a_kind_that_is_listed(do: Caller, rw: Any, facts: Facts) -> None:
    listed = {guest.type for guest in do(rw.capabilities).guests}
    assert {DomainType(guest.type) for guest in facts.guests} <= listed


def test_each_guest_that_is_listed_has_possibilities(do: Caller, rw: Any) -> None:
    capabilities = do(rw.capabilities)
    for guest in capabilities.guests:
        found = do(rw.domain_capabilities, guest.type, guest.arch)
        assert (found.type, found.arch, found.machine) == (guest.type, guest.arch, guest.machine)
        assert guest.emulator in (None, found.emulator)
        assert found.device("disk").supported
        assert found.max_vcpus is None or found.max_vcpus >= 128
    default = do(rw.domain_capabilities)
    assert (default.type, default.arch) in [(guest.type, guest.arch) for guest in capabilities.guests]


def test_a_guest_that_cannot_run_is_refused(do: Caller, rw: Any) -> None:
    with pytest.raises(Unsupported, match="this host runs no pv vax guests; it runs "):
        do(rw.domain_capabilities, "pv", "vax")


def test_the_xml_says_the_same(do: Caller, rw: Any) -> None:
    assert capabilities_xml.parse(do(rw.capabilities_xml)) == do(rw.capabilities)
    for kind in ("pv", "pvh", "hvm"):
        if DomainType(kind) in {guest.type for guest in do(rw.capabilities).guests}:
            told = capabilities_xml.parse_domain(do(rw.domain_capabilities_xml, kind))
            assert told == do(rw.domain_capabilities, kind)


def test_without_hypercalls_the_guests_are_known_and_the_topology_is_not(
    do: Caller, rw: Any, alone: Any
) -> None:
    seen, measured = do(alone.capabilities), do(rw.capabilities)
    assert [guest._replace(hap=None) for guest in measured.guests] == list(seen.guests)
    assert (seen.host.cells, seen.host.iommu, seen.host.cpu.features) == ((), None, ())
    assert (seen.host.cpu.arch, seen.host.cpu.vendor) == (measured.host.cpu.arch, measured.host.cpu.vendor)
    with pytest.raises(Unsupported, match="needs hypercalls"):
        do(alone.domain_capabilities)


def test_the_daemon_tells_what_hypercalls_tell(do: Caller, rw: Any, told: Any) -> None:
    assert do(told.capabilities) == do(rw.capabilities)
    for guest in do(rw.capabilities).guests:
        mine = do(told.domain_capabilities, guest.type, guest.arch)
        assert mine == do(rw.domain_capabilities, guest.type, guest.arch)
    with pytest.raises(Unsupported, match="this host runs no pv vax guests"):
        do(told.domain_capabilities, "pv", "vax")
