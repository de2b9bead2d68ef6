"""The Xen Store as a user meets it: text in and out, transactions, watches. `purevirt.store` is the public
door.

Values are text, as nearly all are: UTF-8, and bytes that are no UTF-8 come out as lone surrogates
("surrogateescape") and go in again as the same bytes, so nothing is lost. `read_bytes` and writing `bytes`
are there for the rest. Paths are text; names of nodes can only be ASCII.

Every method may raise, from `purevirt.errors`: Timeout, Closed, Denied, RemoteProtocolError, and
LocalProtocolError for a path or value that the protocol cannot carry (nothing was sent). `timeout` is in
seconds; None means the store's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from purevirt._typing import Self, TypeVar
from purevirt.channels.xenstore.aio import Body, Connector, as_body
from purevirt.channels.xenstore.client import (
    OPEN_TIMEOUT,
    RETRIES,
    TIMEOUT,
    Feature,
    Permission,
    StoreClient,
    Transaction,
)
from purevirt.channels.xenstore.locate import locate
from purevirt.channels.xenstore.nodes import Nodes
from purevirt.channels.xenstore.watches import QUEUE, TOKEN, Notice, Watcher
from purevirt.errors import Closed, NoSuchNode

__all__ = [
    "AsyncStore",
    "AsyncStoreNodes",
    "AsyncStoreTransaction",
    "AsyncStoreTransactionScope",
    "AsyncStoreWatch",
    "open_async",
]

T = TypeVar("T")

Names = list[str]
Texts = list[str | None]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


async def open_async(
    path: str | None = None,
    *,
    root: str | None = None,
    read_only: bool = False,
    timeout: float | None = TIMEOUT,
    open_timeout: float | None = OPEN_TIMEOUT,
) -> AsyncStore:
    """Open the Xen Store of this host, or of a simulated one.

    `path`: a socket or device; by default $XENSTORED_PATH, $XENSTORED_RUNDIR/socket, the usual sockets, then
    the kernel's device. `root`: the directory of a simulated host. `read_only`: prefers the read-only socket,
    and refuses changes (ReadOnly) before anything is sent. `timeout`: the deadline of each call that names
    none, in seconds.

    ConnectError says what is missing or not allowed; Timeout that nobody took the connection in
    `open_timeout`.
    """
    found = locate(path, root=root, read_only=read_only)
    client = await StoreClient.open(
        Connector(found), read_only=read_only, timeout=timeout, open_timeout=open_timeout
    )
    return AsyncStore(client)


class AsyncStoreNodes:
    """Reading and writing nodes: what a store and a transaction have in common."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    @property
    def read_only(self) -> bool:
        """Whether changes are refused before anything is sent."""
        return self._nodes.read_only

    async def read(self, path: str, *, timeout: float | None = None) -> str:
        """A node's value. NoSuchNode if there is none."""
        return _text(await self._nodes.read(path, timeout=timeout))

    async def read_bytes(self, path: str, *, timeout: float | None = None) -> bytes:
        """A node's value as it is. NoSuchNode if there is none."""
        return await self._nodes.read(path, timeout=timeout)

    async def get(self, path: str, default: str | None = None, *, timeout: float | None = None) -> str | None:
        """A node's value, or `default` if there is none."""
        try:
            return _text(await self._nodes.read(path, timeout=timeout))
        except NoSuchNode:
            return default

    async def read_many(self, paths: Iterable[str], *, timeout: float | None = None) -> Texts:
        """Many nodes' values for the price of little more than one; None for each that does not exist."""
        values = await self._nodes.read_many(paths, timeout=timeout)
        return [None if value is None else _text(value) for value in values]

    async def exists(self, path: str, *, timeout: float | None = None) -> bool:
        """Whether there is such a node."""
        return await self._nodes.exists(path, timeout=timeout)

    async def write(self, path: str, value: str | bytes, *, timeout: float | None = None) -> None:
        """Set a node's value, creating it and its parents as needed."""
        await self._nodes.write(path, value, timeout=timeout)

    async def write_many(self, values: Mapping[str, str | bytes], *, timeout: float | None = None) -> None:
        """Set many nodes' values in one exchange. Only in a transaction do they take effect together."""
        await self._nodes.write_many(values.items(), timeout=timeout)

    async def mkdir(self, path: str, *, timeout: float | None = None) -> None:
        """Make sure that a node exists, with its parents; what exists keeps its value."""
        await self._nodes.mkdir(path, timeout=timeout)

    async def remove(self, path: str, *, timeout: float | None = None) -> None:
        """Remove a node and all below it. It need not exist, but (NoSuchNode) its parent must."""
        await self._nodes.rm(path, timeout=timeout)

    async def list(self, path: str, *, timeout: float | None = None) -> Names:
        """The names of a node's children. NoSuchNode if there is no such node."""
        return await self._nodes.directory(path, timeout=timeout)

    async def tree(self, path: str = "/", *, timeout: float | None = None) -> dict[str, str]:
        """A node and all below it, path → value, parents first; what vanishes meanwhile or is denied is left
        out.

        It takes an exchange per level, not per node, and is a snapshot only in a transaction.
        """
        found = await self._nodes.tree(path, timeout=timeout)
        return {path: _text(value) for path, value in found.items()}

    async def permissions(self, path: str, *, timeout: float | None = None) -> tuple[Permission, ...]:
        """A node's permissions: its owner first, whose letter is what everyone else may do."""
        return await self._nodes.get_perms(path, timeout=timeout)

    async def set_permissions(
        self, path: str, permissions: Iterable[Permission | str], *, timeout: float | None = None
    ) -> None:
        """Replace a node's permissions, as in ["n0", "r5"]: owner 0, others nothing, domain 5 reads."""
        await self._nodes.set_perms(path, permissions, timeout=timeout)


