"""What the client changes, against the simulated hypervisor of every release; and what it refuses to send."""

from __future__ import annotations

import errno
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from uuid import UUID

import pytest

from purevirt import errors
from purevirt._run import run_blocking
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.host.boot import HostSpec
from purevirt.host.clock import HeldClock
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.hypercall.building import NewDomain
from purevirt.wire.hypercall.subops import (
    HvmParam,
    SendTrigger,
    ShutdownCode,
)
from purevirt.wire.hypercall.values import Answer, Hypercall
from purevirt.wire.hypercall.versions import RELEASES, Interface

from .memory_transport import MemoryTransport

T = TypeVar("T")
HANDLE = UUID("6695eb01-f6a4-8304-79aa-97f2502e193f")

EVERY = [row._replace(arch=arch) for row in RELEASES for arch in ("x86_64", "arm64")]
TRUSTED = [row for row in EVERY if row.trusted]

Change = Callable[[HypercallClient, int], Coroutine[Any, Any, object]]

CHANGES: dict[str, Change] = {
    "pause_domain": lambda client, domid: client.pause_domain(domid),
    "unpause_domain": lambda client, domid: client.unpause_domain(domid),
    "destroy_domain": lambda client, domid: client.destroy_domain(domid),
    "resume_domain": lambda client, domid: client.resume_domain(domid),
    "shutdown_domain": lambda client, domid: client.shutdown_domain(domid, 0),
    "set_max_memory": lambda client, domid: client.set_max_memory(domid, 4096),
    "set_vcpu_affinity": lambda client, domid: client.set_vcpu_affinity(domid, 0, hard=[0]),
    "send_trigger": lambda client, domid: client.send_trigger(domid, SendTrigger.NMI, 0),
    "set_sched_parameters": lambda client, domid: client.set_sched_parameters(domid, weight=256, cap=0),
    "make_vcpus": lambda client, domid: client.make_vcpus(domid, 2),
    "populate": lambda client, domid: client.populate(domid, [0]),
    "allocate_port": lambda client, domid: client.allocate_port(domid),
    "set_hvm_param": lambda client, domid: client.set_hvm_param(domid, HvmParam.STORE_PFN, 1),
}
OF_THE_HOST: dict[str, Change] = {
    "read_console": lambda client, domid: client.read_console(clear=True),
    "debug_keys": lambda client, domid: client.debug_keys("h"),
    "create_domain": lambda client, domid: client.create_domain(NewDomain(HANDLE.bytes)),
}


def run(coro: Coroutine[Any, Any, T]) -> T:
    return run_blocking(coro)


def connect(hypervisor: Hypervisor) -> tuple[HypercallClient, MemoryTransport]:
    transport = MemoryTransport(hypervisor)
    client = run(HypercallClient.open(transport))
    transport.calls.clear()
    return client, transport


def named(row: Interface) -> str:
    return f"{row.release[1]}-{row.arch}"


@pytest.fixture
def hv() -> Hypervisor:
    return Hypervisor(HeldClock())


# --- what is allowed at all


@pytest.mark.parametrize("row", [row for row in EVERY if not row.trusted], ids=named)
@pytest.mark.parametrize("name", [*CHANGES, *OF_THE_HOST])
def test_nothing_is_sent_to_a_xen_whose_structs_were_not_verified(row: Interface, name: str) -> None:
    client, transport = connect(Hypervisor(HeldClock(), xen=row.release, arch=row.arch))
    with pytest.raises(errors.Unsupported, match=rf"^{name}: Xen 4\.\d\d's interface .* was not verified"):
        run((CHANGES | OF_THE_HOST)[name](client, 0))
    assert not transport.calls


def test_nor_to_one_that_was_only_probed() -> None:
    transport = MemoryTransport(Hypervisor(HeldClock(), xen=(4, 20)))
    transport.before = lambda call: Answer(4 << 16 | 99) if call.op == 17 else None
    client = run(HypercallClient.open(transport))
    with pytest.raises(errors.Unsupported, match="not verified"):
        run(client.pause_domain(0))


