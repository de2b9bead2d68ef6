"""Building a domain with the client, on the simulated hypervisor of every verified release; and what goes wrong."""

from __future__ import annotations

import errno
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from purevirt import errors
from purevirt._run import run_blocking
from purevirt.channels.hypercall import client as module
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.host.bus import Bus
from purevirt.host.clock import HeldClock
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.hypercall.building import NewDomain
from purevirt.wire.hypercall.subops import CreateFlag, EmulationFlag, HvmParam
from purevirt.wire.hypercall.values import Answer
from purevirt.wire.hypercall.versions import RELEASES, Interface

from .memory_transport import MemoryTransport

T = TypeVar("T")
PVH = NewDomain(bytes(range(16)), CreateFlag.HVM | CreateFlag.HAP, EmulationFlag.LAPIC, max_vcpus=2)
PV = NewDomain(bytes(16))
TRUSTED = [row._replace(arch=arch) for row in RELEASES if row.trusted for arch in ("x86_64", "arm64")]


def run(coro: Coroutine[Any, Any, T]) -> T:
    return run_blocking(coro)


def connect(hypervisor: Hypervisor) -> tuple[HypercallClient, MemoryTransport]:
    transport = MemoryTransport(hypervisor)
    return run(HypercallClient.open(transport)), transport


@pytest.fixture
def hv() -> Hypervisor:
    return Hypervisor(HeldClock())


@pytest.mark.parametrize("row", TRUSTED, ids=lambda row: f"{row.release[1]}-{row.arch}")
def test_a_domain_is_built(row: Interface, tmp_path: Path) -> None:
    hv = Hypervisor(HeldClock(), xen=row.release, arch=row.arch)
    Bus(hv, str(tmp_path / "memory"))
    client, _ = connect(hv)
    domid = run(client.create_domain(PVH))
    domain = hv.domain(domid)
    assert (domain.kind, domain.handle, domain.paused) == ("pvh", PVH.handle, 1)
    run(client.make_vcpus(domid, 2))
    run(client.set_max_memory(domid, 4096))
    run(client.populate(domid, [0], 9))
    run(client.populate(domid, range(512, 520)))
    assert (len(domain.vcpus), domain.online_vcpus, domain.tot_pages) == (2, 0, 520)
    assert [run(client.allocate_port(domid)) for _ in range(2)] == [1, 2]
    run(client.set_hvm_param(domid, HvmParam.STORE_PFN, 0x80))
    assert run(client.hvm_param(domid, HvmParam.STORE_PFN)) == 0x80


def test_what_xen_cannot_make_is_no_configuration(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    with pytest.raises(errors.InvalidConfig, match="EINVAL"):
        run(client.create_domain(PV._replace(max_vcpus=0)))
    transport.calls.clear()
    with pytest.raises(errors.InvalidConfig, match="16 bytes, not 3"):
        run(client.create_domain(PV._replace(handle=b"abc")))
    assert not transport.calls


def test_no_id_is_left(hv: Hypervisor) -> None:
    client, transport = connect(hv)
    transport.before = lambda call: Answer(-errno.ENOMEM)
    with pytest.raises(errors.NoMemory):
        run(client.create_domain(PV))


def test_as_many_vcpus_as_it_was_made_for(hv: Hypervisor) -> None:
    client, _ = connect(hv)
    domid = run(client.create_domain(PV))
    with pytest.raises(errors.InvalidConfig, match="another number of vCPUs than 2"):
        run(client.make_vcpus(domid, 2))


def test_memory_that_is_not_there_says_how_far_it_went(
    hv: Hypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_EXTENTS", 3)  # several calls for what is one otherwise
    client, _ = connect(hv)
    domid = run(client.create_domain(PV))
    run(client.set_max_memory(domid, 32))
    run(client.populate(domid, range(7)))
    with pytest.raises(errors.NoMemory, match="got 1 of 7 pieces of 4 KiB"):
        run(client.populate(domid, range(7, 14)))
    assert hv.domain(domid).tot_pages == 8


def test_a_pv_domain_has_no_parameters(hv: Hypervisor) -> None:
    client, _ = connect(hv)
    domid = run(client.create_domain(PV))
    with pytest.raises(errors.WrongState, match="it is a PV domain"):
        run(client.set_hvm_param(domid, HvmParam.STORE_PFN, 1))
