"""Domains as the server knows them, and their quotas.

A `Domain` is there once somebody spoke of it: INTRODUCE, SET_QUOTA or SET_FEATURE (a toolstack sets both
before it introduces). Quotas hold for unprivileged domains only; 0 means unlimited. The defaults are C
xenstored's.

Source: docs/misc/xenstore.txt of Xen 4.22 (names of quotas, FEATURE and QUOTA); tools/xenstored/domain.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from purevirt.wire.xenstore import Feature

if TYPE_CHECKING:
    from purevirt.daemons.xenstored.connection import Connection

__all__ = ["DEFAULT_QUOTAS", "DOMID_MAX", "FEATURES", "Domain"]

DOMID_MAX = 0x7FEF  # the last id that is a domain's (DOMID_FIRST_RESERVED - 1)

FEATURES = Feature.RECONNECTION | Feature.ERROR_FIELD | Feature.WATCH_DEPTH

DEFAULT_QUOTAS: dict[str, int] = {
    "nodes": 1000,  # owned by the domain
    "watches": 128,
    "transactions": 10,  # open at once
    "node-size": 2048,  # bytes of value, permissions (8 each) and names of children
    "permissions": 5,  # entries per node
    "transaction-nodes": 1024,  # touched in one transaction
    "path-length": 2048,  # bytes below /local/domain/N/
}


class Domain:
    """One domain. `limits` are the quotas set for it alone; `target` is the domid of SET_TARGET."""

    __slots__ = (
        "connection",
        "defaults",
        "domid",
        "evtchn",
        "features",
        "gfn",
        "introduced",
        "limits",
        "shutdown",
        "target",
        "transactions",
        "watches",
    )

    def __init__(self, domid: int, defaults: dict[str, int]) -> None:
        self.domid = domid
        self.defaults = defaults
        self.limits: dict[str, int] = {}
        self.features = int(FEATURES)
        self.introduced = False
        self.shutdown = False
        self.gfn = 0
        self.evtchn = 0
        self.target: int | None = None
        self.watches = 0
        self.transactions = 0
        self.connection: Connection | None = None

    def limit(self, name: str) -> int:
        """A quota; 0 means unlimited."""
        return self.limits.get(name, self.defaults[name])

    def exceeds(self, name: str, count: int) -> bool:
        """Whether `count` is more than this domain may have."""
        if not self.domid:
            return False
        limit = self.limit(name)
        return 0 < limit < count
