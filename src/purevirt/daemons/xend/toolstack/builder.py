"""What the supervisor asks of whoever makes domains of descriptions, and what a builder tells meanwhile.

Two implementations are there: `xl`, which has that program build on a real host, and `simulated`, which builds domains
of a simulated host by hypercalls. A builder of our own can take `xl`'s place later: nothing here says how it is done.
What concerns a domain that exists already is `base.Toolstack`'s, whoever built it.

A domain that was made is complete and has never run: paused, its devices set up, its nodes in the store. The supervisor
holds the lock of the domain's UUID, has checked that name and UUID are free, and lets the domain run. Whatever goes
wrong, and when the task is cancelled, nothing is left behind: no domain, no node, no process, no loop device.

What a builder raises is of `purevirt.errors`: InvalidConfig (problems name the field: `check` finds them, before
anything is touched), NoMemory, Timeout, Unsupported, or OperationError whose message names the device, file or state
that failed and whose `detail` is what the tool said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from purevirt.model import DomainInfo
from purevirt.model.description import DomainDescription

__all__ = ["Builder", "Dump", "Migration", "Report", "Saved"]

Report = Callable[[str | None, float | None], None]
"""Told of each step: what is done now, in a few words (None: the same as before), and how much of the whole is done,
from 0 to 1 (None: nobody knows)."""


class Dump(NamedTuple):
    """How a core is to be dumped: `live` lets the domain run meanwhile, `crash` ends it afterwards."""

    live: bool = False
    crash: bool = False


class Migration(NamedTuple):
    """Where a domain is to go: a host that `ssh` knows, by the command that reaches it (None: ssh), and whether
    the domain runs while its memory is copied."""

    host: str
    command: tuple[str, ...] | None = None
    live: bool = True


class Saved(NamedTuple):
    """What a saved state is of, as its file says: who can be restored from it."""

    description: DomainDescription
    xen_version: str | None


class Builder(Protocol):
    """Makes domains, and takes them to where they can be made again."""

    async def check(self, description: DomainDescription) -> None:
        """Refuse what this host cannot make: InvalidConfig with a problem per field, NoMemory. Touches nothing."""

    async def create(self, description: DomainDescription, report: Report) -> int:
        """Build it; the new domain's id."""

    async def save(self, domain: DomainInfo, path: str, report: Report) -> None:
        """Write its state to a new file, whole or not at all; the domain is gone then. If it cannot be saved it goes
        on running."""

    async def inspect(self, path: str) -> Saved:
        """What a file of `save` is of. ConfigError: it is none."""

    async def restore(self, path: str, description: DomainDescription | None, report: Report) -> int:
        """Make it again of its state, with the description in the file or another; the new domain's id."""

    async def dump(self, domain: DomainInfo, path: str, how: Dump, report: Report) -> None:
        """Write its memory to a new file, for debuggers."""

    async def migrate(self, domain: DomainInfo, where: Migration, report: Report) -> None:
        """Let it go on elsewhere; it is gone here then. If it cannot go it goes on running here."""

    async def abandon(self, handle: bytes) -> None:
        """End what a daemon that was killed had begun to build, or to take away, of the domain with that UUID: no
        process works on it any more when this returns. What stands in hypervisor and store is the supervisor's."""
