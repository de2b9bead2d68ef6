"""Ending a domain at once, and cleaning up after it.

First it is paused, so that nothing runs of it any more. Then its backends in Domain 0 are closed: each is told (online
0, state 5), its frontends' nodes are removed, on which it closes by itself (state 6), and it is given a moment for
that. All this before the domain is dead, since oxenstored removes what a dead domain owned and tells nobody: a backend
would wait for ever for a frontend that it believes to be there, and hold the domain's pages meanwhile. Then the
hypervisor's part, whatever came before; its device model, if it has one; the hotplug scripts take back what they have
set up; the nodes go, and libxl's records on disk.

Somebody else may do the same at the same time: `xl`'s own process waits for each domain that it has made, and xenstored
removes what a dead domain owned. So a node that is gone already is no error, nothing is created anew by writing to a
backend that is gone (each is closed in a transaction that looks first), and /vm/UUID stays if another domain has that
UUID, as after a reboot by `xl`.

Source: libxl__destroy_domid and libxl__devices_destroy of libxl, whose order this follows.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.hypercall.dial import dial
from purevirt.channels.xenstore.client import StoreClient, Transaction
from purevirt.channels.xenstore.watches import Watcher
from purevirt.daemons.xend.toolstack import devicemodel, hotplug, records
from purevirt.daemons.xend.toolstack.base import Host, not_domain_0
from purevirt.errors import NoSuchDomain, NoSuchNode, OperationError
from purevirt.model import DomainInfo
from purevirt.wire.xenstore.paths import is_valid_path

__all__ = ["destroy"]

_CLOSING, _CLOSED = "5", (None, b"6")  # XenbusState; a backend that is gone is closed as well
_DRIVEN = frozenset(("vbd", "vif", "pci", "vscsi", "vusb", "vtpm"))  # kinds that a kernel's driver serves
_DIAL_TIMEOUT = 5.0


async def destroy(host: Host, domain: DomainInfo, patience: float) -> None:
    """End it. `patience`: how long backends may take to close, in seconds; then they are removed as they are."""
    not_domain_0(domain, "destroy", "destroyed: it is where this daemon runs")
    assert domain.domid is not None
    store, domid = host.store, domain.domid
    backends = await _backends(store, domid)
    vm, model = await store.read_many([f"/local/domain/{domid}/vm", devicemodel.node(domid)])
    try:
        await _close(host, domid, [path for path in backends if path.split("/")[5] in _DRIVEN], patience)
    finally:
        await _end(host, domid)
    devicemodel.end(model, domid, host.root)
    await hotplug.tear_down(host, backends)
    await _forget(host, domain, vm, backends)
    records.forget(domain, host.root)


async def _end(host: Host, domid: int) -> None:
    """The hypervisor's part.

    Giving a large domain's memory back takes seconds, all of them in one system call: on a real host it is made in a
    thread, over a descriptor of its own, so that the daemon goes on serving.
    """
    try:
        if host.root:
            await host.hypercalls.destroy_domain(domid)
        else:
            await asyncio.to_thread(asyncio.run, _end_blocking(host.root, domid))
    except NoSuchDomain:
        return  # somebody else was faster


async def _end_blocking(root: str, domid: int) -> None:
    transport = await dial(root, "blocking", _DIAL_TIMEOUT)
    try:
        client = await HypercallClient.open(transport)
        await client.destroy_domain(domid)
    finally:
        transport.close()


# --- backends -----------------------------------------------------------------------------------------------


async def _backends(store: StoreClient, domid: int) -> list[str]:
    """The paths of its backends: those in the toolstack's record, and whatever stands in Domain 0 for it."""
    found: dict[str, None] = {}
    (kinds,) = await store.directory_many([f"/libxl/{domid}/device"])
    listings = await store.directory_many([f"/libxl/{domid}/device/{kind}" for kind in kinds or ()])
    records = [
        f"/libxl/{domid}/device/{kind}/{entry}/backend"
        for kind, entries in zip(kinds or (), listings, strict=True)
        for entry in entries or ()
    ]
    for value in await store.read_many(records):
        path = (value or b"").decode("ascii", "replace")
        parts = path.split("/")
        # /local/domain/B/backend/KIND/N/ID, and nothing else: what is removed below is chosen by this.
        if (
            len(parts) == 8
            and parts[4] == "backend"
            and parts[6] == str(domid)
            and is_valid_path(path.encode())
        ):
            found[path] = None
    for home in await _homes(store, domid):
        (entries,) = await store.directory_many([home])
        found.update(dict.fromkeys(f"{home}/{entry}" for entry in entries or ()))
    return list(found)


