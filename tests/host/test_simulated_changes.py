"""Changes by hypercall, as the simulated hypervisor answers them: Xen's errnos, and what becomes of CPU time."""

from __future__ import annotations

import errno
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import InvalidConfig
from purevirt.host.boot import HostSpec
from purevirt.host.clock import HeldClock
from purevirt.host.console import RING, Console
from purevirt.host.domains import SimDomain
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.hypercall import calls, changes, structs
from purevirt.wire.hypercall.numbers import (
    Domctl,
    Op,
)
from purevirt.wire.hypercall.subops import (
    HvmParam,
    SendTrigger,
    ShutdownCode,
)
from purevirt.wire.hypercall.values import Extent, Hypercall, Layout

HANDLE = UUID("6695eb01-f6a4-8304-79aa-97f2502e193f")
SECOND = 10**9
MISSING = 99


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def hv(clock: HeldClock) -> Hypervisor:
    return Hypervisor(clock)


@pytest.fixture
def domid(hv: Hypervisor) -> int:
    return hv.create_domain(handle=HANDLE, vcpus=2).id


def space() -> Layout:
    return Layout(0x1000, 1 << 18)


def cpu_time(hv: Hypervisor, domid: int) -> int:
    answer = hv.hypercall(calls.domain_info(space(), hv.interface, domid))
    return calls.domain_info_answer(answer, hv.interface).cpu_time


# --- errnos


def test_a_domain_that_is_not_there_is_esrch(hv: Hypervisor) -> None:
    versions = hv.interface
    for call in (
        changes.pause_domain(space(), versions, MISSING),
        changes.unpause_domain(space(), versions, MISSING),
        changes.resume_domain(space(), versions, MISSING),
        changes.destroy_domain(space(), versions, MISSING),
        changes.max_mem(space(), versions, MISSING, 4),
        changes.set_vcpu_affinity(space(), versions, MISSING, 0, [0], None),
        changes.put_sched_parameters(space(), versions, MISSING, 6, 256, 0),
        changes.send_trigger(space(), versions, MISSING, SendTrigger.NMI, 0),
        changes.remote_shutdown(space(), versions, MISSING, 0),
        calls.sched_parameters(space(), versions, MISSING, 6),
        calls.hvm_param(space(), versions, MISSING, 0),
    ):
        assert hv.hypercall(call).value == -errno.ESRCH


def test_domain_0_can_neither_pause_nor_resume_nor_destroy_itself(hv: Hypervisor) -> None:
    for build in (changes.pause_domain, changes.resume_domain, changes.destroy_domain):
        assert hv.hypercall(build(space(), hv.interface, 0)).value == -errno.EINVAL


def test_pauses_are_counted_and_there_are_255(hv: Hypervisor, domid: int) -> None:
    pause = changes.pause_domain(space(), hv.interface, domid)
    unpause = changes.unpause_domain(space(), hv.interface, domid)
    assert hv.hypercall(unpause).value == -errno.EINVAL
    assert {hv.hypercall(pause).value for _ in range(255)} == {0}
    assert hv.hypercall(pause).value == -errno.EOVERFLOW
    assert {hv.hypercall(unpause).value for _ in range(255)} == {0}
    assert hv.hypercall(unpause).value == -errno.EINVAL


def test_a_shutdown_keeps_its_first_reason_until_it_is_taken_back(hv: Hypervisor, domid: int) -> None:
    for code in (ShutdownCode.SUSPEND, ShutdownCode.CRASH):
        assert hv.hypercall(changes.remote_shutdown(space(), hv.interface, domid, code)).value == 0
    assert hv.domain(domid).shutdown_code == ShutdownCode.SUSPEND
    assert hv.hypercall(changes.resume_domain(space(), hv.interface, domid)).value == 0
    assert hv.domain(domid).shutdown_code is None
    assert hv.hypercall(changes.resume_domain(space(), hv.interface, domid)).value == 0


