"""The Xen Store's client: every operation of the protocol as a method, over any transport.

`StoreClient` does what concerns the connection and the domains; nodes are in `nodes`, watches (on a
connection of their own) in `watches`.

Transactions. A transaction that lost to another writer answers EAGAIN when it ends, and the whole of it must
be run again: `transaction(body)` does, with a bound. The first retries are immediate; later ones wait, a
little longer each time, because oxenstored slows down clients that conflict without end. `begin()` is the
same by hand.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from purevirt._typing import TYPE_CHECKING, Self, TypeVar
from purevirt.channels.xenstore.nodes import Nodes
from purevirt.channels.xenstore.transport import CHANNEL, WHAT, Connector, Request, Transport
from purevirt.errors import (
    ChannelUnavailable,
    Closed,
    RemoteProtocolError,
    TransactionConflict,
    Unsupported,
    XenError,
)
from purevirt.wire.xenstore import messages
from purevirt.wire.xenstore.errnos import exception_of
from purevirt.wire.xenstore.packets import Feature, Op, Packet
from purevirt.wire.xenstore.permissions import Permission

if TYPE_CHECKING:
    from purevirt.channels.xenstore.lanes import Lanes
    from purevirt.channels.xenstore.watches import Watcher

__all__ = [
    "MANY",
    "OPEN_TIMEOUT",
    "RETRIES",
    "TIMEOUT",
    "Feature",
    "Permission",
    "StoreClient",
    "Transaction",
]

T = TypeVar("T")

TIMEOUT = 10.0
"""The default deadline of a request, in seconds."""

OPEN_TIMEOUT = 5.0
"""The default deadline for the connection itself, in seconds."""

MANY = 24
"""A batch of so many reads is spread over several connections."""

RETRIES = 16
"""How often a conflicting transaction is run again by default."""

_ABORT_TIMEOUT = 2.0
_PATIENCE = 3  # so many retries at once, before waiting begins
_LONGEST_PAUSE = 0.1


class Transaction(Nodes):
    """A transaction's view of the store. Others see what it writes when it is committed: all, or nothing."""

    __slots__ = ("_ended",)

    def __init__(self, transport: Transport, *, read_only: bool, timeout: float | None, tx_id: int) -> None:
        super().__init__(transport, read_only=read_only, timeout=timeout, tx_id=tx_id)
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether it was committed or aborted."""
        return self._ended

    @property
    def tx_id(self) -> int:
        """Its number, as the server gave it."""
        return self._tx_id

    async def commit(self, *, timeout: float | None = None) -> None:
        """Make its changes real. TransactionConflict: another writer was first, and none of them happened."""
        await self._end(True, timeout)

    async def abort(self, *, timeout: float | None = None) -> None:
        """Forget its changes. Does nothing if it has ended."""
        if not self._ended:
            await self._end(False, timeout)

    async def _end(self, commit: bool, timeout: float | None) -> None:
        operation = "commit" if commit else "abort"
        payload = messages.transaction_end_request(commit)
        try:
            messages.expect_ok(await self._ask(Op.TRANSACTION_END, payload, operation, None, timeout))
        except TransactionConflict as error:
            raise TransactionConflict(
                "the transaction lost to another writer",
                operation="commit",
                channel=CHANNEL,
                errno=error.errno,
                detail=error.detail,
            ) from None
        finally:
            self._ended = True
            self._transport = _Ended()


class _Ended:
    """The transport of a transaction that has ended: nothing gets through."""

    closed = True
    on_event: Callable[[bytes], None] | None = None

    async def exchange(self, requests: Sequence[Request], timeout: float | None) -> list[Packet]:
        raise Closed("the transaction has ended", channel=CHANNEL)

    async def wait_events(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        raise Closed("the transaction has ended", channel=CHANNEL)

    async def poll_events(self) -> None:
        raise Closed("the transaction has ended", channel=CHANNEL)

    async def pause(self, seconds: float) -> None:
        return

    async def close(self) -> None:
        return


class StoreClient(Nodes):
    """A client of the Xen Store over one transport.

    `timeout`: the deadline in seconds of each call that names none (None: no deadline). `read_only`:
    operations that change anything raise ReadOnly before a byte is sent; the server may refuse more. Every
    method may raise Timeout, Closed, RemoteProtocolError, LocalProtocolError (nothing was sent), and Denied
    where rights are missing.
    """

    __slots__ = ("_connector", "_lanes")

    def __init__(
        self,
        transport: Transport,
        *,
        read_only: bool = False,
        timeout: float | None = TIMEOUT,
        connector: Connector | None = None,
    ) -> None:
        super().__init__(transport, read_only=read_only, timeout=timeout, tx_id=0)
        self._connector = connector
        self._lanes: Lanes | None = None

    @classmethod
    async def open(
        cls,
        connector: Connector,
        *,
        read_only: bool = False,
        timeout: float | None = TIMEOUT,
        open_timeout: float | None = OPEN_TIMEOUT,
    ) -> Self:
        """Connect, and remember how: `open_watcher` makes further connections to the same place.

        ConnectError says what is missing or not allowed; Timeout that nobody took the connection.
        """
        transport = await connector.connect(open_timeout)
        return cls(transport, read_only=read_only, timeout=timeout, connector=connector)

    async def open_watcher(self, *, queue: int | None = None, timeout: float | None = None) -> Watcher:
        """Watches, on a connection of their own to the same place. The caller closes it."""
        if self._connector is None:
            raise ChannelUnavailable(
                f"this client of {WHAT} was given a connection, not a way to make another for watches",
                operation="watch",
                channel=CHANNEL,
            )
        from purevirt.channels.xenstore.watches import QUEUE, Watcher  # most clients never watch

        limit = self._timeout if timeout is None else timeout
        return await Watcher.open(self._connector, queue=QUEUE if queue is None else queue, timeout=limit)

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self._transport.closed

    async def close(self) -> None:
        """Close the connection; the server forgets its transactions."""
        await self._transport.close()
        if self._lanes is not None:
            self._lanes.end()

    async def widen(self) -> None:
        """Get ready for a large batch of reads (see `lanes`), which else would do so by itself."""
        if self._lanes is None and self._connector is not None:
            from purevirt.channels.xenstore.lanes import Lanes

            self._lanes = Lanes(self._transport, self._connector)
        if self._lanes is not None:
            await self._lanes.open(self._timeout)

    def narrow(self) -> None:
        """No more large batches for now: close what `widen` opened, unless another thread or task uses it."""
        if self._lanes is not None:
            self._lanes.close()

    async def _look(self, requests: Sequence[Request], timeout: float | None) -> list[Packet]:
        if len(requests) < MANY:
            return await self._transport.exchange(requests, timeout)
        if self._lanes is None:
            await self.widen()
        lanes = self._transport if self._lanes is None else self._lanes
        return await lanes.exchange(requests, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- transactions ---------------------------------------------------------------------------------------

    async def begin(self, *, timeout: float | None = None) -> Transaction:
        """Begin a transaction, to be ended with its `commit` or `abort`. They cannot be nested."""
        tx_id = messages.parse_number(
            await self._ask(Op.TRANSACTION_START, messages.NOTHING, "begin", None, timeout)
        )
        if tx_id == 0:
            raise RemoteProtocolError(f"{WHAT} began a transaction with the number 0", channel=CHANNEL)
        return Transaction(self._transport, read_only=self._read_only, timeout=self._timeout, tx_id=tx_id)

    async def transaction(
        self,
        body: Callable[[Transaction], Awaitable[T]],
        *,
        retries: int = RETRIES,
        timeout: float | None = None,
    ) -> T:
        """Run `body` in a transaction and commit it; run it again, at most `retries` times, if it lost.

        `body` must do nothing but work on the view that it gets, for it may run several times; what it
        returned at last is returned. If it raises, the transaction is aborted. `timeout` is for all of it.
        TransactionConflict: it lost every time.
        """
        deadline = self._deadline(timeout)
        for attempt in range(retries + 1):
            if attempt > _PATIENCE:
                pause = min(0.001 * 2 ** (attempt - _PATIENCE), _LONGEST_PAUSE)
                left = self._left(deadline)
                await self._transport.pause(pause if left is None else min(pause, left))
            view = await self.begin(timeout=self._left(deadline))
            try:
                result = await body(view)
                if not view.ended:
                    await view.commit(timeout=self._left(deadline))
                return result
            except TransactionConflict:
                await _abort(view)
            except BaseException:
                await _abort(view)
                raise
        raise TransactionConflict(
            f"the transaction lost to another writer {retries + 1} times",
            operation="transaction",
            channel=CHANNEL,
        )

    # --- domains --------------------------------------------------------------------------------------------

    async def introduce(self, domid: int, gfn: int, evtchn: int, *, timeout: float | None = None) -> None:
        """Let the daemon serve a domain: `gfn` is its ring page, `evtchn` its event channel's port."""
        await self._change(
            Op.INTRODUCE,
            messages.introduce_request(domid, gfn, evtchn),
            "introduce",
            timeout,
            f"domain {domid}",
        )

    async def release(self, domid: int, *, timeout: float | None = None) -> None:
        """Let the daemon stop serving a domain."""
        await self._change(Op.RELEASE, messages.domid_request(domid), "release", timeout, f"domain {domid}")

    async def resume(self, domid: int, *, timeout: float | None = None) -> None:
        """Let @releaseDomain be told again when a domain, shut down once, shuts down anew."""
        await self._change(Op.RESUME, messages.domid_request(domid), "resume", timeout, f"domain {domid}")

    async def set_target(self, domid: int, target: int, *, timeout: float | None = None) -> None:
        """Give `domid` (a stub domain) the rights of `target`."""
        payload = messages.set_target_request(domid, target)
        await self._change(Op.SET_TARGET, payload, "set_target", timeout, f"domain {domid}")

    async def is_domain_introduced(self, domid: int, *, timeout: float | None = None) -> bool:
        """Whether the daemon serves the domain."""
        payload = messages.domid_request(domid)
        return messages.parse_bool(
            await self._ask(Op.IS_DOMAIN_INTRODUCED, payload, "is_domain_introduced", None, timeout)
        )

    async def get_domain_path(self, domid: int, *, timeout: float | None = None) -> str:
        """The domain's home in the store, "/local/domain/N", whether or not there is such a domain."""
        payload = messages.domid_request(domid)
        return messages.parse_string(
            await self._ask(Op.GET_DOMAIN_PATH, payload, "get_domain_path", None, timeout)
        )

    # --- the daemon -----------------------------------------------------------------------------------------

    async def control(self, command: str, *arguments: str, timeout: float | None = None) -> str:
        """A command to the daemon itself; each daemon has its own (the C daemon lists them at "help")."""
        self._changing("control")
        payload = messages.control_request(command, *arguments)
        return messages.parse_string(await self._ask(Op.CONTROL, payload, "control", None, timeout))

    async def reset_watches(self, *, timeout: float | None = None) -> None:
        """Drop this connection's watches and transactions."""
        payload = messages.NOTHING
        messages.expect_ok(await self._ask(Op.RESET_WATCHES, payload, "reset_watches", None, timeout))

    async def get_feature(self, domid: int | None = None, *, timeout: float | None = None) -> Feature:
        """What the daemon supports, or offers to a domain. Xen 4.21; Unsupported before."""
        payload = messages.get_feature_request(domid)
        return Feature(
            messages.parse_number(await self._new(Op.GET_FEATURE, payload, "get_feature", timeout))
        )

    async def set_feature(self, domid: int, features: Feature | int, *, timeout: float | None = None) -> None:
        """What the daemon offers to a domain; before the domain is introduced. Xen 4.21."""
        self._changing("set_feature")
        payload = messages.set_feature_request(domid, features)
        messages.expect_ok(await self._new(Op.SET_FEATURE, payload, "set_feature", timeout))

    async def get_quota(self, quota: str, domid: int | None = None, *, timeout: float | None = None) -> int:
        """A quota of a domain, or of domains to come; 0 is no limit. Xen 4.21."""
        payload = messages.get_quota_request(quota, domid)
        return messages.parse_number(await self._new(Op.GET_QUOTA, payload, "get_quota", timeout))

    async def quota_names(self, *, timeout: float | None = None) -> list[str]:
        """The names of the daemon's quotas. Xen 4.21."""
        reply = await self._new(Op.GET_QUOTA, messages.get_quota_request(), "quota_names", timeout)
        return messages.parse_string(reply).split()

    async def set_quota(
        self, quota: str, value: int, domid: int | None = None, *, timeout: float | None = None
    ) -> None:
        """Set a quota of a domain, or of domains to come; 0 is no limit. Xen 4.21."""
        self._changing("set_quota")
        payload = messages.set_quota_request(quota, value, domid)
        messages.expect_ok(await self._new(Op.SET_QUOTA, payload, "set_quota", timeout))

    # --- how ------------------------------------------------------------------------------------------------

    async def _change(
        self, op: Op, payload: bytes, operation: str, timeout: float | None, subject: str
    ) -> None:
        self._changing(operation)
        try:
            messages.expect_ok(await self._ask(op, payload, operation, None, timeout))
        except XenError as error:
            if error.errno is not None:
                error.domain = subject.removeprefix("domain ")
            raise

    async def _new(self, op: Op, payload: bytes, operation: str, timeout: float | None) -> bytes:
        """An operation of Xen 4.21, which older daemons call unknown in several ways.

        Two of these requests have no payload, and oxenstored (all versions until 2026) does not look at such
        a packet before more bytes arrive: it would never answer. So a harmless request goes with it in the
        same exchange.
        """
        requests = [(int(op), 0, payload)]
        if not payload:
            requests.append((int(Op.GET_DOMAIN_PATH), 0, messages.domid_request(0)))
        replies = await self._transport.exchange(requests, self._timeout if timeout is None else timeout)
        reply = replies[0]
        if reply.op != Op.ERROR:
            return reply.payload
        error = exception_of(reply.payload, operation=operation)
        if error.errno_name == "EINVAL" and not payload:
            # oxenstored and old C daemons say EINVAL for an operation that they do not know; there is nothing
            # else in these requests that could be wrong.
            raise Unsupported(
                f"{operation} is unknown to this Xen Store daemon (it came with Xen 4.21)",
                operation=operation,
                channel=CHANNEL,
                errno=error.errno,
            ) from error
        raise error


async def _abort(view: Transaction) -> None:
    """Abort, without hiding the error that is the reason."""
    try:
        await view.abort(timeout=_ABORT_TIMEOUT)
    except XenError:
        pass  # the server forgets it with the connection