@pytest.mark.parametrize("row", TRUSTED, ids=named)
def test_a_domain_is_changed_in_every_way(row: Interface) -> None:
    hv = Hypervisor(HeldClock(), xen=row.release, arch=row.arch)
    client, _ = connect(hv)
    domid = hv.create_domain(handle=HANDLE, kind="pvh", vcpus=2).id
    domain = hv.domain(domid)

    run(client.pause_domain(domid))
    run(client.pause_domain(domid))
    assert domain.paused == 2
    run(client.unpause_domain(domid))
    run(client.unpause_domain(domid))
    assert domain.paused == 0

    run(client.set_max_memory(domid, 65536))
    assert domain.max_pages == 16384

    run(client.set_vcpu_affinity(domid, 1, hard=range(2), soft=iter([1])))
    assert run(client.vcpu_affinity(domid, 1)) == (frozenset({0, 1}), frozenset({1}))
    run(client.set_vcpu_affinity(domid, 1, soft=[3]))
    assert run(client.vcpu_affinity(domid, 1)) == (frozenset({0, 1}), frozenset({3}))

    assert run(client.sched_parameters(domid)) == (256, 0)
    run(client.set_sched_parameters(domid, weight=512, cap=150))
    assert run(client.sched_parameters(domid)) == (512, 150)

    codes = []
    for change in (client.shutdown_domain(domid, ShutdownCode.SUSPEND), client.resume_domain(domid)):
        run(change)
        codes.append(domain.shutdown_code)
    assert codes == [ShutdownCode.SUSPEND, None]

    assert run(client.hvm_param(domid, HvmParam.CALLBACK_IRQ)) == 0
    domain.hvm_params[HvmParam.CALLBACK_IRQ] = 2 << 56 | 0xF3
    assert run(client.hvm_param(domid, HvmParam.CALLBACK_IRQ)) == 2 << 56 | 0xF3
    run(client.destroy_domain(domid))
    assert hv.find(domid) is None


# --- what is refused, and leaves the domain as it was


@pytest.mark.parametrize("domid", [7, -1, 0x7FF0, 0xFFFF, 1 << 40])
@pytest.mark.parametrize("name", CHANGES)
def test_a_domain_that_is_not_there(hv: Hypervisor, name: str, domid: int) -> None:
    client, transport = connect(hv)
    with pytest.raises(errors.NoSuchDomain, match=f"^{name}: there is no domain {domid} ") as caught:
        run(CHANGES[name](client, domid))
    assert (caught.value.operation, caught.value.domain) == (name, str(domid))
    if domid != 7:
        assert not transport.calls  # among them DOMID_SELF, which Xen takes in some calls