def test_a_destroyed_domain_is_gone_and_its_memory_free(hv: Hypervisor) -> None:
    free = hv.free_pages
    domid = hv.create_domain(handle=HANDLE).id
    assert hv.hypercall(changes.destroy_domain(space(), hv.interface, domid)).value == 0
    assert (hv.find(domid), hv.free_pages) == (None, free)


def test_the_most_memory_may_be_less_than_there_is(hv: Hypervisor, domid: int) -> None:
    assert hv.hypercall(changes.max_mem(space(), hv.interface, domid, 4099)).value == 0
    assert (hv.domain(domid).max_pages, hv.domain(domid).tot_pages) == (1024, 32768)
    assert hv.hypercall(changes.max_mem(space(), hv.interface, domid, (1 << 64) - 1)).value == 0
    with pytest.raises(InvalidConfig):
        hv.set_memory(domid, -4)


def test_affinity_drops_cpus_that_do_not_exist(hv: Hypervisor, domid: int) -> None:
    call = changes.set_vcpu_affinity(space(), hv.interface, domid, 1, [1, 2, 700], [2, 3])
    answer = hv.hypercall(call)
    assert answer.value == 0
    # What is in force comes back: of the soft affinity, what lies within the hard one.
    assert [int.from_bytes(data, "little") for data in answer.extents[1:]] == [0b110, 0b100]
    vcpu = hv.domain(domid).vcpus[1]
    assert (vcpu.hard, vcpu.soft, vcpu.cpu) == (0b110, 0b1100, 1)


def test_affinity_that_leaves_nothing_is_einval(hv: Hypervisor, domid: int) -> None:
    for call in (
        changes.set_vcpu_affinity(space(), hv.interface, domid, 0, [], None),
        changes.set_vcpu_affinity(space(), hv.interface, domid, 0, [700], [0]),
        changes.set_vcpu_affinity(space(), hv.interface, domid, 0, None, None),
        changes.set_vcpu_affinity(space(), hv.interface, domid, 2, [0], None),
    ):
        assert hv.hypercall(call).value == -errno.EINVAL
    assert hv.domain(domid).vcpus[0].hard == 0b1111
    call = changes.set_vcpu_affinity(space(), hv.interface, domid, 0, [0], [0])
    assert hv.hypercall(call._replace(extents=call.extents[:2])).value == -errno.EFAULT
    assert hv.domain(domid).vcpus[0].hard == 0b1111
    assert hv.hypercall(changes.set_vcpu_affinity(space(), hv.interface, domid, 0, None, [])).value == 0


def put(hv: Hypervisor, domid: int, weight: int, cap: int, sched_id: int | None = None) -> int:
    which = hv.spec.scheduler if sched_id is None else sched_id
    return hv.hypercall(changes.put_sched_parameters(space(), hv.interface, domid, which, weight, cap)).value


def test_credit2_refuses_a_cap_above_its_vcpus_and_has_set_the_weight(hv: Hypervisor, domid: int) -> None:
    assert put(hv, domid, 512, 200) == 0
    assert put(hv, domid, 1024, 201) == -errno.EINVAL
    assert (hv.domain(domid).weight, hv.domain(domid).cap) == (1024, 200)
    assert put(hv, domid, 0, 0) == 0
    assert (hv.domain(domid).weight, hv.domain(domid).cap) == (1024, 0)


def test_credit_takes_any_cap_and_leaves_it_for_all_ones(clock: HeldClock) -> None:
    hv = Hypervisor(clock, spec=HostSpec(scheduler=5))
    domid = hv.create_domain(handle=HANDLE).id
    assert put(hv, domid, 128, 900) == 0
    assert put(hv, domid, 0, 0xFFFF) == 0
    answer = hv.hypercall(calls.sched_parameters(space(), hv.interface, domid, 5))
    assert calls.sched_parameters_answer(answer, hv.interface) == (128, 900)


