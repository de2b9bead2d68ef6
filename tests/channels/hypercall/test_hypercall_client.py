"""The client's promises, against the simulated hypervisor of every release."""

from __future__ import annotations

import errno
from collections.abc import Coroutine
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest

from purevirt import errors
from purevirt._run import run_blocking
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.host.boot import HostSpec
from purevirt.host.clock import HeldClock
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.hypercall.numbers import Op
from purevirt.wire.hypercall.subops import PhysCap
from purevirt.wire.hypercall.values import Answer, Hypercall
from purevirt.wire.hypercall.versions import RELEASES, Interface

from .memory_transport import MemoryTransport

T = TypeVar("T")
HANDLE = UUID("6695eb01-f6a4-8304-79aa-97f2502e193f")

EVERY = [row._replace(arch=arch) for row in RELEASES for arch in ("x86_64", "arm64")]


def run(coro: Coroutine[Any, Any, T]) -> T:
    return run_blocking(coro)


def connect(hypervisor: Hypervisor) -> tuple[HypercallClient, MemoryTransport]:
    transport = MemoryTransport(hypervisor)
    return run(HypercallClient.open(transport)), transport


@pytest.fixture
def hv() -> Hypervisor:
    return Hypervisor(HeldClock())


# --- opening


@pytest.mark.parametrize("row", EVERY, ids=lambda row: f"{row.release[1]}-{row.arch}")
def test_every_release_is_recognised_and_read(row: Interface) -> None:
    clock = HeldClock()
    hv = Hypervisor(clock, xen=row.release, arch=row.arch)
    client, transport = connect(hv)
    assert client.interface == row
    assert client.xen_version == row.release
    assert len(transport.calls) == 3
    kind = "hvm" if row.arch == "x86_64" else "pvh"
    hv.create_domain(handle=HANDLE, kind=kind, memory_kib=8192, max_memory_kib=16384, vcpus=3, load=1.0)
    clock.advance(2)
    dom0, domain = run(client.domain_infos())
    assert (dom0.domid, dom0.handle) == (0, bytes(16))
    assert (domain.domid, domain.handle, domain.kind) == (1, HANDLE.bytes, kind)
    assert (domain.tot_pages, domain.max_pages, domain.cpu_time) == (2048, 4096, 6 * 10**9)
    assert (domain.nr_online_vcpus, domain.max_vcpu_id, domain.running) == (3, 2, True)
    assert (domain.gpaddr_bits is None) == (row.domctl < 0x14)
    assert (domain.emulation_flags is None) == (row.arch == "arm64")
    assert run(client.domain_info(1)) == domain
    phys = run(client.physinfo())
    assert (phys.nr_cpus, phys.total_pages, phys.cpu_khz) == (4, 4 << 20, 2_400_000)
    assert (phys.arch_capabilities is None) == (row.sysctl < 0x15)
    assert phys.capabilities & PhysCap.HVM
    assert run(client.vcpu_info(1, 2)) == (2, True, False, True, 2 * 10**9, 2)


def test_a_patched_xen_is_found_by_probing() -> None:
    """It says 4.17 and speaks the versions of 4.20."""
    hv = Hypervisor(xen=(4, 20))
    transport = MemoryTransport(hv)
    transport.before = lambda call: Answer(4 << 16 | 17) if call.op == Op.XEN_VERSION else None
    client = run(HypercallClient.open(transport))
    assert (client.interface.sysctl, client.interface.domctl) == (0x15, 0x17)
    assert (client.interface.release, client.interface.verified) == ((4, 17), "probed")


def test_a_newer_xen_with_known_versions_is_read_and_marked() -> None:
    transport = MemoryTransport(Hypervisor(xen=(4, 22)))
    transport.before = lambda call: Answer(4 << 16 | 23) if call.op == Op.XEN_VERSION else None
    client = run(HypercallClient.open(transport))
    assert (client.xen_version, client.interface.verified) == ((4, 23), "probed")


def test_a_xen_that_speaks_no_known_version_is_unsupported() -> None:
    transport = MemoryTransport(Hypervisor())
    transport.before = lambda call: None if call.op == Op.XEN_VERSION else Answer(-errno.EACCES)
    with pytest.raises(errors.Unsupported, match="refuses every sysctl version") as caught:
        run(HypercallClient.open(transport))
    assert caught.value.errno == errno.EACCES
    assert len(transport.calls) == 1 + len({row.sysctl for row in RELEASES})
    assert not transport.closed


