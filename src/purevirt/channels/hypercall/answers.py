"""What every hypercall of the client's has in common: its answer, or the exception that a negative one means."""

from __future__ import annotations

import errno

from purevirt.channels.hypercall.transport import Transport
from purevirt.wire.hypercall.errnos import exception_of
from purevirt.wire.hypercall.numbers import DOMID_FIRST_RESERVED
from purevirt.wire.hypercall.values import Answer, Hypercall

__all__ = ["check", "check_domid", "checked"]


def check_domid(domid: int, operation: str) -> None:
    """NoSuchDomain: no domain can have this id."""
    if not 0 <= domid < DOMID_FIRST_RESERVED:
        raise exception_of(errno.ESRCH, operation=operation, domain=domid)


async def checked(
    transport: Transport,
    hypercall: Hypercall,
    operation: str,
    timeout: float | None,
    domain: int | None = None,
) -> Answer:
    """Make the call; `check` its answer."""
    return check(await transport.call(hypercall, timeout), operation, domain)


def check(answer: Answer, operation: str, domain: int | None = None) -> Answer:
    """The answer, unless it is negative: what that means is raised."""
    if answer.value < 0:
        raise exception_of(-answer.value, operation=operation, domain=domain)
    return answer
