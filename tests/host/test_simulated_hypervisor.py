"""The simulated hypervisor, from its scripting side and from raw bytes."""

from __future__ import annotations

import errno
import itertools
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import InvalidConfig, NoMemory, NoSuchDomain
from purevirt.host.boot import HostSpec
from purevirt.host.clock import HeldClock
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.hypercall import calls, structs
from purevirt.wire.hypercall.messages import DomainInfo
from purevirt.wire.hypercall.numbers import (
    Op,
    Sysctl,
)
from purevirt.wire.hypercall.subops import (
    ShutdownCode,
)
from purevirt.wire.hypercall.values import Extent, Hypercall, Layout

HANDLE = UUID("6695eb01-f6a4-8304-79aa-97f2502e193f")
SECOND = 10**9


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def hv(clock: HeldClock) -> Hypervisor:
    return Hypervisor(clock)


def space() -> Layout:
    return Layout(0x1000, 1 << 18)


def info(hv: Hypervisor, domid: int) -> DomainInfo:
    answer = hv.hypercall(calls.domain_info(space(), hv.interface, domid))
    assert answer.value == 0
    return calls.domain_info_answer(answer, hv.interface)


# --- domains


def test_domain_0_is_there_from_the_start(hv: Hypervisor) -> None:
    (dom0,) = hv
    assert (dom0.id, dom0.handle, dom0.kind) == (0, bytes(16), "pv")


def test_ids_count_up_and_are_not_given_out_again_at_once(hv: Hypervisor) -> None:
    assert [hv.create_domain(handle=HANDLE).id for _ in range(3)] == [1, 2, 3]
    hv.destroy(3)
    assert hv.create_domain(handle=HANDLE).id == 4


def test_ids_start_again_below_the_reserved_ones(hv: Hypervisor) -> None:
    hv.create_domain(handle=HANDLE)
    hv._next_id = 0x7FEF
    assert [hv.create_domain(handle=HANDLE).id for _ in range(2)] == [0x7FEF, 2]
    assert [domain.id for domain in hv] == [0, 1, 2, 0x7FEF]


def test_cpu_time_accrues_by_load_while_a_domain_runs(hv: Hypervisor, clock: HeldClock) -> None:
    domid = hv.create_domain(handle=HANDLE, vcpus=2, load=0.5).id
    clock.advance(10)
    assert info(hv, domid).cpu_time == 10 * SECOND
    hv.set_load(domid, 1.0, vcpu=1)
    clock.advance(2)
    assert info(hv, domid).cpu_time == 13 * SECOND
    hv.pause(domid)
    clock.advance(100)
    assert info(hv, domid).cpu_time == 13 * SECOND
    hv.unpause(domid)
    hv.set_online(domid, 1, False)
    clock.advance(2)
    assert info(hv, domid).cpu_time == 14 * SECOND
    hv.shutdown(domid, ShutdownCode.CRASH)
    clock.advance(100)
    assert info(hv, domid).cpu_time == 14 * SECOND


steps = st.lists(
    st.tuples(
        st.sampled_from(["pause", "unpause", "shutdown", "resume", "load", "online", "offline", "advance"]),
        st.integers(0, 10),
    ),
    max_size=20,
)


@given(steps)
def test_cpu_time_never_goes_back_and_is_the_sum_of_the_vcpus(steps: list[tuple[str, int]]) -> None:
    clock = HeldClock()
    hv = Hypervisor(clock)
    domid = hv.create_domain(handle=HANDLE, vcpus=2, load=0.3).id
    before, idle = 0, 0
    for step, number in steps:
        match step:
            case "load":
                hv.set_load(domid, number / 10)
            case "online" | "offline":
                hv.set_online(domid, number % 2, step == "online")
            case "advance":
                clock.advance(number)
            case "shutdown":
                hv.shutdown(domid, number % 6)
            case _:
                getattr(hv, step)(domid)
        now = info(hv, domid).cpu_time
        each = []
        for vcpu in range(2):
            answer = hv.hypercall(calls.vcpu_info(space(), hv.interface, domid, vcpu))
            each.append(calls.vcpu_info_answer(answer, hv.interface).cpu_time)
        assert now == sum(each)
        assert now >= before
        assert hv.idle_time() >= idle
        before, idle = now, hv.idle_time()


