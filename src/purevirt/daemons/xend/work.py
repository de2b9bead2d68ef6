"""What a handler of an operation gets, and what the table says of an operation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from purevirt.daemons.xend.arguments import Argument
from purevirt.daemons.xend.journal import Journal
from purevirt.daemons.xend.toolstack.base import Toolstack
from purevirt.drivers.xen.driver import XenDriver
from purevirt.model import Caller, DomainInfo, DomainRef, EventKind, Role

if TYPE_CHECKING:
    from purevirt.daemons.xend.managed.manager import Manager

__all__ = ["Done", "Later", "Operation", "Work"]


class Work(NamedTuple):
    """One call, ready to be carried out.

    `ref` is the domain that is meant, for reads; `info` the same, as the hypervisor tells it, for changes (the lock is
    held then). `end` is the deadline, in the event loop's time; an operator may name files below `roots` only.
    """

    caller: Caller
    channels: XenDriver | None
    toolstack: Toolstack
    journal: Journal
    arguments: Mapping[str, Any]
    end: float
    domain: DomainRef | None
    changing: DomainInfo | None
    roots: tuple[str, ...] = ()
    supervision: Manager | None = None

    @property
    def manager(self) -> Manager:
        """Supervision, and all that is remembered."""
        assert self.supervision is not None
        return self.supervision

    @property
    def driver(self) -> XenDriver:
        """The host's; there for every operation that needs the host."""
        assert self.channels is not None
        return self.channels

    @property
    def ref(self) -> DomainRef:
        """The domain of a read that is about one."""
        assert self.domain is not None
        return self.domain

    @property
    def info(self) -> DomainInfo:
        """The domain of a change."""
        assert self.changing is not None
        return self.changing

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.end - asyncio.get_running_loop().time())


class Later(NamedTuple):
    """What a handler returns if its change is made, and something is still to be waited for, without the lock."""

    wait: Callable[[], Awaitable[object]]


class Done(NamedTuple):
    """What the journal notes of a change that was carried out."""

    kind: EventKind
    detail: Callable[[Work], str | None]


class Operation(NamedTuple):
    """A line of the table. `done` is there for changes of a domain that is there; what changes something else, or
    finds its locks itself, is done `alone`, and written down as well. `inactive` is what is done where the domain is
    defined and does not run; None: that is an error.
    """

    role: Role
    handler: Callable[[Work], Awaitable[object]]
    about_domain: bool
    arguments: Mapping[str, Argument] = {}
    done: Done | None = None
    needs_host: bool = True
    alone: bool = False
    inactive: Callable[[Work], Awaitable[object]] | None = None

    @property
    def changes(self) -> bool:
        """Whether it is written down."""
        return self.done is not None or self.alone
