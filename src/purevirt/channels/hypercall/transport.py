"""What carries a hypercall to a hypervisor and its answer back, or the exception that a negative one means."""

from __future__ import annotations

import errno
import time

from purevirt._typing import Protocol
from purevirt.wire.hypercall.errnos import exception_of
from purevirt.wire.hypercall.numbers import DOMID_FIRST_RESERVED
from purevirt.wire.hypercall.values import Answer, Hypercall

__all__ = [
    "CAPACITY",
    "CHANNEL",
    "SOCKET_BASE",
    "WHAT",
    "Deadline",
    "Transport",
    "check",
    "check_domid",
    "checked",
]

CHANNEL = "hypervisor"
WHAT = "the hypervisor"

CAPACITY = 64 * 4096
"""Bytes of memory for the extents of one call, in every transport: what Linux gives one user of
/dev/xen/hypercall by default (`privcmd.limit`, 64 pages)."""

SOCKET_BASE = 0x10_0000
"""Where that memory begins, towards a simulated hypervisor, which never looks there: addresses are names."""


class Transport(Protocol):
    """One way to a hypervisor. `Layout(base, capacity)` hands out addresses that it accepts."""

    @property
    def base(self) -> int:
        """The address of the first byte of the memory that extents may use."""

    @property
    def capacity(self) -> int:
        """How many bytes of it there are."""

    @property
    def arch(self) -> str:
        """For which architecture the hypervisor lays out its structs: "x86_64" or "arm64"."""

    async def call(self, hypercall: Hypercall, timeout: float | None) -> Answer:
        """Carry it out. An errno of the hypervisor is no exception here: the answer's value is -errno.

        `timeout` is in seconds, None waits for ever; a transport that cannot wait ignores it. Timeout: the
        answer did not come in time. Closed: the transport is closed, or belongs to the other side of a fork.
        RemoteProtocolError: the other side broke the protocol.
        """

    def close(self) -> None:
        """Give everything back. Closing twice is fine."""


class Deadline:
    """A moment, counted from now; for what takes several steps under one time limit."""

    __slots__ = ("_end", "timeout")

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds until then, 0.0 if it has passed; None if there is no limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())


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