async def _homes(store: StoreClient, domid: int) -> list[str]:
    """Domain 0's directories for backends of that domain, of every kind."""
    (kinds,) = await store.directory_many(["/local/domain/0/backend"])
    homes = [f"/local/domain/0/backend/{kind}/{domid}" for kind in kinds or ()]
    present = await store.read_many(homes)
    return [home for home, value in zip(homes, present, strict=True) if value is not None]


async def _close(host: Host, domid: int, backends: Sequence[str], patience: float) -> None:
    """Tell all of them that a kernel serves, then wait for all of them.

    The others' programs end otherwise (QEMU), or look at the domain alone (xenconsoled): nobody would answer.
    """
    if not backends:
        return
    store = host.store
    with contextlib.suppress(OperationError):  # it is gone, or dying: as good as paused
        await host.hypercalls.pause_domain(domid)
    states = [f"{backend}/state" for backend in backends]
    async with _Watching(store, states) as watcher:
        await asyncio.gather(*(_tell(store, backend) for backend in backends))
        await _remove(store, f"/local/domain/{domid}/device")
        end = time.monotonic() + patience
        while any(state not in _CLOSED for state in await store.read_many(states)):
            if await watcher.next(max(0.0, end - time.monotonic())) is None:
                return


async def _tell(store: StoreClient, backend: str) -> None:
    async def body(tx: Transaction) -> None:
        state, online = await tx.read_many([f"{backend}/state", f"{backend}/online"])
        if state in _CLOSED and (state is None or online == b"0"):
            return
        await tx.write(f"{backend}/online", "0")
        if state not in _CLOSED:
            await tx.write(f"{backend}/state", _CLOSING)

    await store.transaction(body)


class _Watching:
    """Watches on some paths, for the length of a block."""

    def __init__(self, store: StoreClient, paths: Sequence[str]) -> None:
        self._store = store
        self._paths = paths
        self._watcher: Watcher | None = None

    async def __aenter__(self) -> Watcher:
        watcher = self._watcher = await self._store.open_watcher()
        try:
            await watcher.add_many(self._paths)
        except BaseException:
            await watcher.close()
            raise
        return watcher

    async def __aexit__(self, *_: object) -> None:
        assert self._watcher is not None
        await self._watcher.close()


# --- nodes --------------------------------------------------------------------------------------------------


async def _forget(host: Host, domain: DomainInfo, vm: bytes | None, backends: Sequence[str]) -> None:
    store, domid = host.store, domain.domid
    assert domid is not None
    for path in backends:
        await _remove(store, path)
    for home in await _homes(store, domid):
        await _remove(store, home)
    doomed = [f"/local/domain/{domid}", f"/libxl/{domid}", f"/local/domain/0/device-model/{domid}"]
    shared = any(
        info.handle == domain.handle and info.domid != domid for info in await host.hypercalls.domain_infos()
    )
    text = (vm or b"").decode("ascii", "replace")
    if not shared and text.startswith("/vm/") and text.count("/") == 2 and is_valid_path(text.encode()):
        doomed.append(text)
    for path in doomed:
        await _remove(store, path)
    try:
        await store.release(domid)
    except OperationError:
        return  # xenstored knew it before


async def _remove(store: StoreClient, path: str) -> None:
    try:
        await store.rm(path)
    except NoSuchNode:
        return  # its parent is gone, so it is as well
