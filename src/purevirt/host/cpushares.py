"""Who gets how much CPU time: the model of a simulated host's scheduler. Pure, in whole numbers.

A real scheduler hands out slices of milliseconds; what a tool sees of it are sums. So nothing is scheduled here: the
sums are computed. Each vCPU that wants to run has a demand (its load, at most one CPU), a weight and the set of
physical CPUs it may run on (its hard affinity), and gets a constant rate until something changes:

- **Enough for all**: where the demands fit onto the CPUs they may use, each vCPU gets what it wants, whatever the
  weights.
- **Not enough**: where vCPUs that may run only within a set of CPUs want more than the set has, they share it in
  proportion to their weights; who wants less than that share gets what it wants, and the rest is shared among the
  others (weighted max-min fairness). The scarcest set is shared first; what its vCPUs get they get nowhere else. Who
  may also run elsewhere is then left with the CPUs outside of it.
- **Caps** come before all that: a domain with a cap wants no more than it. Where its vCPUs want more together, the cap
  is divided evenly among them; who wants less than its part leaves the rest to the others. That is credit2's budget,
  of which each vCPU takes an equal part.

As with credit2, each vCPU has the whole weight of its domain; with credit, a domain's weight is divided among its vCPUs
that want to run. Soft affinity is a preference, and with rates for sums it makes no difference. Time slices, cache
effects, ratelimit and the cost of a switch do not exist here, and a set of CPUs is used up to its last nanosecond.

How a set is found that is wanted too much: the demands are sent through a network, from each kind of affinity to its
CPUs, by augmenting paths. If not all of it passes, the CPUs that a leftover demand can reach by changing paths are the
ones that are too few (the minimum cut). Their level, so much rate for each unit of weight, makes the vCPUs within fit;
at that level the search is repeated, until everything fits but what the last cut used up to the end (Dinkelbach's
iteration, which ends at the scarcest set). Then the same for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

__all__ = ["CPU", "Demand", "capped", "rates"]

CPU = 10**9
"""The rate of a whole CPU: nanoseconds in a second."""


class Demand(NamedTuple):
    """What a vCPU would use if it were alone (0 to CPU), its weight, and bits of the CPUs it may run on."""

    wanted: int
    weight: int
    cpus: int


class _Kind(NamedTuple):
    """All demands that are alike."""

    demand: Demand
    number: int


def capped(wanted: Sequence[int], cap: int) -> list[int]:
    """The demands of one domain's vCPUs under its cap (a rate; 0: none)."""
    if not cap or sum(wanted) <= cap:
        return list(wanted)
    given = [0] * len(wanted)
    left = cap
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    for place, index in enumerate(order):
        given[index] = min(wanted[index], left // (len(order) - place))
        left -= given[index]
    return given


def rates(demands: Sequence[Demand]) -> list[int]:
    """The rate of each, in the same order."""
    counts: dict[Demand, int] = {}
    for demand in demands:
        counts[demand] = counts.get(demand, 0) + 1
    given: dict[Demand, int] = {}
    kinds = [_Kind(demand, count) for demand, count in counts.items()]
    taken = 0  # bits of the CPUs that are used up
    while kinds:
        scarce, level = _scarcest(kinds, taken)
        if level is None:
            given.update((kind.demand, kind.demand.wanted) for kind in kinds)
            break
        inside = [kind for kind in kinds if not kind.demand.cpus & ~taken & ~scarce]
        given.update((kind.demand, _at(level, kind.demand)) for kind in inside)
        kinds = [kind for kind in kinds if kind.demand.cpus & ~taken & ~scarce]
        taken |= scarce
    return [given[demand] for demand in demands]


def _scarcest(kinds: Sequence[_Kind], taken: int) -> tuple[int, Fraction | None]:
    """The CPUs with the lowest level, and that level; None where everything fits."""
    level: Fraction | None = None
    scarce = 0
    while True:
        flows: dict[int, int] = {}
        for kind in kinds:
            cpus = kind.demand.cpus & ~taken
            flows[cpus] = flows.get(cpus, 0) + kind.number * _at(level, kind.demand)
        cut = _overfull(flows)
        if not cut:
            return scarce, level
        scarce = cut
        level = _level(
            [kind for kind in kinds if not kind.demand.cpus & ~taken & ~cut], cut.bit_count() * CPU
        )


def _at(level: Fraction | None, demand: Demand) -> int:
    """What a demand gets at a level: its weight's share, or all it wants."""
    if level is None:
        return demand.wanted
    return min(demand.wanted, demand.weight * level.numerator // level.denominator)


def _level(kinds: Sequence[_Kind], capacity: int) -> Fraction:
    """Where these use just the capacity, which they want more than."""
    order = sorted(kinds, key=lambda kind: Fraction(kind.demand.wanted, kind.demand.weight))
    weight = sum(kind.number * kind.demand.weight for kind in order)
    for demand, number in order:
        level = Fraction(capacity, weight)
        if demand.wanted > demand.weight * level:
            return level
        capacity -= number * demand.wanted
        weight -= number * demand.weight
    raise AssertionError("they fit")  # pragma: no cover - the caller has seen that they do not


def _overfull(wanted: Mapping[int, int]) -> int:
    """Bits of CPUs that are wanted too much by those who may use no others; 0: all demands fit.

    `wanted` is the sum of demands for each set of CPUs.
    """
    room: dict[int, int] = {}  # CPU -> what is free of it
    flow: dict[int, dict[int, int]] = {}  # CPU -> affinity -> what it uses there
    left: dict[int, int] = {}
    for cpus in sorted(wanted, key=int.bit_count):
        amount = wanted[cpus]
        for cpu in _bits(cpus):
            if not amount:
                break
            free = room.setdefault(cpu, CPU)
            used = min(free, amount)
            if used:
                room[cpu] = free - used
                flow.setdefault(cpu, {})[cpus] = used
                amount -= used
        left[cpus] = amount
    reached = 0
    for cpus in left:
        while left[cpus]:
            path, seen = _augmenting(cpus, room, flow)
            if path is None:
                reached |= seen
                break
            left[cpus] -= _push(path, cpus, left[cpus], room, flow)
    return reached


Path = list[tuple[int, int]]


def _augmenting(
    start: int, room: Mapping[int, int], flow: Mapping[int, Mapping[int, int]]
) -> tuple[Path | None, int]:
    """A way from an affinity to a CPU with room, by moving others; or None, and all CPUs that were reached.

    The way is a list of (CPU, affinity that uses it and makes room), the last with affinity 0: there is room.
    """
    seen = 0
    queue: list[tuple[int, Path]] = [(start, [])]
    for cpus, path in queue:
        for cpu in _bits(cpus & ~seen):
            seen |= 1 << cpu
            if room.get(cpu, CPU):
                return [*path, (cpu, 0)], seen
            queue.extend(
                (other, [*path, (cpu, other)])
                for other, used in flow.get(cpu, {}).items()
                if used and other & ~seen
            )
    return None, seen


def _push(path: Path, start: int, amount: int, room: dict[int, int], flow: dict[int, dict[int, int]]) -> int:
    last = path[-1][0]
    amount = min([amount, room.get(last, CPU), *(flow[cpu][other] for cpu, other in path[:-1])])
    mover = start
    for cpu, other in path:
        users = flow.setdefault(cpu, {})
        users[mover] = users.get(mover, 0) + amount
        if other:
            users[other] -= amount
            mover = other
    room[last] = room.get(last, CPU) - amount
    return amount


def _bits(mask: int) -> Iterable[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
