"""What every part of the driver stands on: the channels of one host, and how the domain that is meant is found.

The parts are `host`, `domains`, `devicereads`; `driver` puts them together. Each operation asks `routes` which
channel's answer counts, and takes that one.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING, TypeVar
from purevirt.channels.files import HostFiles
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.xenstore.client import StoreClient
from purevirt.drivers.xen import routes, storeview
from purevirt.drivers.xen.names import NameCache
from purevirt.errors import DomainAmbiguous, NoSuchDomain
from purevirt.model import Access, Channel, DomainRef
from purevirt.wire.hypercall.messages import DomainInfo as WireInfo

if TYPE_CHECKING:
    from purevirt.drivers.xen.devices import DeviceReader
    from purevirt.model import DomainInfo, Route

__all__ = ["Connected", "shown"]

T = TypeVar("T")


class Connected:
    """The channels that `open` found, and the identity of domains: (domid, handle)."""

    def __init__(
        self,
        access: Access,
        hypercalls: HypercallClient | None,
        store: StoreClient,
        files: HostFiles,
    ) -> None:
        self.access = access
        self.store = store
        self._hypercalls = hypercalls
        self._files = files
        self._device_reader: DeviceReader | None = None
        self._names = NameCache(store, store.open_watcher)

    async def close(self) -> None:
        """Close every channel."""
        await self._names.close()
        await self.store.close()
        if self._hypercalls is not None:
            await self._hypercalls.close()

    def explain(self) -> tuple[Route, ...]:
        return routes.explain(self.access)

    def _route(self, operation: str) -> Channel:
        return routes.route(operation, self.access)

    @property
    def _devices(self) -> DeviceReader:
        """Loaded when first needed: most programs list, and never ask."""
        if self._device_reader is None:
            from purevirt.drivers.xen.devices import DeviceReader

            self._device_reader = DeviceReader(self.store, self._files)
        return self._device_reader

    @property
    def _hv(self) -> HypercallClient:
        assert self._hypercalls is not None, "the routing table names a channel that was not opened"
        return self._hypercalls

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
