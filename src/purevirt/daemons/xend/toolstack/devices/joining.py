"""Adding a device: all its nodes in one transaction, the backend ready, its script run, and both ends connected.

    nodes, libxl's record  →  backend InitWait  →  script: "hotplug-status" connected  →  guest and backend Connected

The first three are done under the domain's lock; waiting for the guest is not. A guest that is paused, or an HVM guest
that knows nothing of Xen, is not waited for. Whatever goes wrong, the device is taken away again, in the background if
nobody has time for that any more.

Source: libxl__device_generic_add, libxl__wait_device_connection and device_hotplug of libxl.
"""

from __future__ import annotations

import asyncio
import time

from purevirt.channels.xenstore.client import Transaction
from purevirt.daemons.xend.toolstack import hotplug
from purevirt.daemons.xend.toolstack.base import Attaching, Host, Keep, living, not_domain_0, shown
from purevirt.daemons.xend.toolstack.devices import leaving, libxl_record, planning
from purevirt.daemons.xend.toolstack.devices.existing import existing
from purevirt.daemons.xend.toolstack.devices.planning import Plan
from purevirt.daemons.xend.toolstack.devices.waiting import (
    CLOSED,
    CLOSING,
    CONNECTED,
    INIT_WAIT,
    INITIALISING,
    Ends,
    Following,
)
from purevirt.daemons.xend.toolstack.handshake import has_pv_drivers
from purevirt.errors import OperationError, Timeout, XenError
from purevirt.model import AttachedDevice, DomainInfo, DomainType
from purevirt.model.description import Disk, Interface

__all__ = ["attach"]

OPERATION = "attach_device"
_READY = 10.0  # as long as libxl gives a backend to appear
_RESERVE = 3.0  # of the time that there is, for taking away what could not be added


async def attach(
    host: Host, domain: DomainInfo, device: Disk | Interface, timeout: float, keep: Keep
) -> Attaching:
    """Add it, but for the guest's part: what is returned waits for that.

    InvalidConfig, Unsupported: nothing was touched. OperationError: there is one already, or its script failed.
    Timeout: backend, script or guest.
    """
    not_domain_0(domain, OPERATION, "given devices: its kernel has the host's")
    living(domain, OPERATION)
    end = time.monotonic() + timeout - min(_RESERVE, timeout / 4)
    plan = await _write(host, domain, device, end)
    joining = _Joining(host, domain, plan, timeout, end, keep)
    await joining.undone_if_it_fails(joining.bring_up)
    if await _nobody_there(host, domain):
        return joining.done
    return joining.connected


async def _nobody_there(host: Host, domain: DomainInfo) -> bool:
    assert domain.domid is not None
    if "p" in (domain.flags or ""):
        return True
    return domain.type is DomainType.HVM and not await has_pv_drivers(host, domain.domid)


async def _write(host: Host, domain: DomainInfo, device: Disk | Interface, end: float) -> Plan:
    assert domain.domid is not None
    async with libxl_record.locked(host, domain, end):
        there = await existing(host.store, domain.domid)
        plan = await planning.plan(host, domain, device, there)
        place = plan.place

        async def body(tx: Transaction) -> None:
            ends = (place.frontend, place.backend, place.record)
            home = f"/local/domain/{place.domid}"
            *taken, vm = await tx.read_many([*ends, f"{home}/vm"])
            if any(value is not None for value in taken):
                raise OperationError(f"{plan.called}: there is one already", domain=shown(domain))
            if vm is None:
                raise OperationError(
                    f"{plan.called}: the domain has no place in the Xen Store", domain=shown(domain)
                )
            await _make(tx, plan)

        await host.store.transaction(body)
        libxl_record.enter(host, domain, plan.device)
    return plan


async def _make(tx: Transaction, plan: Plan) -> None:
    """Directories first, since a node takes its permissions from its parent when it is made. Each of these tasks sends
    its requests when it first runs, so they arrive in this order, all in one exchange."""
    directories = [node for node in plan.nodes if node.permissions]
    await asyncio.gather(
        tx.write_many([(node.path, node.value) for node in directories]),
        *(tx.set_perms(node.path, node.permissions) for node in directories),
        tx.write_many([(node.path, node.value) for node in plan.nodes if not node.permissions]),
    )


class _Joining:
    """One device on its way in."""

    def __init__(
        self, host: Host, domain: DomainInfo, plan: Plan, timeout: float, end: float, keep: Keep
    ) -> None:
        self._host = host
        self._domain = domain
        self._plan = plan
        self._timeout = timeout
        self._end = end
        self._keep = keep

    async def undone_if_it_fails(self, step: Attaching) -> AttachedDevice:
        """A step. If it fails, or is cut off, the device goes again."""
        try:
            return await step()
        except XenError as error:
            error.operation = OPERATION
            error.domain = shown(self._domain)
            await self._keep(self._undo())
            raise
        except BaseException:
            await self._keep(self._undo())
            raise

    async def _undo(self) -> None:
        await leaving.remove(self._host, self._plan.place)
        async with libxl_record.locked(self._host, self._domain, time.monotonic() + _RESERVE):
            libxl_record.leave(self._host, self._domain, self._plan.device)

    async def bring_up(self) -> AttachedDevice:
        """Domain 0's part."""
        place, called = self._plan.place, self._plan.called
        following = Following(self._host.store, place)
        try:
            wait = min(self._end, time.monotonic() + _READY)
            ends = await following.until(_ready, wait)
        finally:
            await following.close()
        if not _ready(ends):
            server = "QEMU" if place.backend_kind == "qdisk" else "no driver"
            raise Timeout(
                f"{called}: {server} took it up in Domain 0: {ends}", channel="store", path=place.backend
            )
        await hotplug.bring_up(self._host, place.backend, called, max(0.0, self._end - time.monotonic()))
        return self._plan.answer

    async def done(self) -> AttachedDevice:
        """Nobody is there to wait for."""
        return self._plan.answer

    async def connected(self) -> AttachedDevice:
        """Wait for the guest."""
        return await self.undone_if_it_fails(self._connected)

    async def _connected(self) -> AttachedDevice:
        place = self._plan.place
        following = Following(self._host.store, place)
        try:
            ends = await following.until(_settled, self._end)
        finally:
            await following.close()
        if _both_connected(ends):
            return self._plan.answer
        reasons = await self._reasons()
        if _settled(ends):
            raise OperationError(
                f"{self._plan.called}: it could not be connected: {ends}{reasons}; it was taken away again",
                channel="store",
                path=place.backend,
            )
        raise Timeout(
            f"{self._plan.called}: its guest did not connect it within {self._timeout:.2g} s: {ends}{reasons}; "
            "it was taken away again",
            channel="store",
            path=place.backend,
        )

    async def _reasons(self) -> str:
        """What either end has noted as an error, where Linux notes it."""
        place = self._plan.place
        values = await self._host.store.read_many(
            [f"{home}/error" for home in (place.backend, *place.errors)]
        )
        said = [" ".join(value[:200].decode("utf-8", "replace").split()) for value in values if value]
        return f" ({'; '.join(said)})" if said else ""


def _ready(ends: Ends) -> bool:
    return ends.backend is not None and ends.backend >= INIT_WAIT


def _both_connected(ends: Ends) -> bool:
    return ends == Ends(CONNECTED, CONNECTED)


def _settled(ends: Ends) -> bool:
    """Connected, or not any more to be."""
    return (
        _both_connected(ends)
        or ends.backend in (None, CLOSING, CLOSED)
        or ends.frontend in (None, CLOSING, CLOSED)
        or not (ends.backend >= INITIALISING)
    )
