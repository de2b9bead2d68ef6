"""What every host with a Xen daemon does to its domains, and what no host does.

Each test leaves the domain as it was. Ending one is not the suite's: the end-to-end tests have guests for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from purevirt import DomainState, EventKind
from purevirt.errors import (
    ChannelUnavailable,
    DomainExists,
    InvalidConfig,
    NoSuchDomain,
    ReadOnly,
    Unsupported,
    WrongState,
    XenError,
)

from .conftest import Caller, Facts

SLACK_KIB = 4096


@pytest.fixture
def domain(do: Caller, changing: Any, facts: Facts) -> Any:
    return do(changing.lookup_by_name, facts.subject.name)


CALLS: dict[str, Callable[[Caller, Any], Any]] = {
    "suspend": lambda do, domain: do(domain.suspend),
    "resume": lambda do, domain: do(domain.resume),
    "destroy": lambda do, domain: do(domain.destroy),
    "shutdown": lambda do, domain: do(domain.shutdown),
    "reboot": lambda do, domain: do(domain.reboot),
    "set_memory": lambda do, domain: do(domain.set_memory, 65536),
    "set_max_memory": lambda do, domain: do(domain.set_max_memory, 65536),
    "set_vcpus": lambda do, domain: do(domain.set_vcpus, 1),
    "pin_vcpu": lambda do, domain: do(domain.pin_vcpu, 0, [0]),
    "set_scheduler_parameters": lambda do, domain: do(domain.set_scheduler_parameters, weight=300),
    "rename": lambda do, domain: do(domain.rename, "another"),
    "send_sysrq": lambda do, domain: do(domain.send_sysrq, "h"),
    "inject_nmi": lambda do, domain: do(domain.inject_nmi),
    "send_trigger": lambda do, domain: do(domain.send_trigger, "nmi"),
}


@pytest.mark.parametrize("operation", CALLS)
def test_a_read_only_connection_changes_nothing(do: Caller, ro: Any, facts: Facts, operation: str) -> None:
    domain = do(ro.lookup_by_name, facts.subject.name)
    with pytest.raises(ReadOnly) as caught:
        CALLS[operation](do, domain)
    assert caught.value.operation == operation


@pytest.mark.parametrize("operation", CALLS)
def test_without_a_daemon_the_error_says_how_to_start_it(
    do: Caller, rw: Any, facts: Facts, operation: str
) -> None:
    if rw.has_daemon:
        pytest.skip("the Xen daemon runs on this host")
    with pytest.raises(ChannelUnavailable, match="purevirt xend") as caught:
        CALLS[operation](do, do(rw.lookup_by_name, facts.subject.name))
    assert (caught.value.operation, caught.value.channel) == (operation, "daemon")


def test_a_suspended_domain_is_paused_until_it_is_resumed(do: Caller, domain: Any) -> None:
    do(domain.suspend)
    try:
        info = do(domain.info)
        assert (info.state, info.flags[2]) == (DomainState.PAUSED, "p")
        with pytest.raises(WrongState, match="paused already"):
            do(domain.suspend)
    finally:
        do(domain.resume)
    assert do(domain.info).flags[2] == "-"
    with pytest.raises(WrongState, match="not paused"):
        do(domain.resume)


def test_a_weight_is_what_was_set(do: Caller, domain: Any) -> None:
    before = do(domain.scheduler_parameters)
    do(domain.set_scheduler_parameters, weight=512)
    try:
        assert do(domain.scheduler_parameters) == before._replace(weight=512)
    finally:
        do(domain.set_scheduler_parameters, weight=before.weight)
    assert do(domain.scheduler_parameters) == before


def test_a_pinned_vcpu_may_run_where_it_was_pinned(do: Caller, changing: Any, domain: Any) -> None:
    cpus = range(do(changing.node_info).cpus)
    do(domain.pin_vcpu, 0, [0])
    try:
        assert do(domain.vcpus)[0].hard_affinity == {0}
    finally:
        do(domain.pin_vcpu, 0, cpus)
    assert do(domain.vcpus)[0].hard_affinity >= set(cpus)


def test_a_renamed_domain_has_the_new_name_only(do: Caller, changing: Any, domain: Any, facts: Facts) -> None:
    do(domain.rename, "contract-renamed")
    try:
        assert do(domain.name) == "contract-renamed"
        assert do(changing.lookup_by_name, "contract-renamed") == domain
        with pytest.raises(NoSuchDomain):
            do(changing.lookup_by_name, facts.subject.name)
    finally:
        do(domain.rename, facts.subject.name)
    with pytest.raises(DomainExists):
        do(domain.rename, "Domain-0")
    assert do(domain.name) == facts.subject.name


def test_the_most_it_may_hold_is_what_was_set(do: Caller, domain: Any, facts: Facts) -> None:
    """With what a toolstack adds for what is no memory of the guest's own."""
    wanted = facts.subject.memory_kib + 16384
    do(domain.set_max_memory, wanted)
    try:
        assert wanted <= do(domain.max_memory) <= wanted + SLACK_KIB
    finally:
        do(domain.set_max_memory, facts.subject.memory_kib)
    assert facts.subject.memory_kib <= do(domain.max_memory) <= facts.subject.memory_kib + SLACK_KIB