class AsyncStoreTransaction(AsyncStoreNodes):
    """A transaction's view: what it writes, others see at once when it is committed, or never."""

    def __init__(self, view: Transaction) -> None:
        super().__init__(view)
        self._view = view

    async def commit(self, *, timeout: float | None = None) -> None:
        """Make its changes real. TransactionConflict: another writer was first, and none of them happened."""
        await self._view.commit(timeout=timeout)

    async def abort(self, *, timeout: float | None = None) -> None:
        """Forget its changes."""
        await self._view.abort(timeout=timeout)


class AsyncStoreTransactionScope:
    """`async with store.transaction() as tx`: commits at the end, aborts if an exception leaves."""

    def __init__(self, client: StoreClient, timeout: float | None) -> None:
        self._client = client
        self._timeout = timeout
        self._view: Transaction | None = None

    async def __aenter__(self) -> AsyncStoreTransaction:
        self._view = await self._client.begin(timeout=self._timeout)
        return AsyncStoreTransaction(self._view)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        view = self._view
        if view is None or view.ended:
            return
        if kind is None:
            await view.commit(timeout=self._timeout)
        else:
            await view.abort(timeout=self._timeout)


class AsyncStoreWatch:
    """What happens at watched paths, on a connection of its own: `async for notice in watch`.

    Notices are `Event` (path, token), and two that mean "read everything again": `Lost` (events came faster
    than they were taken) and `Reconnected` (the daemon was away, and all watches are set again). Each new
    watch fires once at once. Iteration ends when the watch is closed; a connection that cannot be made again
    raises ConnectError.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    async def add(
        self, path: str, token: str = TOKEN, *, depth: int | None = None, timeout: float | None = None
    ) -> None:
        """Watch one more path, or "@introduceDomain", "@releaseDomain". `depth` needs Xen 4.22."""
        await self._watcher.add(path, token, depth=depth, timeout=timeout)

    async def remove(self, path: str, token: str = TOKEN, *, timeout: float | None = None) -> None:
        """Stop watching a path. Events that are on their way may still come."""
        await self._watcher.remove(path, token, timeout=timeout)

    async def next(self, timeout: float | None = None) -> Notice | None:
        """The next notice, or None if none comes within `timeout` seconds (None: wait for ever)."""
        return await self._watcher.next(timeout)

    async def drain(self) -> list[Notice]:
        """The notices that have arrived, without waiting."""
        return await self._watcher.drain()

    async def close(self) -> None:
        """Stop watching."""
        await self._watcher.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Notice:
        try:
            notice = await self._watcher.next(None)
        except Closed:
            if self._watcher.closed:
                raise StopAsyncIteration from None
            raise
        if notice is None:
            raise StopAsyncIteration
        return notice

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._watcher.close()


class AsyncStore(AsyncStoreNodes):
    """A Xen Store. Made by `open_async`, or found at a connection's `store`."""

    def __init__(self, client: StoreClient) -> None:
        super().__init__(client)
        self._client = client

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self._client.closed

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    # --- transactions and watches

    async def transact(
        self,
        function: Body[AsyncStoreTransaction, T],
        *,
        retries: int = RETRIES,
        timeout: float | None = None,
    ) -> T:
        """Run `function(tx)` in a transaction; again, at most `retries` times, when another writer was first.

        It must do nothing but work on `tx`, for it may run several times. Returns what it returned at last.
        TransactionConflict: it lost every time.
        """
        body = as_body(function, AsyncStoreTransaction)
        return await self._client.transaction(body, retries=retries, timeout=timeout)

    def transaction(self, *, timeout: float | None = None) -> AsyncStoreTransactionScope:
        """`async with store.transaction() as tx`: once, without retries; TransactionConflict if it lost."""
        return AsyncStoreTransactionScope(self._client, timeout)

    async def watch(
        self, *paths: str, token: str = TOKEN, queue: int = QUEUE, timeout: float | None = None
    ) -> AsyncStoreWatch:
        """Watch paths, on a further connection; `queue` is how many events may wait to be taken. Close it."""
        watcher = await self._client.open_watcher(queue=queue, timeout=timeout)
        try:
            await watcher.add_many(paths, token)
        except BaseException:
            await watcher.close()
            raise
        return AsyncStoreWatch(watcher)

    async def reset_watches(self, *, timeout: float | None = None) -> None:
        """Let the daemon forget this connection's transactions (and watches, of which it has none)."""
        await self._client.reset_watches(timeout=timeout)

    # --- domains, and the daemon itself

    async def introduce(self, domid: int, gfn: int, evtchn: int, *, timeout: float | None = None) -> None:
        """Let the daemon serve a domain: `gfn` is its ring page, `evtchn` its event channel's port."""
        await self._client.introduce(domid, gfn, evtchn, timeout=timeout)

    async def release(self, domid: int, *, timeout: float | None = None) -> None:
        """Let the daemon stop serving a domain."""
        await self._client.release(domid, timeout=timeout)

    async def resume(self, domid: int, *, timeout: float | None = None) -> None:
        """Let @releaseDomain be told again when a domain, shut down once, shuts down anew."""
        await self._client.resume(domid, timeout=timeout)

    async def set_target(self, domid: int, target: int, *, timeout: float | None = None) -> None:
        """Give `domid` (a stub domain) the rights of `target`."""
        await self._client.set_target(domid, target, timeout=timeout)

    async def is_introduced(self, domid: int, *, timeout: float | None = None) -> bool:
        """Whether the daemon serves the domain."""
        return await self._client.is_domain_introduced(domid, timeout=timeout)

    async def domain_path(self, domid: int, *, timeout: float | None = None) -> str:
        """The domain's home, "/local/domain/N", whether or not there is such a domain."""
        return await self._client.get_domain_path(domid, timeout=timeout)

    async def control(self, command: str, *arguments: str, timeout: float | None = None) -> str:
        """A command to the daemon itself; each daemon has its own."""
        return await self._client.control(command, *arguments, timeout=timeout)

    async def features(self, domid: int | None = None, *, timeout: float | None = None) -> Feature:
        """What the daemon supports, or offers to a domain. Xen 4.21; Unsupported before."""
        return await self._client.get_feature(domid, timeout=timeout)

    async def set_features(self, domid: int, features: Feature, *, timeout: float | None = None) -> None:
        """What the daemon offers to a domain that is not introduced yet. Xen 4.21."""
        await self._client.set_feature(domid, features, timeout=timeout)

    async def quota_names(self, *, timeout: float | None = None) -> Names:
        """The names of the daemon's quotas. Xen 4.21."""
        return await self._client.quota_names(timeout=timeout)

    async def quota(self, name: str, domid: int | None = None, *, timeout: float | None = None) -> int:
        """A quota of a domain, or of domains to come; 0 is no limit. Xen 4.21."""
        return await self._client.get_quota(name, domid, timeout=timeout)

    async def set_quota(
        self, name: str, value: int, domid: int | None = None, *, timeout: float | None = None
    ) -> None:
        """Set a quota of a domain, or of domains to come; 0 is no limit. Xen 4.21."""
        await self._client.set_quota(name, value, domid, timeout=timeout)
