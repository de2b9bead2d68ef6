"""How CPU time is divided: examples that can be followed by hand, and what must hold for any demands."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.host.cpushares import CPU, Demand, capped, rates


def demand(load: float, weight: int = 256, cpus: int = 0b1) -> Demand:
    return Demand(round(load * CPU), weight, cpus)


def shares(*demands: Demand) -> list[float]:
    return [round(rate / CPU, 3) for rate in rates(demands)]


def test_nobody_wants_anything() -> None:
    assert rates([]) == []


def test_where_there_is_enough_weights_do_not_matter() -> None:
    assert shares(demand(0.5, 1), demand(0.5, 65535)) == [0.5, 0.5]
    assert shares(demand(1, 1, 0b11), demand(1, 1000, 0b11)) == [1, 1]


def test_where_there_is_not_weights_decide() -> None:
    assert shares(demand(1, 256), demand(1, 512)) == [0.333, 0.667]
    assert shares(demand(1, 100), demand(1, 100), demand(1, 200)) == [0.25, 0.25, 0.5]


def test_who_wants_less_than_its_share_leaves_the_rest() -> None:
    assert shares(demand(0.1, 256), demand(1, 256), demand(1, 256)) == [0.1, 0.45, 0.45]
    assert shares(demand(0.2, 512), demand(1, 256)) == [0.2, 0.8]


def test_a_pinned_vcpu_shares_its_cpu_while_others_move_away() -> None:
    assert shares(demand(1, 256, 0b01), demand(1, 256, 0b11)) == [1, 1]
    assert shares(demand(1, 256, 0b01), demand(1, 256, 0b01), demand(1, 256, 0b11)) == [0.5, 0.5, 1]


def test_the_scarcest_cpus_are_shared_first() -> None:
    # Three on CPU 0, one on CPU 1, one on either: the last finds its time on CPU 1.
    crowd = [demand(1, 256, 0b01)] * 3
    assert shares(*crowd, demand(1, 256, 0b10), demand(1, 256, 0b11)) == [0.333] * 3 + [0.5, 0.5]


def test_time_is_found_by_moving_others() -> None:
    # What runs on 0 or 1 has to make room on 0, and what runs on 1 or 2 on 1.
    assert shares(demand(1, 1, 0b011), demand(1, 1, 0b110), demand(1, 1, 0b001)) == [1, 1, 1]


@pytest.mark.parametrize(
    ("wanted", "cap", "given_"),
    [
        ([100, 100], 0, [100, 100]),
        ([100, 100], 200, [100, 100]),
        ([100, 100], 100, [50, 50]),
        ([100, 10, 100], 110, [50, 10, 50]),
        ([7, 7, 7], 10, [3, 3, 4]),
        ([], 10, []),
    ],
)
def test_a_cap_is_divided_evenly(wanted: list[int], cap: int, given_: list[int]) -> None:
    assert capped(wanted, cap) == given_


demands = st.integers(1, 5).flatmap(
    lambda cpus: st.lists(
        st.builds(
            Demand,
            st.sampled_from([1, CPU // 10, CPU // 4, CPU // 2, CPU]),
            st.sampled_from([1, 128, 256, 512, 65535]),
            st.integers(1, (1 << cpus) - 1),
        ),
        max_size=9,
    )
)


def unions(demands: list[Demand]) -> set[int]:
    """Every set of CPUs that is the union of some affinities."""
    found = {0}
    for each in demands:
        found |= {union | each.cpus for union in found}
    return found - {0}


@given(demands)
def test_no_set_of_cpus_gives_more_than_it_has(demands: list[Demand]) -> None:
    given_ = rates(demands)
    for cpus in unions(demands):
        inside = [rate for each, rate in zip(demands, given_, strict=True) if not each.cpus & ~cpus]
        assert sum(inside) <= cpus.bit_count() * CPU
    assert all(0 <= rate <= each.wanted for each, rate in zip(demands, given_, strict=True))


@given(demands)
def test_who_gets_less_than_it_wants_sits_where_all_is_used_and_nobody_gets_more_for_its_weight(
    demands: list[Demand],
) -> None:
    given_ = rates(demands)
    pairs = list(zip(demands, given_, strict=True))
    rounding = len(demands)  # each is rounded down, by less than one
    for each, rate in pairs:
        if rate == each.wanted:
            continue
        assert any(
            not each.cpus & ~cpus
            and cpus.bit_count() * CPU - sum(r for d, r in pairs if not d.cpus & ~cpus) <= rounding
            and all(r * each.weight <= (rate + 1) * d.weight for d, r in pairs if not d.cpus & ~cpus)
            for cpus in unions(demands)
        )


@given(demands, st.randoms(use_true_random=False))
def test_the_order_of_asking_makes_no_difference(demands: list[Demand], random: object) -> None:
    shuffled = list(enumerate(demands))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = dict(zip([index for index, _ in shuffled], rates([each for _, each in shuffled]), strict=True))
    assert [again[index] for index in range(len(demands))] == rates(demands)


def test_a_large_host_is_quick_enough_to_be_asked_often() -> None:
    pinned = [demand(1, 256, 1 << cpu) for cpu in range(640)]
    anywhere = [demand(0.5, 256, (1 << 640) - 1)] * 1000
    given_ = rates([*pinned, *anywhere])
    assert sum(given_) == pytest.approx(640 * CPU, rel=1e-6)
    levels = {rate for rate, _ in itertools.groupby(given_)}
    assert len(levels) == 1
