"""What every part of the driver stands on: the channels of one host, and how the domain that is meant is found.

The parts are `host`, `domains`, `devicereads`; `driver` puts them together. Each operation asks `routes` which
channel's answer counts, and takes that one.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Awaitable, Callable

from purevirt._typing import TYPE_CHECKING, Any, TypeVar
from purevirt.channels.files import HostFiles
from purevirt.channels.hypercall.reads import HypercallReads
from purevirt.channels.xenstore.client import StoreClient
from purevirt.drivers.xen import routes, storeview
from purevirt.drivers.xen.names import NameCache
from purevirt.errors import ChannelUnavailable, Closed, Denied, DomainAmbiguous, NoSuchDomain
from purevirt.model import Access, Channel, DomainRef
from purevirt.wire.hypercall.messages import DomainInfo as WireInfo

if TYPE_CHECKING:
    from purevirt.drivers.xen.daemon import Daemon
    from purevirt.drivers.xen.devices import DeviceReader
    from purevirt.model import DomainInfo, Route

__all__ = ["Connected", "served", "shown"]

T = TypeVar("T")
Method = TypeVar("Method", bound=Callable[..., Any])


class Connected:
    """The channels that `open` found, and the identity of domains: (domid, handle)."""

    def __init__(
        self,
        access: Access,
        hypercalls: HypercallReads | None,
        store: StoreClient | None,
        files: HostFiles,
        daemon: Daemon | None = None,
        absence: str | None = None,
        *,
        make_daemon: Callable[[], Daemon] | None = None,
        mode: str = "blocking",
    ) -> None:
        """`absence` says why there is no store, or else why there is no daemon. `make_daemon`: instead of `daemon`,
        where it may never be needed. `mode`: which transports it opens later, "blocking" or "aio"."""
        self.access = access
        self._mode = mode
        self._hypercalls = hypercalls
        self._store = store
        self._files = files
        self._daemon = daemon
        self._make_daemon = make_daemon
        self._making = allocate_lock()  # two threads make one
        self._absence = absence
        self._device_reader: DeviceReader | None = None
        self._names = None if store is None else NameCache(store, store.open_watcher)

    async def close(self) -> None:
        """Close every channel."""
        if self._names is not None:
            await self._names.close()
        if self._store is not None:
            await self._store.close()
        if self._hypercalls is not None:
            await self._hypercalls.close()
        if self._daemon is not None:
            await self._daemon.close()

    def explain(self) -> tuple[Route, ...]:
        return routes.explain(self.access)

    def _route(self, operation: str) -> Channel:
        return routes.route(operation, self.access, self._absence, self._files.root)

    @property
    def root(self) -> str:
        """What is before every path of this host; "" on a real one."""
        return self._files.root

    # --- the channels

    @property
    def store(self) -> StoreClient:
        """The Xen Store. ChannelUnavailable on a read-only connection that the daemon serves alone."""
        if self._store is None:
            raise ChannelUnavailable(
                f"this connection has no Xen Store, only the Xen daemon: {self._absence}", channel="store"
            )
        return self._store

    @property
    def hypercalls(self) -> HypercallReads:
        """The hypervisor; for the daemon, which changes what the library only reads."""
        assert self._hypercalls is not None, "the routing table names a channel that was not opened"
        return self._hypercalls

    _hv = hypercalls

    @property
    def daemon(self) -> Daemon:
        """The Xen daemon."""
        with self._making:
            if self._daemon is None:
                assert self._make_daemon is not None, "the routing table names a channel that was not opened"
                self._daemon = self._make_daemon()
            return self._daemon

    @property
    def _name_cache(self) -> NameCache:
        assert self._names is not None, "names are the store's, and the daemon tells them where there is none"
        return self._names

    @property
    def _devices(self) -> DeviceReader:
        """Loaded when first needed: most programs list, and never ask."""
        if self._device_reader is None:
            from purevirt.drivers.xen.devices import DeviceReader

            self._device_reader = DeviceReader(self.store, self._files)
        return self._device_reader

    # --- which domain is meant

    async def _find(self, ref: DomainRef, operation: str) -> WireInfo:
        """The active domain that is meant: by its last id if the handle is still the same, else by UUID."""
        handle = ref.handle
        if ref.domid is not None:
            info = await self._hv.domain_info(ref.domid)
            if info is not None and info.handle == handle:
                return info
        found = [info for info in await self._hv.domain_infos() if info.handle == handle]
        return _only(found, [info.domid for info in found], ref, operation)

    async def _find_in_store(self, ref: DomainRef, operation: str) -> DomainInfo:
        if ref.domid is not None:
            for info in await storeview.domain_infos(self.store, [ref.domid]):
                if info.handle == ref.handle:
                    return info
        domids = await storeview.domain_ids(self.store)
        found = [
            info for info in await storeview.domain_infos(self.store, domids) if info.handle == ref.handle
        ]
        return _only(found, [info.domid for info in found], ref, operation)

    async def _active_id(self, ref: DomainRef, operation: str) -> int:
        if self._route(operation) is Channel.STORE:
            domid = (await self._find_in_store(ref, operation)).domid
            assert domid is not None
            return domid
        return (await self._find(ref, operation)).domid


def served(method: Method) -> Method:
    """An operation that may be the daemon's: it is asked wherever the table says so, with the method's own parameters
    as the arguments; else the method's body answers."""
    operation = method.__name__
    parameters = method.__code__.co_varnames[1 : method.__code__.co_argcount]

    def ask(self: Connected, *values: object, **named: object) -> object:
        if self._route(operation) is Channel.DAEMON:
            return told(self, values, named)
        answer = _named(operation, method(self, *values, **named))
        return _or_defined(answer, lambda: told(self, values, named)) if self.access.daemon else answer

    def told(self: Connected, values: tuple[object, ...], named: dict[str, object]) -> Awaitable[Any]:
        arguments = dict(zip(parameters, values, strict=False)) | named
        ref = arguments.pop("ref", None)
        assert ref is None or isinstance(ref, DomainRef)
        return self.daemon.call(operation, ref, arguments)

    ask.__doc__ = method.__doc__
    ask.operation = operation  # type: ignore[attr-defined]
    return ask  # type: ignore[return-value]


async def _or_defined(answer: Awaitable[T], told: Callable[[], Awaitable[T]]) -> T:
    """A domain that is not there may be defined: then the daemon knows it, and says what can be said of it."""
    try:
        return await answer
    except NoSuchDomain as error:
        try:
            return await told()
        except (ChannelUnavailable, Closed, Denied):
            raise error from None


async def _named(operation: str, answer: Awaitable[T]) -> T:
    """A channel that is lost knows only itself; what was wanted of it is told here."""
    try:
        return await answer
    except Closed as error:
        error.operation = error.operation or operation
        raise


def shown(ref: DomainRef) -> str:
    """A domain in a message: by its name, else its id, else its UUID."""
    return ref.name or (str(ref.uuid) if ref.domid is None else str(ref.domid))


def _only(found: list[T], ids: list[int | None], ref: DomainRef, operation: str) -> T:
    if not found:
        raise NoSuchDomain(
            f"domain {shown(ref)} is not active (any more)", operation=operation, domain=str(ref.uuid)
        )
    if len(found) > 1:
        listed = ", ".join(str(domid) for domid in ids)
        raise DomainAmbiguous(
            f"several active domains have the UUID {ref.uuid}: ids {listed}",
            operation=operation,
            domain=str(ref.uuid),
        )
    return found[0]