def test_a_pair_that_no_release_has_is_unsupported() -> None:
    hv = Hypervisor(xen=(4, 17))
    transport = MemoryTransport(hv)
    domctls = Hypervisor(xen=(4, 14))
    transport.before = lambda call: domctls.hypercall(call) if call.op == Op.DOMCTL else None
    with pytest.raises(errors.Unsupported, match="sysctl 0x15 with domctl 0x12"):
        run(HypercallClient.open(transport))


def test_an_unprivileged_domain_is_told_so(hv: Hypervisor) -> None:
    hv.privileged = False
    with pytest.raises(errors.Denied, match="not privileged") as caught:
        run(HypercallClient.open(MemoryTransport(hv)))
    assert (caught.value.errno, caught.value.operation) == (errno.EPERM, "open")


# --- the host


def test_what_xen_says_of_itself(hv: Hypervisor) -> None:
    client, _ = connect(hv)
    assert run(client.version()) == (4, 17)
    assert run(client.extraversion()) == ".4-simulated"
    assert run(client.capabilities()).startswith("xen-3.0-x86_64 ")
    assert run(client.changeset()) == hv.spec.changeset
    assert run(client.commandline()) == hv.spec.commandline
    assert run(client.compile_info()) == hv.spec.compiled
    assert run(client.pagesize()) == 4096
    assert run(client.platform_parameters()) == hv.spec.virt_start
    assert run(client.features()) >> 11 & 1  # dom0
    assert run(client.build_id()) == bytes(range(20))
    assert client.scheduler_name(run(client.sched_id())) == "credit2"
    assert client.scheduler_name(77) == "77"


def test_no_build_id_is_none() -> None:
    client, _ = connect(Hypervisor(spec=HostSpec(build_id=None)))
    assert run(client.build_id()) is None


def test_a_text_that_a_policy_hides_is_denied() -> None:
    client, _ = connect(Hypervisor(spec=HostSpec(changeset="<denied>")))
    with pytest.raises(errors.Denied, match="policy hides it"):
        run(client.changeset())


def test_memory_figures_agree(hv: Hypervisor) -> None:
    client, _ = connect(hv)
    hv.create_domain(handle=HANDLE, memory_kib=8192)
    free = run(client.physinfo()).free_pages * 4096
    assert free == hv.free_pages * 4096
    assert run(client.avail_heap()) == free
    (node,) = run(client.numa_info())
    assert (node.memsize, node.memfree, node.distances) == (16 << 30, free, (10,))


def test_nodes_and_cpus_of_a_large_host() -> None:
    hv = Hypervisor(HeldClock(), spec=HostSpec(cpus=640, nodes=20, memory_kib=64 << 20))
    client, _ = connect(hv)
    nodes = run(client.numa_info())
    assert len(nodes) == 20
    assert nodes[3].distances == (21,) * 3 + (10,) + (21,) * 16
    assert sum(node.memfree or 0 for node in nodes) == hv.free_pages * 4096
    assert run(client.avail_heap(3)) == nodes[3].memfree
    cpus = run(client.cpu_topology())
    assert [cpu.cpu for cpu in cpus] == list(range(640))
    assert cpus[-1].node == 19
    assert run(client.cpu_info()) == [0] * 640


@pytest.mark.parametrize("cpus", [255, 256, 257])
def test_as_many_cpus_as_there_is_room_for(cpus: int) -> None:
    client, _ = connect(Hypervisor(HeldClock(), spec=HostSpec(cpus=cpus)))
    assert len(run(client.cpu_info())) == len(run(client.cpu_topology())) == cpus


# --- domains


def fill(hv: Hypervisor, count: int) -> None:
    for _ in range(count):
        hv.create_domain(handle=uuid4(), memory_kib=4096)


def listings(transport: MemoryTransport) -> int:
    return len(transport.calls)


