"""A domain's share of the CPUs: weight and cap, under the credit and credit2 schedulers."""

from __future__ import annotations

from purevirt.daemons.xend.toolstack.base import Host, living, shown
from purevirt.errors import InvalidConfig
from purevirt.model import DomainInfo

__all__ = ["set_scheduler_parameters"]

_MOST_WEIGHT = 65535


async def set_scheduler_parameters(
    host: Host, domain: DomainInfo, weight: int | None, cap: int | None
) -> None:
    """Change one or both; None leaves as it is. Unsupported: the domain's CPU pool has another scheduler."""
    living(domain, "set_scheduler_parameters")
    assert domain.domid is not None
    problems = []
    if weight is None and cap is None:
        problems.append("neither weight nor cap is given")
    if weight is not None and not 1 <= weight <= _MOST_WEIGHT:
        problems.append(f"a weight is 1 to {_MOST_WEIGHT}, not {weight}")
    most = 100 * (domain.max_vcpus or 1)
    if cap is not None and not 0 <= cap <= most:
        problems.append(f"the cap of domain {shown(domain)} is 0 (none) to {most} percent, not {cap}")
    if problems:
        raise InvalidConfig(
            "; ".join(problems),
            operation="set_scheduler_parameters",
            domain=shown(domain),
            problems=tuple(problems),
        )
    had_weight, had_cap = await host.hypercalls.sched_parameters(domain.domid)
    await host.hypercalls.set_sched_parameters(
        domain.domid,
        weight=had_weight if weight is None else weight,
        cap=had_cap if cap is None else cap,
    )
