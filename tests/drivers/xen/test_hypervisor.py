"""Wire structs in, model out."""

from __future__ import annotations

from uuid import UUID

import pytest

from purevirt.drivers.xen import hypervisor, node
from purevirt.model import DomainState, DomainType, StateReason, VcpuState
from purevirt.wire.hypercall import messages as wire

INFO = wire.DomainInfo(
    domid=3,
    flags=0x20,
    tot_pages=1024,
    max_pages=1280,
    outstanding_pages=2,
    shr_pages=0,
    paged_pages=0,
    shared_info_frame=0,
    cpu_time=5_000_000_000,
    nr_online_vcpus=1,
    max_vcpu_id=3,
    ssidref=0,
    handle=bytes(range(16)),
    cpupool=0,
    gpaddr_bits=None,
    emulation_flags=0,
)


@pytest.mark.parametrize(
    ("flags", "state", "reason", "letters"),
    [
        (0x20, DomainState.RUNNING, StateReason.UNKNOWN, "r-----"),
        (0x10, DomainState.BLOCKED, StateReason.UNKNOWN, "-b----"),
        (0x00, DomainState.RUNNING, StateReason.UNKNOWN, "------"),
        (0x08, DomainState.PAUSED, StateReason.UNKNOWN, "--p---"),
        (0x18, DomainState.PAUSED, StateReason.UNKNOWN, "-bp---"),
        (0x04, DomainState.SHUTDOWN, StateReason.POWEROFF, "---s--"),
        (0x04 | 1 << 16, DomainState.SHUTDOWN, StateReason.REBOOT, "---s--"),
        (0x04 | 2 << 16, DomainState.PAUSED, StateReason.SUSPEND, "---s--"),
        (0x04 | 3 << 16, DomainState.CRASHED, StateReason.CRASH, "---sc-"),
        (0x04 | 4 << 16, DomainState.CRASHED, StateReason.WATCHDOG, "---s--"),
        (0x04 | 99 << 16, DomainState.SHUTDOWN, StateReason.UNKNOWN, "---s--"),
        (0x05 | 3 << 16, DomainState.SHUTDOWN, StateReason.DYING, "---scd"),
        (0x01, DomainState.SHUTDOWN, StateReason.DYING, "-----d"),
        (0x10 | 0xFF << 16, DomainState.BLOCKED, StateReason.UNKNOWN, "-b----"),
    ],
)
def test_flags_become_a_state_a_reason_and_xls_letters(
    flags: int, state: DomainState, reason: StateReason, letters: str
) -> None:
    info = hypervisor.domain_info(INFO._replace(flags=flags), "x")
    assert (info.state, info.reason, info.flags) == (state, reason, letters)


def test_pages_become_kib_and_the_handle_a_uuid() -> None:
    info = hypervisor.domain_info(INFO, "näme")
    assert (info.memory_kib, info.max_memory_kib, info.outstanding_kib) == (4096, 5120, 8)
    assert info.uuid == UUID("00010203-0405-0607-0809-0a0b0c0d0e0f")
    assert (info.vcpus, info.max_vcpus, info.cpu_time_ns) == (1, 4, 5_000_000_000)
    assert info.memory_target_kib is None


@pytest.mark.parametrize("unlimited", [0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF, (1 << 52) - 1])
def test_no_limit_is_no_number(unlimited: int) -> None:
    assert hypervisor.domain_info(INFO._replace(max_pages=unlimited), None).max_memory_kib is None


@pytest.mark.parametrize(
    ("flags", "emulation", "kind"),
    [(0, 0, "pv"), (2, 1, "pvh"), (2, 0x37F, "hvm"), (2, None, "pvh"), (2, 0x411, "pvh")],
)
def test_the_emulated_devices_tell_the_type(flags: int, emulation: int | None, kind: str) -> None:
    info = INFO._replace(flags=flags, emulation_flags=emulation)
    assert hypervisor.domain_type(info) is DomainType(kind)


def test_an_offline_vcpu_runs_nowhere() -> None:
    affinity = wire.VcpuAffinity(frozenset({0, 1}), frozenset({1}))
    off = hypervisor.vcpu(1, wire.VcpuInfo(1, False, False, False, 7, 3), affinity)
    assert (off.state, off.cpu, off.cpu_time_ns) == (VcpuState.OFFLINE, None, 7)
    blocked = hypervisor.vcpu(0, wire.VcpuInfo(0, True, True, False, 7, 3), affinity)
    assert (blocked.state, blocked.cpu, blocked.soft_affinity) == (VcpuState.BLOCKED, 3, frozenset({1}))


def test_the_nodes_figures_multiply_to_its_cpus() -> None:
    physical = wire.PhysInfo(2, 4, 32, 31, 2, 1, 2_400_000, 0, None, 1000, 10, 0, 0, 0, (0,) * 8)
    figures = node.node_info(physical, "x86_64", "A CPU")
    assert (figures.nodes, figures.sockets, figures.cores, figures.threads) == (2, 2, 4, 2)
    assert (figures.cpus, figures.mhz, figures.memory_kib) == (32, 2400, 4000)


def test_numa_cells_hold_their_cpus_and_leave_out_empty_nodes() -> None:
    nodes = [
        wire.NumaNode(0, 2048, 1024, (10, 21)),
        wire.NumaNode(1, None, None, (21, 10)),
        wire.NumaNode(2, 4096, 0, (21, 21)),
    ]
    topology = [
        wire.CpuTopology(0, 0, 0, 0),
        wire.CpuTopology(1, 1, 0, 2),
        wire.CpuTopology(2, None, None, None),
    ]
    first, second = node.numa_cells(nodes, topology)
    assert (first.id, first.memory_kib, first.free_kib, first.cpus) == (0, 2, 1, (0,))
    assert (second.id, second.cpus) == (2, (1,))