def test_domain_0_does_nothing_to_itself(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    for name in ("pause_domain", "resume_domain", "destroy_domain"):
        with pytest.raises(errors.WrongState, match="cannot do that to itself") as caught:
            run(CHANGES[name](client, 0))
        assert caught.value.errno == errno.EINVAL
    transport.calls.clear()
    with pytest.raises(errors.WrongState, match="would stop the machine"):
        run(client.shutdown_domain(0, 0))
    assert not transport.calls


def test_what_is_not_paused_cannot_be_unpaused_and_pauses_have_an_end(hv: Hypervisor) -> None:
    client, _ = connect(hv)
    domid = hv.create_domain(handle=HANDLE).id
    with pytest.raises(errors.WrongState, match="is not paused"):
        run(client.unpause_domain(domid))
    for _ in range(255):
        run(client.pause_domain(domid))
    with pytest.raises(errors.WrongState, match="paused too often"):
        run(client.pause_domain(domid))


WRONG: list[tuple[Change, str]] = [
    (lambda client, domid: client.shutdown_domain(domid, 9), "9 is no shutdown code: 0 "),
    (lambda client, domid: client.send_trigger(domid, 5, 0), "5 is no trigger: 0 "),
    (lambda client, domid: client.send_trigger(domid, 0, 2), "has no vCPU 2"),
    (lambda client, domid: client.send_trigger(domid, 0, -1), "has no vCPU -1"),
    (lambda client, domid: client.set_max_memory(domid, 3), "3 KiB is no size"),
    (lambda client, domid: client.set_max_memory(domid, 1 << 64), "is no size"),
    (lambda client, domid: client.set_vcpu_affinity(domid, 0), "neither hard nor soft"),
    (lambda client, domid: client.set_vcpu_affinity(domid, 0, hard=[]), "no CPU is left"),
    (lambda client, domid: client.set_vcpu_affinity(domid, 0, hard=[0], soft=[]), "no CPU is left"),
    (lambda client, domid: client.set_vcpu_affinity(domid, 0, hard=[-1]), "CPUs are 0 to 4095"),
    (lambda client, domid: client.set_vcpu_affinity(domid, 0, soft=[4096]), "CPUs are 0 to 4095"),
    (lambda client, domid: client.set_vcpu_affinity(domid, 0, hard=[99]), "none of these CPUs is in"),
    (lambda client, domid: client.set_vcpu_affinity(domid, 2, hard=[0]), "has no vCPU 2"),
    (lambda client, domid: client.set_vcpu_affinity(domid, 1 << 40, hard=[0]), "has no vCPU"),
    (lambda client, domid: client.set_sched_parameters(domid, weight=0, cap=0), "weight is 1 to"),
    (lambda client, domid: client.set_sched_parameters(domid, weight=65536, cap=0), "weight is 1 to"),
    (lambda client, domid: client.set_sched_parameters(domid, weight=512, cap=201), "cap is 0 .* to 200"),
    (lambda client, domid: client.set_sched_parameters(domid, weight=512, cap=-1), "cap is 0 .* to 200"),
    (lambda client, domid: client.debug_keys(""), "ASCII"),
    (lambda client, domid: client.debug_keys("ä"), "ASCII"),
    (lambda client, domid: client.debug_keys("h" * 65), "ASCII"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[words for _, words in WRONG])
@pytest.mark.parametrize("scheduler", [5, 6])
def test_values_out_of_range(scheduler: int, change: Change, words: str) -> None:
    hv = Hypervisor(HeldClock(), spec=HostSpec(scheduler=scheduler))
    client, _ = connect(hv)
    domain = hv.create_domain(handle=HANDLE, vcpus=2)

    def state() -> object:
        pins = [(vcpu.hard, vcpu.soft) for vcpu in domain.vcpus]
        return domain.flags, domain.max_pages, domain.weight, domain.cap, pins

    before = state()
    with pytest.raises(errors.InvalidConfig, match=words):
        run(change(client, domain.id))
    assert state() == before


def test_a_pv_domain_has_no_buttons_and_nobody_a_reset(hv: Hypervisor) -> None:
    client, _ = connect(hv)
    pv, hvm = (hv.create_domain(handle=HANDLE, kind=kind).id for kind in ("pv", "hvm"))
    for domid, trigger in ((pv, SendTrigger.POWER), (pv, SendTrigger.SLEEP), (hvm, SendTrigger.RESET)):
        with pytest.raises(errors.Unsupported):
            run(client.send_trigger(domid, trigger, 0))
    run(client.send_trigger(hvm, SendTrigger.POWER, 0))
    with pytest.raises(errors.HypercallError, match="EINVAL"):
        run(client.hvm_param(pv, 0))


def test_a_scheduler_without_weights_is_unsupported() -> None:
    client, _ = connect(Hypervisor(HeldClock(), spec=HostSpec(scheduler=9)))
    assert run(client.domain_scheduler(0)) == 9
    with pytest.raises(errors.Unsupported, match="scheduler null knows no weights"):
        run(client.sched_parameters(0))
    with pytest.raises(errors.Unsupported, match="scheduler null knows no weights"):
        run(client.set_sched_parameters(0, weight=1, cap=0))
    for ask in (client.domain_scheduler, client.sched_parameters):
        with pytest.raises(errors.NoSuchDomain):
            run(ask(5))


def test_a_vcpu_that_xen_has_moved_is_busy(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    transport.before = lambda call: Answer(-errno.EBUSY)
    with pytest.raises(errors.WrongState, match="EBUSY"):
        run(client.set_vcpu_affinity(0, 0, hard=[0]))


# --- destroying takes its time


def test_destroying_goes_on_while_xen_asks_for_it(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    domid = hv.create_domain(handle=HANDLE).id
    answers = iter([Answer(-errno.EAGAIN), Answer(-errno.EAGAIN)])
    transport.before = lambda call: next(answers, None)
    run(client.destroy_domain(domid))
    assert len(transport.calls) == 3
    assert hv.find(domid) is None


def test_destroying_ends_with_its_deadline(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    transport.before = lambda call: Answer(-errno.EAGAIN)
    with pytest.raises(errors.Timeout, match="domain 1 is dying") as caught:
        run(client.destroy_domain(1, timeout=0.01))
    assert caught.value.domain == "1"


# --- pools and console


def test_pools_are_counted_until_there_is_none(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    assert run(client.cpupools()) == [(0, 6, 1, (0, 1, 2, 3))]

    def pool(call: Hypercall) -> Answer | None:
        wrapper, cpus = call.extents
        first = int.from_bytes(wrapper.data[12:16], "little")
        if first > 7:
            return None  # the simulated one has none there
        there = (7).to_bytes(4, "little") + (5).to_bytes(4, "little")
        return Answer(0, (wrapper.data[:12] + there + bytes(116), b"\x08".ljust(len(cpus.data), b"\0")))

    transport.before = pool
    assert run(client.cpupools()) == [(7, 5, 0, (3,))]


def test_the_console_is_read_to_its_end(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    assert run(client.read_console()).startswith(b"(XEN) Xen version 4.17.4-simulated (")
    assert len(transport.calls) == 1
    run(client.debug_keys("h"))
    text = run(client.read_console(clear=True))
    assert b"'h' pressed -> show the keys" in text
    assert run(client.read_console()) == b""


def test_a_console_longer_than_one_answer_is_read_in_parts(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    parts = [b"a" * (1 << 15), b"b" * (1 << 15), b"c"]
    indexes: list[int] = []

    def answer(call: Hypercall) -> Answer:
        wrapper, buffer = call.extents
        indexes.append(int.from_bytes(wrapper.data[12:16], "little") if wrapper.data[9] else -1)
        part = parts[len(indexes) - 1]
        end = sum(map(len, parts[: len(indexes)])) + 5
        head = wrapper.data[:12] + end.to_bytes(4, "little") + wrapper.data[16:24]
        filled = head + len(part).to_bytes(4, "little") + wrapper.data[28:]
        return Answer(0, (filled, part.ljust(len(buffer.data), b"\0")))

    transport.before = answer
    assert run(client.read_console()) == b"".join(parts)
    assert indexes == [-1, 32773, 65541]