def test_the_scheduler_has_to_be_named_rightly(hv: Hypervisor, domid: int) -> None:
    assert put(hv, domid, 256, 0, sched_id=5) == -errno.EINVAL
    call = calls.sched_parameters(space(), hv.interface, domid, 6)
    for cmd, value in ((2, -errno.EINVAL), (9, -errno.EINVAL)):
        wrapper = bytearray(call.extents[0].data)
        wrapper[structs.DOMCTL_U + 4] = cmd
        changed = call._replace(extents=(Extent(call.args[0], bytes(wrapper)),))
        assert hv.hypercall(changed).value == value


@pytest.mark.parametrize(("scheduler", "value"), [(7, 0), (8, -errno.EOPNOTSUPP), (9, 0)])
def test_schedulers_without_weights(scheduler: int, value: int) -> None:
    hv = Hypervisor(HeldClock(), spec=HostSpec(scheduler=scheduler))
    assert put(hv, 0, 512, 50) == value
    assert (hv.domain(0).weight, hv.domain(0).cap) == (256, 0)


@pytest.mark.parametrize(
    ("kind", "trigger", "value"),
    [
        ("pv", SendTrigger.NMI, 0),
        ("hvm", SendTrigger.NMI, 0),
        ("hvm", SendTrigger.POWER, 0),
        ("pvh", SendTrigger.SLEEP, 0),
        ("pv", SendTrigger.POWER, -errno.EINVAL),
        ("pv", SendTrigger.SLEEP, -errno.EINVAL),
        ("hvm", SendTrigger.RESET, -errno.ENOSYS),
        ("hvm", SendTrigger.INIT, -errno.ENOSYS),
        ("pv", 77, -errno.ENOSYS),
    ],
)
def test_triggers_reach_the_guest_or_are_refused(hv: Hypervisor, kind: str, trigger: int, value: int) -> None:
    seen: list[tuple[SimDomain, int, int]] = []
    hv.on_trigger = lambda *what: seen.append(what)
    domain = hv.create_domain(handle=HANDLE, kind=kind, vcpus=2)
    assert hv.hypercall(changes.send_trigger(space(), hv.interface, domain.id, trigger, 1)).value == value
    assert seen == ([(domain, 1, trigger)] if value == 0 else [])
    call = changes.send_trigger(space(), hv.interface, domain.id, SendTrigger.NMI, 2)
    assert hv.hypercall(call).value == -errno.ESRCH


def test_arm_has_no_triggers() -> None:
    hv = Hypervisor(HeldClock(), arch="arm64")
    call = changes.send_trigger(space(), hv.interface, 0, SendTrigger.NMI, 0)
    assert hv.hypercall(call).value == -errno.ENOSYS


def test_parameters_are_of_domains_with_hardware_s_help(hv: Hypervisor, domid: int) -> None:
    pvh = hv.create_domain(handle=HANDLE, kind="pvh").id
    hv.domain(pvh).hvm_params[HvmParam.CALLBACK_IRQ] = 2 << 56 | 0xF3  # as a kernel does when it boots
    answer = hv.hypercall(calls.hvm_param(space(), hv.interface, pvh, HvmParam.CALLBACK_IRQ))
    assert calls.hvm_param_answer(answer, hv.interface) >> 56 == 2
    answer = hv.hypercall(calls.hvm_param(space(), hv.interface, pvh, HvmParam.ACPI_S_STATE))
    assert (answer.value, calls.hvm_param_answer(answer, hv.interface)) == (0, 0)
    for wrong, index in ((domid, 0), (0x7FF0, 0), (pvh, 1000)):
        assert hv.hypercall(calls.hvm_param(space(), hv.interface, wrong, index)).value == -errno.EINVAL


