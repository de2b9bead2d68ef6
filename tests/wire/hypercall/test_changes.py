"""The calls that change something, as bytes: a field a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import RemoteProtocolError
from purevirt.wire.hypercall import calls, changes
from purevirt.wire.hypercall.numbers import (
    Op,
)
from purevirt.wire.hypercall.subops import (
    SendTrigger,
    ShutdownCode,
)
from purevirt.wire.hypercall.values import Answer, Hypercall, Layout
from purevirt.wire.hypercall.versions import RELEASES, Interface
from purevirt.wire.hypercall.wrappers import cpus_of

BASE = 0x10000


def row(minor: int = 17) -> Interface:
    return next(row for row in RELEASES if row.release == (4, minor))


def space() -> Layout:
    return Layout(BASE, 1 << 18)


def domctl(cmd: str, union: str = "", domid: str = "0700") -> bytes:
    return bytes.fromhex(f"{cmd}000000 15000000 {domid} 000000000000 {union}").ljust(144, b"\0")


def word(address: int) -> str:
    return address.to_bytes(8, "little").hex()


@pytest.mark.parametrize(
    ("build", "cmd"),
    [
        (changes.destroy_domain, "02"),
        (changes.pause_domain, "03"),
        (changes.unpause_domain, "04"),
        (changes.resume_domain, "1b"),
    ],
)
def test_a_domain_s_life_is_a_number_and_the_domain(build: object, cmd: str) -> None:
    call = build(space(), row(), 7)  # type: ignore[operator]
    assert call == (Op.DOMCTL, (BASE,), ((BASE, domctl(cmd)),))


def test_the_most_memory() -> None:
    call = changes.max_mem(space(), row(), 7, 0x20000)
    assert call.extents[0].data == domctl("0b", "0000020000000000")


def test_affinity_names_only_the_bitmaps_that_are_given() -> None:
    call = changes.set_vcpu_affinity(space(), row(), 7, 3, [0, 9], None)
    wrapper, hard = call.extents
    assert hard.data == b"\x01\x02".ljust(512, b"\0")
    assert wrapper.data == domctl(
        "09",
        "03000000"  # vcpu
        "01000000"  # flags: hard
        f"{word(hard.address)} 00100000 00000000",  # cpumap_hard: bitmap, nr_bits
    )
    call = changes.set_vcpu_affinity(space(), row(), 7, 0, [1], [2])
    wrapper, hard, soft = call.extents
    assert [sorted(cpus_of(extent.data)) for extent in (hard, soft)] == [[1], [2]]
    assert wrapper.data == domctl(
        "09",
        f"00000000 03000000 {word(hard.address)} 00100000 00000000 {word(soft.address)} 00100000",
    )


@pytest.mark.parametrize("cpu", [-1, 4096])
def test_a_cpu_that_no_bitmap_holds_is_refused(cpu: int) -> None:
    with pytest.raises(ValueError, match="beyond"):
        changes.set_vcpu_affinity(space(), row(), 7, 0, [cpu], None)


def test_weight_and_cap() -> None:
    call = changes.put_sched_parameters(space(), row(), 7, 6, 512, 150)
    assert call.extents[0].data == domctl(
        "10",
        "06000000"  # sched_id: credit2
        "00000000"  # cmd: putinfo
        "0002 9600",  # weight, cap
    )
    asked = calls.sched_parameters(space(), row(), 7, 5)
    assert asked.extents[0].data == domctl("10", "05000000 01000000")
    answer = Answer(0, (domctl("10", "05000000 01000000 0001 3200"),))
    assert calls.sched_parameters_answer(answer, row()) == (256, 50)


def test_a_trigger() -> None:
    call = changes.send_trigger(space(), row(), 7, SendTrigger.POWER, 1)
    assert call.extents[0].data == domctl("1c", "03000000 01000000")


def test_a_remote_shutdown_has_no_interface_version() -> None:
    call = changes.remote_shutdown(space(), row(), 0x1234, ShutdownCode.CRASH)
    assert call == (Op.SCHED_OP, (4, BASE), ((BASE, bytes.fromhex("3412 0000 03000000")),))


def test_keys_are_pressed_one_after_the_other() -> None:
    call = changes.debug_keys(space(), row(), b"hq")
    wrapper, keys = call.extents
    assert keys.data == b"hq"
    union = f"{word(keys.address)} 02000000"
    assert wrapper.data == bytes.fromhex(f"07000000 15000000 {union}").ljust(136, b"\0")


def test_the_console_is_read_from_an_index_on() -> None:
    first = calls.console_ring(space(), row(), 16, None, clear=True)
    wrapper, buffer = first.extents
    union = f"01 00 0000 00000000 {word(buffer.address)} 10000000"
    assert wrapper.data == bytes.fromhex(f"01000000 15000000 {union}").ljust(136, b"\0")
    then = calls.console_ring(space(), row(), 16, 0, clear=False)
    assert then.extents[0].data[8:16] == bytes.fromhex("00 01 0000 00000000")
    answer = Answer(
        0, (bytes(8) + bytes.fromhex("00 01 0000 05000000 0000000000000000 03000000 00000000"), b"abcdef")
    )
    assert calls.console_ring_answer(answer, row()) == (b"abc", 5)


def test_a_cpu_pool() -> None:
    call = calls.cpu_pool(space(), row(), 2)
    wrapper, cpus = call.extents
    union = f"03000000 02000000 00000000 00000000 00000000 00000000 {word(cpus.address)} 00100000"
    assert wrapper.data == bytes.fromhex(f"12000000 15000000 {union}").ljust(136, b"\0")
    union = "03000000 04000000 05000000 00000000 00000000 07000000"
    answer = Answer(0, (bytes(8) + bytes.fromhex(union).ljust(40, b"\0"), b"\x06"))
    assert calls.cpu_pool_answer(answer, row()) == (4, 5, 7, (1, 2))


def test_a_parameter_of_a_domain_with_hardware_s_help() -> None:
    call = calls.hvm_param(space(), row(), 7, 14)
    assert call == (Op.HVM_OP, (1, BASE), ((BASE, bytes.fromhex("0700 0000 0e000000 0000000000000000")),))
    answer = Answer(0, (bytes.fromhex("0700 0000 0e000000 0300000000000000"),))
    assert calls.hvm_param_answer(answer, row()) == 3


@given(st.lists(st.binary(max_size=200), max_size=2), st.integers(-5, 500))
def test_any_answer_is_a_message_or_the_one_error(data: list[bytes], value: int) -> None:
    for read in (
        calls.cpu_pool_answer,
        calls.console_ring_answer,
        calls.sched_parameters_answer,
        calls.hvm_param_answer,
    ):
        try:
            read(Answer(value, tuple(data)), row())
        except RemoteProtocolError:
            continue


def test_every_builder_fits_a_small_layout() -> None:
    built: list[Hypercall] = [
        changes.set_vcpu_affinity(Layout(BASE, 2048), row(), 7, 0, [0], [0]),
        changes.put_sched_parameters(Layout(BASE, 2048), row(), 7, 6, 1, 0),
    ]
    assert all(call.op == Op.DOMCTL for call in built)
