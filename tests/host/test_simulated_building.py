"""Building a domain by hypercalls: what the simulated hypervisor and its bus give, refuse, and start."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.host.bus import Bus
from purevirt.host.clock import HeldClock
from purevirt.host.guests import Guests
from purevirt.host.hypervisor import Hypervisor
from purevirt.host.memory import XenError
from purevirt.wire.bus.numbers import ReservedGrant
from purevirt.wire.hypercall import building, calls, changes
from purevirt.wire.hypercall.building import HVM_EMULATION, NewDomain
from purevirt.wire.hypercall.messages import DomainInfo
from purevirt.wire.hypercall.subops import CreateFlag, EmulationFlag, HvmParam
from purevirt.wire.hypercall.values import Layout

HANDLE = bytes(range(16))
HVM = CreateFlag.HVM | CreateFlag.HAP
PV = NewDomain(HANDLE, max_vcpus=2)
PVH = NewDomain(HANDLE, HVM, EmulationFlag.LAPIC, max_vcpus=2)
MIB = 256  # pages
STORE, CONSOLE = 0x80, 0x81


@pytest.fixture
def hv() -> Hypervisor:
    return Hypervisor(HeldClock(), memory_kib=2 << 20)


def space() -> Layout:
    return Layout(0x1000, 1 << 18)


def create(hv: Hypervisor, new: NewDomain) -> int:
    """The id, or a negative errno."""
    answer = hv.hypercall(building.create_domain(space(), hv.interface, new))
    return answer.value or building.create_domain_answer(answer, hv.interface)


def info(hv: Hypervisor, domid: int) -> DomainInfo:
    answer = hv.hypercall(calls.domain_info(space(), hv.interface, domid))
    return calls.domain_info_answer(answer, hv.interface)


def ask(hv: Hypervisor, build: Any, *arguments: Any) -> int:
    return hv.hypercall(build(space(), hv.interface, *arguments)).value


def port(hv: Hypervisor, domid: int) -> int:
    answer = hv.hypercall(building.alloc_unbound(space(), hv.interface, domid, 0))
    assert answer.value == 0
    return building.alloc_unbound_answer(answer, hv.interface)


@pytest.mark.parametrize("minor", range(14, 23))
@pytest.mark.parametrize(
    ("new", "kind"), [(PV, "pv"), (PVH, "pvh"), (PVH._replace(emulation=HVM_EMULATION), "hvm")]
)
def test_a_new_domain_is_paused_and_has_nothing(minor: int, new: NewDomain, kind: str) -> None:
    hv = Hypervisor(HeldClock(), xen=(4, minor))
    domid = create(hv, new)
    domain = hv.domain(domid)
    assert (domain.kind, domain.handle, domain.paused, domain.tot_pages) == (kind, HANDLE, 1, 0)
    assert info(hv, domid).max_vcpu_id is None


@pytest.mark.parametrize(
    "new",
    [
        PV._replace(flags=CreateFlag.HAP),
        PV._replace(emulation=EmulationFlag.LAPIC),
        PV._replace(max_vcpus=0),
        PV._replace(max_vcpus=8193),
        PV._replace(grant_version=0),
        PV._replace(cpupool=1),
        PVH._replace(emulation=EmulationFlag.LAPIC | EmulationFlag.VPCI),
        PVH._replace(max_vcpus=129),
    ],
)
def test_what_cannot_be_is_refused(hv: Hypervisor, new: NewDomain) -> None:
    assert create(hv, new) == -errno.EINVAL
    assert len(hv) == 1


def test_only_the_privileged_create(hv: Hypervisor) -> None:
    hv.privileged = False
    assert create(hv, PV) == -errno.EPERM


def test_vcpus_are_offline_and_as_many_as_said_before(hv: Hypervisor) -> None:
    domid = create(hv, PV)
    assert ask(hv, building.max_vcpus, domid, 3) == -errno.EINVAL
    assert ask(hv, building.max_vcpus, domid, 2) == 0
    assert ask(hv, building.max_vcpus, 99, 2) == -errno.ESRCH
    assert (info(hv, domid).max_vcpu_id, info(hv, domid).nr_online_vcpus) == (1, 0)


def test_memory_is_given_as_far_as_there_is_some(hv: Hypervisor) -> None:
    domid = create(hv, PV)
    free = hv.free_pages
    assert ask(hv, building.populate_physmap, domid, [0], 0) == 0  # it may have none yet
    assert ask(hv, changes.max_mem, domid, 4096) == 0
    assert ask(hv, building.populate_physmap, domid, [0, 512, 1024], 9) == 2
    assert hv.free_pages == free - 4 * MIB
    assert hv.domain(domid).populated == [(0, 1024)]
    assert ask(hv, building.populate_physmap, 99, [0], 0) == 0
    hv.destroy(domid)
    assert hv.free_pages == free


@given(st.lists(st.tuples(st.integers(0, 64), st.integers(0, 20)), max_size=8))
def test_what_is_given_is_what_is_counted(asked: list[tuple[int, int]]) -> None:
    hv = Hypervisor(HeldClock(), memory_kib=2 << 20)
    free, domid = hv.free_pages, create(hv, PV)
    ask(hv, changes.max_mem, domid, 1 << 30)
    for frame, order in asked:
        assert ask(hv, building.populate_physmap, domid, [frame << order], order) in (0, 1)
    domain = hv.domain(domid)
    assert domain.tot_pages == sum(end - first for first, end in domain.populated) == free - hv.free_pages


def test_a_port_is_the_bus_s(hv: Hypervisor, tmp_path: Path) -> None:
    domid = create(hv, PV)
    assert ask(hv, building.alloc_unbound, domid, 0) == -errno.ENOSYS
    Bus(hv, str(tmp_path / "memory"))
    assert (port(hv, domid), port(hv, domid)) == (1, 2)
    assert ask(hv, building.alloc_unbound, 99, 0) == -errno.ESRCH
    assert ask(hv, building.alloc_unbound, domid, 99) == -errno.ESRCH


def test_only_a_pv_domain_has_no_parameters(hv: Hypervisor) -> None:
    pv, pvh = create(hv, PV), create(hv, PVH)
    assert ask(hv, building.set_hvm_param, pv, HvmParam.STORE_PFN, 5) == -errno.EINVAL
    assert ask(hv, building.set_hvm_param, pvh, 99, 5) == -errno.EINVAL
    assert ask(hv, building.set_hvm_param, 99, HvmParam.STORE_PFN, 5) == -errno.ESRCH
    assert ask(hv, building.set_hvm_param, pvh, HvmParam.STORE_PFN, 5) == 0
    answer = hv.hypercall(calls.hvm_param(space(), hv.interface, pvh, HvmParam.STORE_PFN))
    assert calls.hvm_param_answer(answer, hv.interface) == 5


# --- the bus


def built(hv: Hypervisor, new: NewDomain) -> int:
    domid = create(hv, new)
    ask(hv, building.max_vcpus, domid, new.max_vcpus)
    ask(hv, changes.max_mem, domid, 4096)
    assert ask(hv, building.populate_physmap, domid, [0, 512], 9) == 2
    assert (port(hv, domid), port(hv, domid)) == (1, 2)
    return domid


def test_a_ring_is_a_page_and_a_port_that_the_domain_has(hv: Hypervisor, tmp_path: Path) -> None:
    bus = Bus(hv, str(tmp_path / "memory"))
    domid = built(hv, PV)
    for which, wrong in (((99, STORE, 1), errno.ESRCH), ((0, STORE, 1), errno.ESRCH)):
        with pytest.raises(XenError) as caught:
            bus.give_ring(which[0], ReservedGrant.XENSTORE, *which[1:])
        assert caught.value.errno == wrong
    for frame, number in ((4096, 1), (STORE, 3)):
        with pytest.raises(XenError) as caught:
            bus.give_ring(domid, ReservedGrant.XENSTORE, frame, number)
        assert caught.value.errno == errno.EINVAL
    bus.give_ring(domid, ReservedGrant.XENSTORE, STORE, 1)
    with pytest.raises(XenError) as caught:
        bus.give_ring(domid, ReservedGrant.XENSTORE, CONSOLE, 2)
    assert caught.value.errno == errno.EBUSY
    with pytest.raises(XenError) as caught:
        bus.give_ring(domid, ReservedGrant.CONSOLE, STORE, 2)
    assert caught.value.errno == errno.EINVAL
    assert bus.given(hv.domain(domid)) is None
    bus.give_ring(domid, ReservedGrant.CONSOLE, CONSOLE, 2)
    assert bus.given(hv.domain(domid)) == (STORE, 1, CONSOLE, 2)
    hv.destroy(domid)
    assert len(bus.frames) == 0


def test_a_pvh_kernel_believes_its_parameters(hv: Hypervisor, tmp_path: Path) -> None:
    bus = Bus(hv, str(tmp_path / "memory"))
    domid = built(hv, PVH)
    bus.give_ring(domid, ReservedGrant.XENSTORE, STORE, 1)
    bus.give_ring(domid, ReservedGrant.CONSOLE, CONSOLE, 2)
    assert bus.given(hv.domain(domid)) is None
    for index, value in (
        (HvmParam.STORE_PFN, STORE),
        (HvmParam.STORE_EVTCHN, 1),
        (HvmParam.CONSOLE_PFN, CONSOLE),
        (HvmParam.CONSOLE_EVTCHN, 2),
    ):
        ask(hv, building.set_hvm_param, domid, index, value)
    assert bus.given(hv.domain(domid)) == (STORE, 1, CONSOLE, 2)


def test_the_kernel_starts_when_the_domain_first_runs(hv: Hypervisor, tmp_path: Path) -> None:
    async def run() -> None:
        bus = Bus(hv, str(tmp_path / "memory"))
        guests = Guests(hv, bus)
        empty, domid = built(hv, PV), built(hv, PV)
        bus.give_ring(domid, ReservedGrant.XENSTORE, STORE, 1)
        bus.give_ring(domid, ReservedGrant.CONSOLE, CONSOLE, 2)
        hv.pause(domid)
        for _ in range(2):
            assert not list(guests)
            ask(hv, changes.unpause_domain, domid)
        ask(hv, changes.unpause_domain, empty)
        (guest,) = guests
        assert guest.domid == domid
        assert info(hv, domid).nr_online_vcpus == 1
        guests.stop()

    asyncio.run(run())
