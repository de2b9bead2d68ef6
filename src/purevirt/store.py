"""The Xen Store, from Python: read, write, list, permissions, transactions, watches.

    from purevirt import store

    with store.open() as xs:
        print(xs.read("/local/domain/0/name"))
        print(xs.read_many(f"/local/domain/{domid}/name" for domid in xs.list("/local/domain")))
        xs.transact(lambda tx: tx.write("/tool/counter", str(int(tx.get("/tool/counter") or "0") + 1)))
        with xs.watch("@introduceDomain", "@releaseDomain") as watch:
            for notice in watch:
                print(notice)

`open_async` is the same for asyncio. The store is found as the C library finds it: $XENSTORED_PATH,
$XENSTORED_RUNDIR/socket, /var/run/xenstored/socket, then the kernel's /dev/xen/xenbus. With `read_only=True`
the read-only socket is preferred, and changing calls raise `errors.ReadOnly` before anything is sent.

Values are text (UTF-8, with surrogateescape, so that no byte is lost) or, by `read_bytes` and `write`, bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from purevirt.api._sync.store import (
    Store,
    StoreTransaction,
    StoreWatch,
    open,  # noqa: A004 - the door's name is purevirt.store.open
)
from purevirt.channels.xenstore.client import Feature, Permission
from purevirt.channels.xenstore.watches import Event, Lost, Notice, Reconnected

if TYPE_CHECKING:
    from purevirt.api._async.store import AsyncStore, AsyncStoreTransaction, AsyncStoreWatch, open_async

__all__ = [
    "AsyncStore",
    "AsyncStoreTransaction",
    "AsyncStoreWatch",
    "Event",
    "Feature",
    "Lost",
    "Notice",
    "Permission",
    "Reconnected",
    "Store",
    "StoreTransaction",
    "StoreWatch",
    "open",
    "open_async",
]

_ASYNC = ("AsyncStore", "AsyncStoreTransaction", "AsyncStoreWatch", "open_async")


def __getattr__(name: str) -> object:
    # asyncio is a heavy import, and the blocking half does without it.
    if name not in _ASYNC:
        raise AttributeError(f"module 'purevirt.store' has no attribute {name!r}")
    from purevirt.api._async import store

    return getattr(store, name)