def test_a_pause_is_counted(hv: Hypervisor) -> None:
    domid = hv.create_domain(handle=HANDLE, paused=True).id
    hv.pause(domid)
    hv.unpause(domid)
    assert info(hv, domid).paused
    hv.unpause(domid)
    hv.unpause(domid)
    assert not info(hv, domid).paused


def test_flags_follow_the_state(hv: Hypervisor) -> None:
    domid = hv.create_domain(handle=HANDLE, kind="hvm", vcpus=2).id
    assert (info(hv, domid).blocked, info(hv, domid).running) == (True, False)
    hv.set_load(domid, 0.1, vcpu=1)
    assert (info(hv, domid).blocked, info(hv, domid).running) == (False, True)
    hv.pause(domid)
    assert (info(hv, domid).paused, info(hv, domid).blocked, info(hv, domid).running) == (True, False, False)
    hv.unpause(domid)
    hv.shutdown(domid, ShutdownCode.REBOOT)
    seen = info(hv, domid)
    assert (seen.shutdown, seen.shutdown_code, seen.running, seen.kind) == (True, 1, False, "hvm")
    hv.resume(domid)
    assert info(hv, domid).running
    hv.destroy(domid, linger=True)
    assert (info(hv, domid).dying, info(hv, domid).running) == (True, False)
    hv.destroy(domid)
    assert hv.find(domid) is None


def test_free_memory_falls_and_rises_with_domains(hv: Hypervisor) -> None:
    free = hv.free_pages
    domid = hv.create_domain(handle=HANDLE, memory_kib=4096, max_memory_kib=8192).id
    assert hv.free_pages == free - 1024
    hv.set_memory(domid, 8192)
    assert hv.free_pages == free - 2048
    hv.destroy(domid)
    assert hv.free_pages == free


def test_memory_that_is_not_there_is_refused(hv: Hypervisor) -> None:
    with pytest.raises(NoMemory, match="are free"):
        hv.create_domain(handle=HANDLE, memory_kib=1 << 30)
    domid = hv.create_domain(handle=HANDLE, memory_kib=4096, max_memory_kib=1 << 30).id
    with pytest.raises(NoMemory):
        hv.set_memory(domid, 1 << 29)
    with pytest.raises(InvalidConfig, match="at most"):
        hv.set_memory(domid, 1 << 31)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "xen"},
        {"handle": b"short"},
        {"load": 1.5},
        {"memory_kib": 8, "max_memory_kib": 4},
        {"vcpus": -1},
    ],
)
def test_domains_that_cannot_be_are_refused(hv: Hypervisor, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig):
        hv.create_domain(**({"handle": HANDLE} | wrong))  # type: ignore[arg-type]


def test_changing_a_domain_that_is_gone(hv: Hypervisor) -> None:
    for change in (hv.destroy, hv.pause, hv.unpause, hv.resume):
        with pytest.raises(NoSuchDomain):
            change(9)


def test_a_vcpu_moves_to_where_it_may_run(hv: Hypervisor) -> None:
    domid = hv.create_domain(handle=HANDLE).id
    hv.set_affinity(domid, 0, hard=[2, 3], soft=[3])
    answer = hv.hypercall(calls.vcpu_affinity(space(), hv.interface, domid, 0))
    assert calls.vcpu_affinity_answer(answer) == (frozenset({2, 3}), frozenset({3}))
    answer = hv.hypercall(calls.vcpu_info(space(), hv.interface, domid, 0))
    assert calls.vcpu_info_answer(answer, hv.interface).cpu == 2
    for cpus in ([], [4]):
        with pytest.raises(InvalidConfig):
            hv.set_affinity(domid, 0, hard=cpus)


