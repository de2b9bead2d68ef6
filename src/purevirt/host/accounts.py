"""The CPU time of all vCPUs of a simulated host: booked before each change, computed when somebody asks.

Nothing ticks. Between two changes each vCPU has a constant rate (`cpushares` says which), so that its CPU time is what
was booked at the last change, and its rate times what has passed since. A change (a pause, a load, a weight, a domain
that comes or goes …) may alter everybody's rate: before it, what has accrued is booked; after it, the rates are
computed again when they are first needed. Changes at one moment of a held clock therefore cost nothing.

Whole numbers only: the same changes at the same times give the same nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from purevirt.host.clock import Clock
from purevirt.host.cpushares import CPU, Demand, capped, rates
from purevirt.host.domains import SimDomain, SimVcpu
from purevirt.wire.hypercall.numbers import SCHEDULERS

__all__ = ["Accounts"]

_CREDIT = next(number for number, name in SCHEDULERS.items() if name == "credit")
_CREDIT2 = next(number for number, name in SCHEDULERS.items() if name == "credit2")


class Accounts:
    """Of one hypervisor, whose domains are in `domains` (and change only after `changing`)."""

    __slots__ = ("_booked_at", "_busy", "_clock", "_domains", "_scheduler", "_stale")

    def __init__(self, clock: Clock, domains: Mapping[int, SimDomain], scheduler: int) -> None:
        self._clock = clock
        self._domains = domains
        self._scheduler = scheduler
        self._booked_at = clock.now()
        self._busy: list[SimVcpu] = []  # those with a rate
        self._stale = False

    def changing(self) -> None:
        """Something that decides about rates is about to change: book what has accrued.

        Nothing may ask (`passed`) until it has changed.
        """
        now = self._clock.now()
        if now != self._booked_at:
            passed = self.passed(now)
            for vcpu in self._busy:
                vcpu.cpu_time += passed * vcpu.rate // CPU
            self._booked_at = now
        self._stale = True

    def passed(self, now: int | None = None) -> int:
        """Nanoseconds since the last booking, for `SimDomain.cpu_time`; every vCPU has its rate then."""
        if self._stale:
            self._compute()
        return (self._clock.now() if now is None else now) - self._booked_at

    def _compute(self) -> None:
        for vcpu in self._busy:
            vcpu.rate = 0
        self._busy = []
        demands: list[Demand] = []
        for domain in self._domains.values():
            if domain.runs:
                wanting = [vcpu for vcpu in domain.vcpus if vcpu.load and vcpu.online]
                if wanting:
                    self._busy += wanting
                    demands += self._demands(domain, wanting)
        for vcpu, rate in zip(self._busy, rates(demands), strict=True):
            vcpu.rate = rate
        self._stale = False

    def _demands(self, domain: SimDomain, vcpus: list[SimVcpu]) -> list[Demand]:
        wanted = [round(vcpu.load * CPU) for vcpu in vcpus]
        weight = 1  # schedulers that know none treat all alike
        if self._scheduler in (_CREDIT, _CREDIT2):
            wanted = capped(wanted, domain.cap * CPU // 100)
            weight = domain.weight * _FINE
            if self._scheduler == _CREDIT:
                weight = max(1, weight // len(vcpus))
        return [Demand(want, weight, vcpu.hard) for want, vcpu in zip(wanted, vcpus, strict=True)]


_FINE = 1 << 16  # so that a weight of 1 can be divided
