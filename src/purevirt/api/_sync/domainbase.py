# Generated from _async/domainbase.py by tools/generate_sync.py: never edit this file, run `make generate`.
"""Which domain is meant: what every half of a domain's class stands on."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.model import DomainRef

if TYPE_CHECKING:
    from uuid import UUID

    from purevirt.api._sync.connection import Connection
    from purevirt.drivers.base import Driver
__all__ = ["DomainBase"]


class DomainBase:
    """A domain's identity, and its connection."""

    def __init__(self, connection: Connection, ref: DomainRef) -> None:
        self._connection = connection
        self._ref = ref

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self._ref.name or '(no name)'} {self._ref.uuid} id={self._ref.domid}>"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DomainBase):
            return NotImplemented
        return self._ref.handle == other._ref.handle and self._connection is other._connection

    def __hash__(self) -> int:
        return hash(self._ref.handle)

    @property
    def connection(self) -> Connection:
        """The connection it was found on."""
        return self._connection

    @property
    def uuid(self) -> UUID:
        """Its UUID: Xen's handle (`virDomainGetUUID`). Domain 0's is all zeros."""
        return self._ref.uuid

    @property
    def _driver(self) -> Driver:
        return self._connection._driver