# --- the host's figures


def test_figures_that_do_not_fit_together_are_refused() -> None:
    for wrong in ({"cpus": 0}, {"cpus": 5, "nodes": 2}, {"arch": "ia64"}, {"xen": (3, 0)}):
        with pytest.raises(ValueError):
            HostSpec(**wrong)


def test_nodes_share_memory_and_cpus_without_a_rest() -> None:
    spec = HostSpec(cpus=12, nodes=3, threads_per_core=2, memory_kib=4 * 1000)
    assert sum(spec.node_pages(node, 1000) for node in range(3)) == 1000
    assert [spec.node_of(cpu) for cpu in range(12)] == [0] * 4 + [1] * 4 + [2] * 4
    hv = Hypervisor(spec=HostSpec(cpus=12, nodes=3, threads_per_core=2))
    answer = hv.hypercall(calls.cpu_topology(space(), hv.interface, 16))
    _, cpus = calls.cpu_topology_answer(answer, hv.interface)
    assert [(cpu.core, cpu.socket) for cpu in cpus[:5]] == [(0, 0), (0, 0), (1, 0), (1, 0), (0, 1)]


def test_idle_time_is_what_the_domains_leave(hv: Hypervisor, clock: HeldClock) -> None:
    hv.create_domain(handle=HANDLE, vcpus=2, load=1.0)
    clock.advance(10)
    assert hv.idle_time() == 5 * SECOND
    hv.destroy(1)
    assert hv.idle_time() == 5 * SECOND


# --- what Xen refuses


def test_a_wrong_interface_version_is_eacces(hv: Hypervisor) -> None:
    for other in (hv.interface.sysctl + 1, 0):
        call = calls.phys_info(space(), hv.interface._replace(sysctl=other))
        assert hv.hypercall(call).value == -errno.EACCES
    call = calls.domain_info(space(), hv.interface._replace(domctl=0x99), 0)
    assert hv.hypercall(call).value == -errno.EACCES


def test_an_unprivileged_domain_may_ask_only_what_any_may(hv: Hypervisor) -> None:
    hv.privileged = False
    assert hv.hypercall(calls.phys_info(space(), hv.interface)).value == -errno.EPERM
    assert hv.hypercall(calls.domain_info(space(), hv.interface, 0)).value == -errno.EPERM
    assert hv.hypercall(calls.build_id(space(), hv.interface)).value == -errno.EPERM
    assert hv.hypercall(calls.features(space(), hv.interface)).value == 0


def test_unknown_operations_are_enosys(hv: Hypervisor) -> None:
    assert hv.hypercall(Hypercall(99, ())).value == -errno.ENOSYS
    assert hv.hypercall(Hypercall(Op.XEN_VERSION, (99,))).value == -errno.ENOSYS
    shape = structs.SYSCTL.at(hv.interface)
    raw = shape.pack(cmd=99, interface_version=hv.interface.sysctl)
    assert hv.hypercall(Hypercall(Op.SYSCTL, (64,), (Extent(64, raw),))).value == -errno.ENOSYS
    raw = structs.DOMCTL.at(hv.interface).pack(cmd=99, interface_version=hv.interface.domctl)
    assert hv.hypercall(Hypercall(Op.DOMCTL, (64,), (Extent(64, raw),))).value == -errno.ENOSYS


def test_an_address_outside_of_the_extents_is_efault(hv: Hypervisor) -> None:
    call = calls.phys_info(space(), hv.interface)
    for args in ((0,), (call.args[0] + 1,), (call.args[0] - 1,), ((1 << 64) - 1,), ()):
        assert hv.hypercall(call._replace(args=args)).value == -errno.EFAULT
    listing = calls.domain_infos(space(), hv.interface, 0, 1)
    without = listing._replace(extents=listing.extents[:1])
    assert hv.hypercall(without).value == -errno.EFAULT