def test_an_unprivileged_domain_changes_nothing(hv: Hypervisor, domid: int) -> None:
    hv.privileged = False
    for call in (
        changes.pause_domain(space(), hv.interface, domid),
        changes.remote_shutdown(space(), hv.interface, domid, 0),
        changes.debug_keys(space(), hv.interface, b"h"),
        calls.console_ring(space(), hv.interface, 16, None, clear=False),
        calls.hvm_param(space(), hv.interface, hv.create_domain(handle=HANDLE, kind="pvh").id, 0),
    ):
        assert hv.hypercall(call).value == -errno.EPERM
    assert hv.domain(domid).runs


def test_other_sub_operations_are_enosys(hv: Hypervisor) -> None:
    for op in (Op.SCHED_OP, Op.HVM_OP):
        assert hv.hypercall(Hypercall(op, (77, 0))).value == -errno.ENOSYS
    for good, op in (
        (changes.remote_shutdown(space(), hv.interface, 0, 0), Op.SCHED_OP),
        (calls.hvm_param(space(), hv.interface, 0, 0), Op.HVM_OP),
    ):
        assert good.op == op
        assert hv.hypercall(good._replace(extents=())).value == -errno.EFAULT


def test_every_domctl_that_has_a_number_is_answered(hv: Hypervisor) -> None:
    from purevirt.host.domctl import _HANDLERS

    assert set(_HANDLERS) | {Domctl.CREATEDOMAIN} == set(Domctl)  # that one concerns no domain yet


# --- pools and console


def test_there_is_one_pool(hv: Hypervisor, domid: int) -> None:
    answer = hv.hypercall(calls.cpu_pool(space(), hv.interface, 0))
    assert calls.cpu_pool_answer(answer, hv.interface) == (0, 6, 2, (0, 1, 2, 3))
    assert hv.hypercall(calls.cpu_pool(space(), hv.interface, 1)).value == -errno.ENOENT
    call = calls.cpu_pool(space(), hv.interface, 0)
    for op, value in ((7, 0), (1, -errno.ENOSYS)):
        wrapper = bytearray(call.extents[0].data)
        wrapper[structs.SYSCTL_U] = op
        assert (
            hv.hypercall(call._replace(extents=(Extent(call.args[0], bytes(wrapper)), call.extents[1]))).value
            == value
        )


def test_the_console_keeps_what_fits_into_its_ring() -> None:
    console = Console()
    console.write(b"a" * RING + b"bc")
    data, end = console.read(1 << 20, None, clear=False)
    assert (len(data), data[-3:], end) == (RING, b"abc", RING + 2)
    assert console.read(10, end, clear=False) == (b"", end)
    assert console.read(2, 1, clear=False) == (b"aa", 4)  # what is no longer there is skipped


@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(1, 50), st.booleans()), max_size=20))
def test_a_reader_that_goes_on_where_it_stopped_reads_all_once(
    steps: list[tuple[bytes, int, bool]],
) -> None:
    console, index, read = Console(), 0, b""
    console._oldest = index = (1 << 32) - 20  # so that the counters wrap
    for written, room, clear in steps:
        console.write(written)
        data, index = console.read(room, index, clear=clear)
        read += data
    data, index = console.read(1 << 20, index, clear=False)
    assert read + data == b"".join(written for written, _, _ in steps)


def test_keys_print_to_the_console(hv: Hypervisor, domid: int) -> None:
    hv.console.read(1 << 20, None, clear=True)
    hv.put_affinity(domid, 1, 0b1101, 0)
    assert hv.hypercall(changes.debug_keys(space(), hv.interface, b"~rqmh")).value == 0
    text = hv.console.read(1 << 20, None, clear=False)[0].decode()
    assert "'r' pressed -> run queues\n(XEN) Scheduler: SMP Credit Scheduler rev2 (credit2)\n" in text
    assert "(XEN) \tDomain: 0 w 256 c 0 v 4\n" in text
    described = text[text.index(f"General information for domain {domid}:") :]
    assert "    nr_pages=32768 max_pages=32768\n" in described
    assert f"    handle={HANDLE}\n" in described
    assert "  UNIT1 affinities: hard={0,2-3} soft={}\n" in described
    assert "    Dom heap: " in text
    assert "key 'q' (ascii '71') => domains" in text
    call = changes.debug_keys(space(), hv.interface, b"hh")
    assert hv.hypercall(call._replace(extents=call.extents[:1])).value == -errno.EFAULT