def test_a_thousand_domains_are_listed_in_one_call_once_their_number_is_known(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    fill(hv, 1000)
    transport.calls.clear()
    assert [info.domid for info in run(client.domain_infos())] == list(range(1001))
    assert listings(transport) == 2
    transport.calls.clear()
    assert len(run(client.domain_infos())) == 1001
    assert listings(transport) == 1


def test_more_domains_than_the_memory_holds_come_in_batches() -> None:
    hv = Hypervisor(HeldClock(), memory_kib=64 << 20)
    client, transport = connect(hv)
    fill(hv, 5000)
    for _ in range(2):
        transport.calls.clear()
        assert [info.domid for info in run(client.domain_infos())] == list(range(5001))
        assert listings(transport) >= 3
    assert all(len(call.extents[1].data) <= transport.capacity for call in transport.calls)


@pytest.mark.parametrize("count", [254, 255, 256, 257])
def test_a_list_as_long_as_the_room_is_not_cut(hv: Hypervisor, count: int) -> None:
    client, _ = connect(hv)
    fill(hv, count)
    assert len(run(client.domain_infos())) == count + 1


def test_domains_that_come_and_go_between_batches_are_never_there_twice(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    fill(hv, 600)
    gone = iter([10, 300, 400])

    def between(call: Hypercall) -> None:
        hv.destroy(next(gone))
        fill(hv, 1)

    transport.before = between
    found = [info.domid for info in run(client.domain_infos())]
    assert found == sorted(set(found))
    assert 300 not in found


def test_the_last_possible_id_ends_a_listing(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    hv._next_id = 0x7FEF
    fill(hv, 1)
    client._room = 1
    transport.calls.clear()
    assert [info.domid for info in run(client.domain_infos())] == [0, 0x7FEF]


def test_a_domain_that_is_not_there_is_none(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    fill(hv, 2)
    hv.destroy(1)
    assert run(client.domain_info(1)) is None  # Xen answers with domain 2
    assert run(client.domain_info(3)) is None
    transport.calls.clear()
    assert run(client.domain_info(-1)) is None
    assert run(client.domain_info(0x7FF0)) is None
    assert not transport.calls


def test_a_vcpu_that_is_not_there_is_none_and_a_domain_an_error(hv: Hypervisor) -> None:
    client, _ = connect(hv)
    assert run(client.vcpu_info(0, 4)) is None
    assert run(client.vcpu_info(0, -1)) is None
    for ask in (client.vcpu_info, client.vcpu_affinity):
        for domid in (7, -1, 0x7FF0, 1 << 20):
            with pytest.raises(errors.NoSuchDomain, match=f"no domain {domid}") as caught:
                run(ask(domid, 0))
            assert caught.value.domain == str(domid)
    for vcpu in (4, -1, 1 << 40):
        with pytest.raises(errors.HypercallError) as refused:
            run(client.vcpu_affinity(0, vcpu))
        assert refused.value.errno == errno.EINVAL


def test_a_gap_among_the_vcpus_is_none_although_xen_says_esrch(hv: Hypervisor) -> None:
    client, transport = connect(hv)

    def gap(call: Hypercall) -> Answer | None:
        return Answer(-errno.ESRCH) if call.extents[0].data[0] == 14 else None

    transport.before = gap
    assert run(client.vcpu_info(0, 1)) is None


def test_affinity_of_a_large_host() -> None:
    hv = Hypervisor(spec=HostSpec(cpus=640))
    client, _ = connect(hv)
    hv.set_affinity(0, 5, hard=[0, 639], soft=[639])
    assert run(client.vcpu_affinity(0, 5)) == (frozenset({0, 639}), frozenset({639}))


# --- errors and deadlines


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EPERM, errors.Denied),
        (errno.EACCES, errors.Denied),
        (errno.ENOSYS, errors.Unsupported),
        (errno.EOPNOTSUPP, errors.Unsupported),
        (errno.ENOMEM, errors.NoMemory),
        (errno.EFAULT, errors.HypercallError),
    ],
)
def test_an_errno_becomes_an_exception_that_keeps_it(
    hv: Hypervisor, number: int, kind: type[errors.XenError]
) -> None:
    client, transport = connect(hv)
    transport.before = lambda call: Answer(-number)
    for name in (
        "domain_infos",
        "physinfo",
        "sched_id",
        "avail_heap",
        "cpu_info",
        "cpu_topology",
        "numa_info",
    ):
        with pytest.raises(kind) as caught:
            run(getattr(client, name)())
        assert (caught.value.errno, caught.value.operation) == (number, name)
        assert caught.value.channel == "hypervisor"
    with pytest.raises(kind):
        run(client.domain_info(0))


def test_the_deadline_is_for_all_calls_of_a_method(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    fill(hv, 300)
    transport.timeouts.clear()
    run(client.domain_infos(timeout=7))
    first, second = transport.timeouts
    assert first is not None
    assert second is not None
    assert 0 < second <= first <= 7
    transport.timeouts.clear()
    run(client.physinfo(timeout=None))
    assert transport.timeouts == [None]


def test_closing_closes_the_transport(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    run(client.close())
    assert transport.closed
