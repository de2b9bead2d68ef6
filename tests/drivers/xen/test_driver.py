"""The driver in one thread: how many requests an operation costs, and what happens when a domain vanishes in it."""

from __future__ import annotations

import pytest

from purevirt._run import run_blocking
from purevirt.drivers.base import Driver
from purevirt.drivers.xen.routes import table
from purevirt.errors import NoSuchDomain, Unsupported
from purevirt.model import Access, DomainRef
from tests.support.memory_host import MemoryHost


def names(host: MemoryHost) -> list[str | None]:
    return [info.name for info in run_blocking(host.driver.list_domains())]


def test_listing_is_one_hypercall_and_one_exchange() -> None:
    host = MemoryHost(*[f"d{number}" for number in range(50)])
    assert len(names(host)) == 51
    assert (host.hypercalls.calls, host.transport.exchanges) == (1, 1)


def test_a_question_about_one_domain_does_not_grow_with_their_number() -> None:
    costs = []
    for count in (1, 100):
        host = MemoryHost(*[f"d{number}" for number in range(count)])
        info = run_blocking(host.driver.lookup_id(1))
        host.reset()
        run_blocking(host.driver.domain_info(info))
        costs.append((host.hypercalls.calls, host.transport.exchanges, host.transport.requests))
    assert costs == [(1, 1, 1)] * 2


def test_statistics_of_all_cost_as_many_exchanges_for_two_as_for_fifty() -> None:
    exchanges = []
    for count in (2, 50):
        host = MemoryHost(*[f"d{number}" for number in range(count)])
        run_blocking(host.driver.domain_stats(frozenset({"block", "interface"})))
        assert host.hypercalls.calls == 1
        exchanges.append(host.transport.exchanges)
    assert exchanges[0] == exchanges[1]


def test_a_domain_that_vanishes_during_a_listing_is_left_out() -> None:
    host = MemoryHost("stays", "goes", "stays-too")
    host.before_exchange(1, lambda: host.remove(2))
    assert names(host) == ["Domain-0", "stays", "stays-too"]


def test_a_domain_without_a_name_is_listed_without_one() -> None:
    host = MemoryHost("named", "unnamed")
    run_blocking(host.store.rm("/local/domain/2/name"))
    assert names(host) == ["Domain-0", "named", None]


def test_a_domain_that_vanishes_during_statistics_is_left_out() -> None:
    host = MemoryHost("stays", "goes")
    host.before_exchange(3, lambda: host.remove(2))
    found = run_blocking(host.driver.domain_stats(frozenset({"vcpu", "block"})))
    assert [stats.info.name for stats in found] == ["Domain-0", "stays"]


def test_a_domain_that_vanishes_between_lookup_and_question_is_no_such_domain() -> None:
    host = MemoryHost("goes")
    ref = run_blocking(host.driver.lookup_name("goes"))
    host.remove(1)
    for question in (
        host.driver.domain_info,
        host.driver.vcpus,
        host.driver.block_devices,
        host.driver.max_memory,
    ):
        with pytest.raises(NoSuchDomain) as caught:
            run_blocking(question(ref))
        assert caught.value.domain == str(ref.uuid)
    assert run_blocking(host.driver.domid(ref)) is None


@pytest.mark.parametrize("name", [b"\xff\xfe", "näme".encode(), b"a \"b\" 'c'", b"\x1b[31m", b""])
def test_any_bytes_are_a_name(name: bytes) -> None:
    host = MemoryHost(name)
    (listed,) = [info.name for info in run_blocking(host.driver.list_domains()) if info.domid == 1]
    assert listed is not None
    assert listed.encode("utf-8", "surrogateescape") == name
    assert run_blocking(host.driver.lookup_name(listed)).domid == 1


def test_a_reused_id_is_not_mistaken() -> None:
    host = MemoryHost("one")
    ref = run_blocking(host.driver.lookup_id(1))
    other = DomainRef(bytes(15) + b"\7", ref.domid)
    with pytest.raises(NoSuchDomain):
        run_blocking(host.driver.domain_info(other))


def test_every_row_of_the_table_is_an_operation_and_every_operation_a_row() -> None:
    host = MemoryHost()
    other = {"close", "explain", "access", "store", "hypercalls", "daemon", "root"}
    operations = {name for name in dir(host.driver) if not name.startswith("_")} - other
    assert operations == set(table())


def test_the_driver_keeps_the_contract() -> None:
    contract: Driver = MemoryHost().driver  # mypy compares the signatures; this, that nothing is missing
    for name in Driver.__annotations__.keys() | {name for name in vars(Driver) if not name.startswith("_")}:
        assert hasattr(contract, name)


def test_read_only_rows_never_name_the_hypervisor() -> None:
    host = MemoryHost()
    host.driver.access = Access.RO
    for route in host.driver.explain():
        assert "hypervisor" not in [channel.value for channel in route.channels]
    with pytest.raises(Unsupported, match="not served on this ro connection"):
        run_blocking(host.driver.free_memory())