# --- CPU time


def test_weights_decide_where_cpus_are_short(hv: Hypervisor, clock: HeldClock) -> None:
    light, heavy = (hv.create_domain(handle=HANDLE, load=1.0).id for _ in range(2))
    for domid in (light, heavy):
        hv.set_affinity(domid, 0, hard=[1])
    hv.set_scheduling(heavy, weight=768)
    clock.advance(4)
    assert (cpu_time(hv, light), cpu_time(hv, heavy)) == (SECOND, 3 * SECOND)
    assert put(hv, light, 768, 0) == 0
    clock.advance(2)
    assert (cpu_time(hv, light), cpu_time(hv, heavy)) == (2 * SECOND, 4 * SECOND)
    assert hv.hypercall(changes.pause_domain(space(), hv.interface, heavy)).value == 0
    clock.advance(3)
    assert (cpu_time(hv, light), cpu_time(hv, heavy)) == (5 * SECOND, 4 * SECOND)


def test_a_cap_holds_where_cpus_are_idle(hv: Hypervisor, clock: HeldClock) -> None:
    domid = hv.create_domain(handle=HANDLE, vcpus=2, load=1.0).id
    hv.set_scheduling(domid, cap=50)
    clock.advance(10)
    assert cpu_time(hv, domid) == 5 * SECOND
    hv.set_load(domid, 0.1, vcpu=0)
    clock.advance(10)
    assert cpu_time(hv, domid) == 10 * SECOND
    hv.set_scheduling(domid, cap=0)
    clock.advance(10)
    assert cpu_time(hv, domid) == 21 * SECOND


def test_credit_divides_a_weight_among_the_vcpus(clock: HeldClock) -> None:
    times = []
    for scheduler in (5, 6):
        hv = Hypervisor(clock, spec=HostSpec(scheduler=scheduler, cpus=1))
        one = hv.create_domain(handle=HANDLE, load=1.0).id
        three = hv.create_domain(handle=HANDLE, vcpus=3, load=1.0).id
        clock.advance(4)
        times.append((cpu_time(hv, one), cpu_time(hv, three)))
    credit, credit2 = times
    assert credit == pytest.approx((2 * SECOND, 2 * SECOND), abs=100)
    assert credit2 == (SECOND, 3 * SECOND)


def test_idle_time_stands_still_on_a_host_that_is_full(clock: HeldClock) -> None:
    hv = Hypervisor(clock, cpus=2)
    for _ in range(3):
        hv.create_domain(handle=HANDLE, load=1.0)
    clock.advance(3)
    assert hv.idle_time() <= 3
    assert [cpu_time(hv, domid) for domid in (1, 2, 3)] == pytest.approx([2 * SECOND] * 3, abs=3)


def test_a_domain_that_comes_or_goes_changes_the_share_of_the_others(clock: HeldClock) -> None:
    hv = Hypervisor(clock, cpus=1)
    first = hv.create_domain(handle=HANDLE, load=1.0).id
    clock.advance(1)
    second = hv.create_domain(handle=HANDLE, load=1.0).id
    clock.advance(2)
    hv.destroy(second)
    clock.advance(1)
    assert cpu_time(hv, first) == 3 * SECOND


def test_a_weight_is_checked(hv: Hypervisor) -> None:
    for wrong in ({"weight": 0}, {"weight": 65536}, {"cap": -1}, {"cap": 65536}):
        with pytest.raises(InvalidConfig):
            hv.set_scheduling(0, **wrong)
