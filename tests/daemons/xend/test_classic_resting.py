"""What becomes of a definition when a halted domain's sizes, vCPUs and scheduling are set: sense, or a refusal."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.daemons.xend.classic import resting
from purevirt.daemons.xend.classic.arguments import Refusal
from purevirt.formats.xend_sxpr import vm
from purevirt.model import DomainType
from purevirt.model.description import Cpus, DomainDescription, Memory, Scheduling, rules

WEB = DomainDescription("web", DomainType.PV, memory=Memory(65536, 131072), cpus=Cpus(2, 4))
Change = Callable[[DomainDescription], DomainDescription]

numbers = st.integers(-2, 6) | st.integers(-(10**30), 10**30)
kib = numbers.map(lambda mib: mib * 1024)
changes: st.SearchStrategy[Change] = st.one_of(
    kib.map(lambda n: lambda of: resting.with_memory(of, n)),
    kib.map(lambda n: lambda of: resting.with_max_memory(of, n)),
    numbers.map(lambda n: lambda of: resting.with_vcpus(of, n)),
    st.tuples(st.none() | numbers, st.lists(st.integers(-1, 4000), min_size=1, max_size=5)).map(
        lambda two: lambda of: resting.with_pinned(of, *two)
    ),
    st.dictionaries(st.sampled_from(["weight", "cap"]), numbers).map(
        lambda values: lambda of: resting.with_scheduling(of, values)
    ),
)


@given(st.lists(changes, max_size=8))
def test_any_changes_leave_a_description_that_xends_format_can_say(asked: list[Change]) -> None:
    description = WEB
    for change in asked:
        try:
            description = change(description)
        except Refusal:
            continue
        text = vm.format(description).text()
        assert vm.parse(text).description == description
        others = {problem.path for problem in rules.problems(description)} - {
            "memory.max_kib"
        }  # the supervisor's
        assert others == {problem.path for problem in rules.problems(WEB)}


def test_what_is_said_of_all_vcpus_is_kept_for_those_that_are_not_meant() -> None:
    pinned = resting.with_pinned(WEB, None, [1, 0, 1])
    assert pinned.cpus.affinity == ("0,1",)
    assert resting.with_pinned(pinned, 2, [3]).cpus.affinity == ("0,1", "0,1", "3", "0,1")
    assert resting.with_pinned(WEB, 3, [3]).cpus.affinity == ("all", "all", "all", "3")
    fewer = resting.with_vcpus(resting.with_pinned(WEB, 1, [3]), 2)
    assert (fewer.cpus.affinity, fewer.cpus.online, fewer.cpus.maximum) == (("all", "3"), 2, 2)
    assert resting.with_vcpus(WEB._replace(cpus=Cpus(1)), 3).cpus == Cpus(3)


def test_memory_keeps_below_its_maximum() -> None:
    assert resting.with_memory(WEB, 32768).memory == Memory(32768, 131072)
    assert resting.with_max_memory(WEB, 32768).memory == Memory(32768, 32768)
    assert resting.with_memory(WEB._replace(memory=Memory(65536)), 32768).memory == Memory(32768, 65536)
    with pytest.raises(Refusal, match="expected 1 to 128 MiB, its maxmem, found 129"):
        resting.with_memory(WEB, 129 * 1024)


def test_a_share_keeps_what_is_not_said() -> None:
    changed = resting.with_scheduling(WEB._replace(scheduling=Scheduling(300, 10)), {"cap": 0})
    assert changed.scheduling == Scheduling(300, 0)
