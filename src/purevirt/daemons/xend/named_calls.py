"""Calls whose lines in the log say what they are about: between the faces and the supervisor.

`logs.about` does it, for the operation, the domain as the caller named it, and the caller's user id.
"""

from __future__ import annotations

from collections.abc import Mapping

from purevirt.daemons.xend.logs import about
from purevirt.daemons.xend.supervisor import Supervisor
from purevirt.model import Caller, DomainRef

__all__ = ["NamedCalls"]


class NamedCalls:
    """See `Supervisor.call`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def call(
        self,
        caller: Caller,
        operation: str,
        domain: DomainRef | None,
        arguments: Mapping[str, object],
        timeout: float | None,
        *,
        detached: bool = True,
    ) -> object:
        with about(operation=operation[:40], domain=domain and _shown(domain), user=caller.uid):
            return await self._supervisor.call(
                caller, operation, domain, arguments, timeout, detached=detached
            )


def _shown(domain: DomainRef) -> str:
    if domain.name is not None:
        return domain.name[:80]
    return str(domain.uuid) if domain.domid is None else str(domain.domid)
