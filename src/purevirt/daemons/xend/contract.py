"""What the faces need of the supervisor, and no more: one method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from purevirt.model import DomainRef
from purevirt.model.access import Caller

__all__ = ["Calls"]


class Calls(Protocol):
    """Carries out an operation for a caller, or refuses it."""

    async def call(
        self,
        caller: Caller,
        operation: str,
        domain: DomainRef | None,
        arguments: Mapping[str, object],
        timeout: float | None,
    ) -> object:
        """The operation's result, a value of the model. Raises errors of `purevirt.errors` only.

        `timeout` is in seconds; None: the operation's own.
        """
        ...
