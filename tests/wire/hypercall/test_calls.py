"""Calls and answers as bytes: tables of real structs, and answers of any bytes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import LocalProtocolError, RemoteProtocolError
from purevirt.wire.hypercall import calls, messages, subops
from purevirt.wire.hypercall.messages import CpuTopology, DomainInfo, NumaNode
from purevirt.wire.hypercall.numbers import Op, Xenver
from purevirt.wire.hypercall.values import Answer, Extent, Layout
from purevirt.wire.hypercall.versions import RELEASES, Interface

BASE = 0x10000


def row(minor: int, arch: str = "x86_64") -> Interface:
    return next(row for row in RELEASES if row.release == (4, minor))._replace(arch=arch)


def space() -> Layout:
    return Layout(BASE, 1 << 18)


# One domain, a field a line: xen_domctl_getdomaininfo of Xen 4.17 on x86_64.
DOMAIN = bytes.fromhex(
    "0700 0000"  # domain, pad1
    "1201ff00"  # flags: HVM, blocked, HAP; no shutdown code yet
    "0080000000000000"  # tot_pages
    "0090000000000000"  # max_pages
    "0100000000000000"  # outstanding_pages
    "0200000000000000"  # shr_pages
    "0300000000000000"  # paged_pages
    "efcdab0000000000"  # shared_info_frame
    "00ca9a3b00000000"  # cpu_time: one second
    "02000000"  # nr_online_vcpus
    "03000000"  # max_vcpu_id
    "05000000"  # ssidref
    "6695eb01f6a4830479aa97f2502e193f"  # handle
    "04000000"  # cpupool
    "30 00000000000000"  # gpaddr_bits, pad2
    "01000000"  # arch_config.emulation_flags
    "00000000"  # arch_config.misc_flags
)
INFO = DomainInfo(
    domid=7,
    flags=0xFF0112,
    tot_pages=0x8000,
    max_pages=0x9000,
    outstanding_pages=1,
    shr_pages=2,
    paged_pages=3,
    shared_info_frame=0xABCDEF,
    cpu_time=10**9,
    nr_online_vcpus=2,
    max_vcpu_id=3,
    ssidref=5,
    handle=bytes.fromhex("6695eb01f6a4830479aa97f2502e193f"),
    cpupool=4,
    gpaddr_bits=48,
    emulation_flags=1,
)


def test_a_domain_of_4_17() -> None:
    assert calls.decode_domain_infos(DOMAIN, row(17)) == [INFO]


def test_a_domain_of_4_15_has_its_devices_where_4_17_has_its_address_bits() -> None:
    assert calls.decode_domain_infos(DOMAIN[:96] + DOMAIN[104:], row(15)) == [INFO._replace(gpaddr_bits=None)]


def test_a_domain_of_4_14_is_as_long_although_it_knows_fewer_flags() -> None:
    data = DOMAIN[:96] + DOMAIN[104:108] + bytes(4)
    assert calls.decode_domain_infos(data, row(14)) == [INFO._replace(gpaddr_bits=None)]


def test_a_domain_on_arm64_has_no_emulated_devices() -> None:
    assert calls.decode_domain_infos(DOMAIN + bytes(8), row(20, "arm64")) == [
        INFO._replace(emulation_flags=None)
    ]
    assert calls.decode_domain_infos(DOMAIN[:96] + bytes(16), row(14, "arm64")) == [
        INFO._replace(emulation_flags=None, gpaddr_bits=None)
    ]


def test_a_domain_without_vcpus_has_no_highest_one() -> None:
    data = DOMAIN[:64] + bytes(4) + b"\xff" * 4 + DOMAIN[72:]
    assert calls.decode_domain_infos(DOMAIN + data, row(17)) == [
        INFO,
        INFO._replace(nr_online_vcpus=0, max_vcpu_id=None),
    ]


def test_the_question_for_domains() -> None:
    call = calls.domain_infos(space(), row(17), 3, 2)
    assert call.op == Op.SYSCTL
    buffer, wrapper = call.extents[1], call.extents[0]
    assert call.args == (wrapper.address,)
    assert buffer.data == bytes(224)
    assert wrapper.data == bytes.fromhex(
        "06000000 15000000"  # cmd, interface_version
        "0300 0000"  # first_domain
        "02000000" + buffer.address.to_bytes(8, "little").hex() + "00000000"  # max_domains  # num_domains
    ).ljust(136, b"\0")


def test_the_question_for_one_domain() -> None:
    call = calls.domain_info(space(), row(20), 0x1234)
    assert call.op == Op.DOMCTL
    assert call.extents[0].data == bytes.fromhex("05000000 17000000 3412").ljust(144, b"\0")


def test_extents_do_not_overlap_and_must_fit() -> None:
    call = calls.vcpu_affinity(space(), row(17), 1, 0)
    ends = sorted((extent.address, extent.address + len(extent.data)) for extent in call.extents)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ends))
    with pytest.raises(LocalProtocolError, match="more than its buffer has"):
        calls.domain_infos(Layout(BASE, 4096), row(17), 0, 1000)


def test_numbers_without_memory() -> None:
    assert calls.version_number(Xenver.VERSION) == (Op.XEN_VERSION, (0, 0), ())


def wrapped(union: str, *buffers: bytes) -> Answer:
    return Answer(0, (bytes(8) + bytes.fromhex(union).ljust(128, b"\0"), *buffers))


def test_topology_marks_what_xen_does_not_know() -> None:
    entry = bytes.fromhex("01000000 02000000 03000000")
    answer = wrapped("02000000", entry + b"\xff" * 12)
    assert calls.cpu_topology_answer(answer, row(17)) == (
        2,
        [CpuTopology(0, 1, 2, 3), CpuTopology(1, None, None, None)],
    )


def test_topology_says_how_many_there_are_beyond_the_room() -> None:
    count, cpus = calls.cpu_topology_answer(wrapped("09000000", bytes(24)), row(17))
    assert (count, len(cpus)) == (9, 2)


def test_distances_have_as_many_columns_as_there_are_nodes() -> None:
    memory = bytes.fromhex("0010000000000000 0008000000000000ffffffff00000000 ffffffff00000000")
    distances = bytes.fromhex("0a000000 15000000 15000000 ffffffff")
    # Room for three nodes: the matrix comes after three entries, and yet is two by two.
    answer = wrapped("02000000", memory + bytes(16) + distances + bytes(20))
    assert calls.numa_info_answer(answer, row(17), 3) == (
        2,
        [NumaNode(0, 4096, 2048, (10, 21)), NumaNode(1, None, None, (21, None))],
    )


def test_affinity_is_two_bitmaps() -> None:
    call = calls.vcpu_affinity(space(), row(17), 1, 0)
    hard = b"\x05\x80".ljust(512, b"\0")
    answer = Answer(0, (call.extents[0].data, hard, b"\x04".ljust(512, b"\0")))
    assert calls.vcpu_affinity_answer(answer) == (frozenset({0, 2, 15}), frozenset({2}))


def test_texts_end_at_their_nul() -> None:
    assert calls.version_text_answer(Answer(0, (b".4-pre\0garbage\xff",))) == ".4-pre"


def test_a_build_id_is_as_long_as_the_answer_says() -> None:
    assert calls.build_id_answer(Answer(3, (b"\0\1\0\0abcdef",)), row(17)) == b"abc"


READERS: list[Callable[[Answer, Interface], Any]] = [
    calls.phys_info_answer,
    calls.sched_id_answer,
    calls.avail_heap_answer,
    calls.cpu_info_answer,
    calls.cpu_topology_answer,
    lambda answer, versions: calls.numa_info_answer(answer, versions, 3),
    calls.domain_infos_answer,
    calls.domain_info_answer,
    calls.vcpu_info_answer,
    lambda answer, versions: calls.vcpu_affinity_answer(answer),
    calls.compile_info_answer,
    calls.platform_parameters_answer,
    calls.features_answer,
    calls.build_id_answer,
    lambda answer, versions: calls.version_text_answer(answer),
]

extents = st.one_of(
    st.binary(max_size=300),
    st.binary(min_size=136, max_size=160),
    # A union that begins with a small count, so that what follows is looked at.
    st.builds(
        lambda count, rest: bytes(8) + bytes([count, 0, 0, 0]) + rest.ljust(140, b"\0"),
        st.integers(0, 9),
        st.binary(max_size=140),
    ),
)


@given(
    st.sampled_from(READERS),
    st.integers(0, 400),
    st.lists(extents, max_size=3),
    st.sampled_from(RELEASES),
    st.sampled_from(["x86_64", "arm64"]),
)
def test_any_answer_is_a_message_or_the_one_error(
    read: Callable[[Answer, Interface], Any], value: int, data: list[bytes], release: Interface, arch: str
) -> None:
    with contextlib.suppress(RemoteProtocolError):
        read(Answer(value, tuple(data)), release._replace(arch=arch))


def test_an_extent_is_an_address_and_its_bytes() -> None:
    assert Extent(1, b"x") == (1, b"x")


def test_numbers_that_are_not_loaded_for_a_listing_are_those_of_the_table() -> None:
    assert calls._CPUPOOL_OP_INFO == subops.CpuPoolOp.INFO
    assert calls._SCHEDOP_GETINFO == subops.SchedulerOp.GETINFO
    assert calls._HVMOP_GET_PARAM == subops.HvmOp.GET_PARAM
    both = subops.VcpuAffinityFlag.HARD | subops.VcpuAffinityFlag.SOFT
    assert both == calls._BOTH_AFFINITIES
    flags = subops.EmulationFlag
    assert flags.LAPIC | flags.IOAPIC | flags.VPCI == messages._PVH_DEVICES