def test_a_memory_target_is_in_the_store(do: Caller, changing: Any, domain: Any, facts: Facts) -> None:
    path = f"/local/domain/{facts.subject.domid}/memory/target"
    before = int(do(changing.store.read, path))
    target = before - 4096
    assert do(domain.set_memory, target) == target
    try:
        assert int(do(changing.store.read, path)) == target
    finally:
        do(domain.set_memory, before)


def test_a_guest_is_asked_for_vcpus(do: Caller, changing: Any, domain: Any, facts: Facts) -> None:
    counted = do(domain.set_vcpus, 1)
    try:
        assert counted.asked == 1
        assert counted.online >= 1
        for number in range(1, facts.subject.vcpus):
            path = f"/local/domain/{facts.subject.domid}/cpu/{number}/availability"
            assert do(changing.store.read, path) == "offline"
    finally:
        do(domain.set_vcpus, facts.subject.vcpus)


WRONG: dict[str, Callable[[Caller, Any], Any]] = {
    "no vCPUs": lambda do, domain: do(domain.set_vcpus, 0),
    "more vCPUs than it was built with": lambda do, domain: do(domain.set_vcpus, 500),
    "more memory than it may hold": lambda do, domain: do(domain.set_memory, 1 << 40),
    "no memory": lambda do, domain: do(domain.set_memory, 0),
    "negative memory": lambda do, domain: do(domain.set_max_memory, -1),
    "no such vCPU": lambda do, domain: do(domain.pin_vcpu, 400, [0]),
    "no CPU": lambda do, domain: do(domain.pin_vcpu, 0, []),
    "no such CPU": lambda do, domain: do(domain.pin_vcpu, 0, [4000]),
    "weight 0": lambda do, domain: do(domain.set_scheduler_parameters, weight=0),
    "weight 70000": lambda do, domain: do(domain.set_scheduler_parameters, weight=70000),
    "cap -1": lambda do, domain: do(domain.set_scheduler_parameters, cap=-1),
    "no name": lambda do, domain: do(domain.rename, ""),
    "a name with a slash": lambda do, domain: do(domain.rename, "a/b"),
    "a word for a key": lambda do, domain: do(domain.send_sysrq, "sync"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_value_out_of_range_leaves_the_domain_as_it_was(do: Caller, domain: Any, wrong: str) -> None:
    def shown() -> list[Any]:
        info = do(domain.info)._replace(state=None, flags=None, cpu_time_ns=None, memory_kib=None)
        return [info, do(domain.scheduler_parameters), [vcpu.hard_affinity for vcpu in do(domain.vcpus)]]

    before = shown()
    with pytest.raises(InvalidConfig) as caught:
        WRONG[wrong](do, domain)
    assert len(str(caught.value).splitlines()) == 1
    assert shown() == before


@pytest.mark.parametrize("operation", ["suspend", "destroy", "shutdown", "reboot", "rename"])
def test_domain_0_is_not_to_be_ended(do: Caller, changing: Any, operation: str) -> None:
    with pytest.raises((WrongState, Unsupported)) as caught:
        CALLS[operation](do, do(changing.lookup_by_id, 0))
    assert caught.value.operation == operation
    assert do(changing.lookup_by_id, 0) is not None


# --- events


@pytest.fixture(params=["rw", "ro"])
def watching(request: pytest.FixtureRequest, do: Caller, facts: Facts, changing: Any) -> Iterator[Any]:
    """A connection that only watches, beside the one that changes."""
    connection = do.open(facts.uri, request.param)
    yield connection
    do(connection.close)


def wait_for(do: Caller, events: Any, kind: EventKind) -> Any:
    while True:
        event = do(events.next, 20.0)
        assert event is not None, f"no {kind.value} event came"
        if event.kind is kind:
            return event


def test_what_is_done_to_a_domain_is_told(do: Caller, watching: Any, domain: Any, facts: Facts) -> None:
    events = do(watching.events, None, facts.subject.name, poll=0.05)
    try:
        for act, kind, codes in (
            (domain.suspend, EventKind.SUSPENDED, (3, 0)),
            (domain.resume, EventKind.RESUMED, (4, 0)),
        ):
            do(act)
            event = wait_for(do, events, kind)
            assert (event.domid, str(event.uuid), event.name) == (
                facts.subject.domid,
                facts.subject.uuid,
                facts.subject.name,
            )
            assert (event.libvirt_event, event.libvirt_detail) == codes
        weight = do(domain.scheduler_parameters).weight
        do(domain.set_scheduler_parameters, weight=weight)
        assert wait_for(do, events, EventKind.CHANGED).detail == "set_scheduler_parameters"
        do(domain.rename, "contract-told")
        try:
            event = wait_for(do, events, EventKind.RENAMED)
            assert (event.name, event.detail) == ("contract-told", facts.subject.name)
        finally:
            do(domain.rename, facts.subject.name)
    finally:
        do(events.close)


def test_a_stream_without_news_is_quiet(do: Caller, either: Any) -> None:
    events = do(either.events, ["created", "stopped"])
    try:
        assert do(events.next, 0.01) is None
        assert {info.domid for info in do(events.snapshot)} >= {0}
    finally:
        do(events.close)


def test_a_change_to_a_domain_that_is_gone_is_no_such_domain(do: Caller, changing: Any, domain: Any) -> None:
    domain._ref = domain._ref._replace(handle=b"\1" * 16, domid=31999)
    for operation in ("suspend", "set_memory", "rename"):
        with pytest.raises(NoSuchDomain) as caught:
            CALLS[operation](do, domain)
        assert isinstance(caught.value, XenError)