@pytest.mark.parametrize("minor", [14, 17, 18, 22])
def test_getdomaininfo_of_a_gap_is_the_next_domain_until_4_18(minor: int) -> None:
    """Both seen in the lab, on 4.17 and 4.20."""
    hv = Hypervisor(HeldClock(), xen=(4, minor))
    for _ in range(3):
        hv.create_domain(handle=HANDLE)
    hv.destroy(1)

    def ask(domid: int) -> int:
        return hv.hypercall(calls.domain_info(space(), hv.interface, domid)).value

    assert ask(4) == -errno.ESRCH
    if minor < 18:
        assert info(hv, 1).domid == 2
        assert ask(0x7FF0) == -errno.EINVAL
    else:
        assert ask(1) == ask(0x7FF0) == -errno.ESRCH


def test_a_vcpu_that_is_not_there_is_einval_and_a_domain_esrch(hv: Hypervisor) -> None:
    for build in (calls.vcpu_info, calls.vcpu_affinity):
        assert hv.hypercall(build(space(), hv.interface, 0, 4)).value == -errno.EINVAL
        assert hv.hypercall(build(space(), hv.interface, 5, 0)).value == -errno.ESRCH


def test_a_build_id_needs_room() -> None:
    hv = Hypervisor(spec=HostSpec(build_id=None))
    assert hv.hypercall(calls.build_id(space(), hv.interface)).value == -errno.ENODATA
    hv = Hypervisor()
    short = Extent(0x1000, (4).to_bytes(4, "little") + bytes(4))
    assert hv.hypercall(Hypercall(Op.XEN_VERSION, (10, 0x1000), (short,))).value == -errno.ENOBUFS
    assert hv.hypercall(Hypercall(Op.XEN_VERSION, (10, 0))).value == 20


raw_calls = st.builds(
    Hypercall,
    st.sampled_from([17, 29, 34, 35, 36, 1]),
    st.lists(st.sampled_from([0, 1, 4, 6, 10, 0x1000, 0x1008, (1 << 64) - 1]), max_size=5).map(tuple),
    st.lists(
        st.builds(
            lambda address, cmd, version, rest: Extent(
                address, bytes([cmd, 0, 0, 0, version, 0, 0, 0]) + rest
            ),
            st.sampled_from([0, 0x1000, 0x1100]),
            st.integers(0, 30),
            st.sampled_from([0x15, 0]),
            st.one_of(
                st.binary(max_size=150),
                st.lists(st.sampled_from([0, 1, 0x10, 0xFF]), min_size=136, max_size=136).map(bytes),
            ),
        ),
        max_size=3,
    ).map(tuple),
)


@given(raw_calls)
def test_any_call_is_answered_with_a_value_and_as_many_bytes_as_came(call: Hypercall) -> None:
    answer = Hypervisor(HeldClock()).hypercall(call)
    assert isinstance(answer.value, int)
    assert [len(data) for data in answer.extents] == [len(extent.data) for extent in call.extents]


def test_a_listing_starts_where_it_is_told_and_stops_when_it_is_full(hv: Hypervisor) -> None:
    for _ in range(6):
        hv.create_domain(handle=HANDLE, memory_kib=4096)
    hv.destroy(3)
    for first, room in itertools.product((0, 2, 3, 7), (0, 1, 2, 10)):
        answer = hv.hypercall(calls.domain_infos(space(), hv.interface, first, room))
        found = [seen.domid for seen in calls.domain_infos_answer(answer, hv.interface)]
        assert found == [domid for domid in (0, 1, 2, 4, 5, 6) if domid >= first][:room]


def test_every_sysctl_that_has_a_number_is_answered(hv: Hypervisor) -> None:
    from purevirt.host.sysctl import _HANDLERS

    assert set(_HANDLERS) == set(Sysctl)
