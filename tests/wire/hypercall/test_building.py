"""The calls that build a domain, as bytes: a field a line, on the three releases whose layouts differ."""

from __future__ import annotations

import pytest

from purevirt.errors import RemoteProtocolError
from purevirt.wire.hypercall import building
from purevirt.wire.hypercall.building import NewDomain
from purevirt.wire.hypercall.numbers import Op
from purevirt.wire.hypercall.subops import CreateFlag, EmulationFlag, HvmParam
from purevirt.wire.hypercall.values import Answer, Hypercall, Layout
from purevirt.wire.hypercall.versions import RELEASES, Interface

BASE = 0x10000
HANDLE = bytes(range(16))
PVH = NewDomain(HANDLE, CreateFlag.HVM | CreateFlag.HAP, EmulationFlag.LAPIC, max_vcpus=3)


def row(minor: int = 17, arch: str = "x86_64") -> Interface:
    return next(row for row in RELEASES if row.release == (4, minor))._replace(arch=arch)


def space() -> Layout:
    return Layout(BASE, 1 << 18)


HEAD = (
    "00000000"  # ssidref
    "000102030405060708090a0b0c0d0e0f"
    "03000000"  # HVM, HAP
    "00000000"  # iommu_opts
    "03000000"  # max_vcpus
    "ff030000"  # max_evtchn_port
    "ffffffff ffffffff"  # grant and maptrack frames: Xen's default
)


@pytest.mark.parametrize(
    ("minor", "version", "tail"),
    [
        (14, "12", "01000000"),
        (17, "15", "02000000 00000000 00000000 01000000 00000000"),
        (20, "17", "02000000 00000000 00000000 00000000 01000000 00000000"),
    ],
)
def test_a_new_pvh_domain(minor: int, version: str, tail: str) -> None:
    call = building.create_domain(space(), row(minor), PVH)
    wrapper = bytes.fromhex(f"01000000 {version}000000 0000 000000000000 {HEAD} {tail}").ljust(144, b"\0")
    assert call == Hypercall(Op.DOMCTL, (BASE,), ((BASE, wrapper),))  # type: ignore[arg-type]


def test_a_new_domain_on_arm64_has_no_emulation_flags() -> None:
    call = building.create_domain(space(), row(17, "arm64"), PVH)
    union = call.extents[0].data[16:]
    assert union[44:] == bytes.fromhex("02000000").ljust(84, b"\0")


def test_what_an_hvm_domain_is_emulated_is_all_but_vpci() -> None:
    everything = EmulationFlag(0)
    for flag in EmulationFlag:
        everything |= flag
    assert everything & ~EmulationFlag.VPCI == building.HVM_EMULATION


def test_the_new_domain_s_id_is_in_the_wrapper() -> None:
    wrapper = bytes.fromhex("01000000 15000000 2a00").ljust(144, b"\0")
    assert building.create_domain_answer(Answer(0, (wrapper,)), row()) == 42
    with pytest.raises(RemoteProtocolError):
        building.create_domain_answer(Answer(0, (wrapper[:100],)), row())


def test_as_many_vcpus() -> None:
    call = building.max_vcpus(space(), row(), 7, 3)
    assert call.extents[0].data[:20] == bytes.fromhex("0f000000 15000000 0700 000000000000 03000000")


def test_memory_at_guest_frames() -> None:
    call = building.populate_physmap(space(), row(), 7, [0, 0x200], 9)
    array, reservation = BASE, BASE + 64
    asked = array.to_bytes(8, "little") + bytes.fromhex(
        "0200000000000000 09000000 00000000 0700 000000000000"
    )
    frames = bytes.fromhex("0000000000000000 0002000000000000")
    assert call == (Op.MEMORY_OP, (6, reservation), ((reservation, asked), (array, frames)))


def test_a_port_that_another_domain_may_bind() -> None:
    call = building.alloc_unbound(space(), row(), 7, 0)
    assert call == (Op.EVENT_CHANNEL_OP, (6, BASE), ((BASE, bytes.fromhex("0700 0000 00000000")),))
    answer = Answer(0, (bytes.fromhex("0700 0000 05000000"),))
    assert building.alloc_unbound_answer(answer, row()) == 5
    with pytest.raises(RemoteProtocolError):
        building.alloc_unbound_answer(Answer(0, (b"\7",)), row())


def test_a_parameter() -> None:
    call = building.set_hvm_param(space(), row(), 7, HvmParam.CONSOLE_PFN, 0x81)
    asked = bytes.fromhex("0700 0000 11000000 8100000000000000")
    assert call == (Op.HVM_OP, (0, BASE), ((BASE, asked),))
