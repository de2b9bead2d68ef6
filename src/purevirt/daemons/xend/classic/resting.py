"""What is changed of a domain that does not run: its definition, as xend changed its own. Pure.

Each of these takes a description and gives the one that it becomes; Refusal, if it cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from purevirt.daemons.xend.classic.arguments import Refusal
from purevirt.model.description import DomainDescription

__all__ = ["with_max_memory", "with_memory", "with_pinned", "with_scheduling", "with_vcpus"]

_ANYWHERE = "all"
_MOST_VCPUS = 4096


def with_memory(description: DomainDescription, kib: int) -> DomainDescription:
    """With so much memory to start with; it may grow to what it could grow to before."""
    memory = description.memory
    most = memory.max_kib or memory.kib
    if not 0 < kib <= most:
        raise Refusal(f"target: expected 1 to {most // 1024} MiB, its maxmem, found {kib // 1024}")
    return description._replace(memory=memory._replace(kib=kib, max_kib=most))


def with_max_memory(description: DomainDescription, kib: int) -> DomainDescription:
    """With so much memory at most; it starts with no more."""
    if kib <= 0:
        raise Refusal(f"memory: expected at least 1 MiB, found {kib // 1024}")
    memory = description.memory
    return description._replace(memory=memory._replace(kib=min(memory.kib, kib), max_kib=kib))


def with_vcpus(description: DomainDescription, count: int) -> DomainDescription:
    """With so many vCPUs, and no more than these: xend let that be changed while the domain did not run."""
    if not 0 < count <= _MOST_VCPUS:
        raise Refusal(f"vcpus: expected 1 to {_MOST_VCPUS}, found {count}")
    cpus = description.cpus
    return description._replace(
        cpus=cpus._replace(
            online=count,
            maximum=None if cpus.maximum is None else count,
            affinity=_fewer(cpus.affinity, count),
            soft_affinity=_fewer(cpus.soft_affinity, count),
        )
    )


def _fewer(lists: tuple[str, ...], count: int) -> tuple[str, ...]:
    """One is for all vCPUs, else there is one for each."""
    return lists if len(lists) == 1 else lists[:count]


def with_pinned(description: DomainDescription, vcpu: int | None, cpus: Sequence[int]) -> DomainDescription:
    """With one vCPU, or (None) all of them, on these CPUs only."""
    said = description.cpus
    count = said.maximum or said.online
    where = ",".join(map(str, sorted(set(cpus))))
    if any(cpu < 0 for cpu in cpus):
        raise Refusal(f"cpumap: expected numbers of CPUs, found {where}")
    if vcpu is None:
        return description._replace(cpus=said._replace(affinity=(where,)))
    if not 0 <= vcpu < count:
        raise Refusal(f"vcpu: expected 0 to {count - 1}, found {vcpu}")
    old = said.affinity * count if len(said.affinity) == 1 else said.affinity
    lists = [*old[:count], *(_ANYWHERE,) * (count - len(old))]
    lists[vcpu] = where
    return description._replace(cpus=said._replace(affinity=tuple(lists)))


def with_scheduling(description: DomainDescription, values: dict[str, Any]) -> DomainDescription:
    """With another weight (1 to 65535), another cap (percent of one CPU, 0: none), or both."""
    for name, least, most in (("weight", 1, 65535), ("cap", 0, 100 * _MOST_VCPUS)):
        if not least <= values.get(name, least) <= most:
            raise Refusal(f"{name}: expected {least} to {most}, found {values[name]}")
    return description._replace(scheduling=description.scheduling._replace(**values))
