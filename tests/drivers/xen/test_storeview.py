"""A domain as the store alone tells it."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt._run import run_blocking
from purevirt.drivers.xen import storeview
from purevirt.model import DomainState, DomainType
from tests.support.memory_store import memory_store

UUID_1 = UUID("12345678-1234-5678-1234-567812345678")


def home(domid: int, **values: str) -> dict[str, str]:
    return {f"/local/domain/{domid}/{key.replace('__', '/')}": value for key, value in values.items()}


def test_what_the_store_holds_is_told_and_nothing_more() -> None:
    nodes = home(4, vm=f"/vm/{UUID_1}", name="web", memory__target="1024", memory__static_max="x")
    nodes |= {"/local/domain/4/memory/static-max": "2048", "/libxl/4/type": "pvh"}
    nodes |= {"/local/domain/4/cpu/0/availability": "online", "/local/domain/4/cpu/1/availability": "offline"}
    store, _ = memory_store(nodes)
    (info,) = run_blocking(storeview.domain_infos(store, [4]))
    assert (info.domid, info.uuid, info.name, info.type) == (4, UUID_1, "web", DomainType.PVH)
    assert (info.memory_target_kib, info.max_memory_kib, info.max_vcpus) == (1024, 2048, 2)
    assert info.state is DomainState.NOSTATE
    assert (info.memory_kib, info.cpu_time_ns, info.vcpus) == (None, None, None)


def test_any_number_of_domains_costs_two_exchanges() -> None:
    nodes: dict[str, str] = {}
    for domid in range(1, 51):
        nodes |= home(domid, vm=f"/vm/{UUID_1}", name=f"d{domid}")
    store, transport = memory_store(nodes)
    assert len(run_blocking(storeview.domain_infos(store, range(1, 51)))) == 50
    assert transport.exchanges == 2


def test_a_domain_that_vanished_is_left_out() -> None:
    store, _ = memory_store(home(1, vm=f"/vm/{UUID_1}", name="one"))
    assert [info.domid for info in run_blocking(storeview.domain_infos(store, [1, 2]))] == [1]


def test_domain_0_has_no_vm_node_and_a_zero_uuid() -> None:
    store, _ = memory_store(home(0, name="Domain-0"))
    (info,) = run_blocking(storeview.domain_infos(store, [0]))
    assert info.uuid == UUID(int=0)


def test_an_empty_store_has_no_domains() -> None:
    store, _ = memory_store()
    assert run_blocking(storeview.domain_ids(store)) == []


def test_only_numbers_are_ids() -> None:
    store, _ = memory_store(
        {"/local/domain/10/name": "a", "/local/domain/9/name": "b", "/local/domain/x/name": "c"}
    )
    assert run_blocking(storeview.domain_ids(store)) == [9, 10]


def test_a_restarted_domains_vm_path_has_a_suffix() -> None:
    assert storeview.handle_of(f"/vm/{UUID_1}-2".encode(), 5) == UUID_1.bytes


@given(st.binary(max_size=80))
def test_any_value_is_a_handle_or_none(value: bytes) -> None:
    handle = storeview.handle_of(value, 5)
    assert handle is None or len(handle) == 16


@given(st.binary(max_size=30))
def test_any_value_is_a_number_or_none(value: bytes) -> None:
    number = storeview.parse_int(value)
    assert number is None or number >= 0


@pytest.mark.parametrize("raw", [b"plain", "näme".encode(), b"\xff\xfe", b"a b\"c'd"])
def test_names_survive_as_text(raw: bytes) -> None:
    text = storeview.decode_text(raw)
    assert text is not None
    assert text.encode("utf-8", "surrogateescape") == raw
