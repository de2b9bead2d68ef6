"""What an earlier life of the daemon has left of domains that are gone, and of files that nobody needs: cleared away.

Only what was the daemon's own is touched: domains that it answered for or was at work on, and its own directories.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from purevirt.daemons.xend.managed.manager import Manager
from purevirt.daemons.xend.toolstack import records
from purevirt.errors import NoSuchNode, XenError
from purevirt.model import DomainInfo, DomainState, StateReason

__all__ = ["clear_domains", "clear_files"]

_log = logging.getLogger(__name__)


async def clear_domains(manager: Manager, known: set[tuple[int, bytes]], handles: set[bytes]) -> None:
    """Finish what destroying them, or undoing the making of them, was cut off in: their nodes, scripts and records.

    `known` are ids and UUIDs of the daemon's own; of `handles` the ids are not known. Whatever has an id in the
    hypervisor is not gone, unless it is dying.
    """
    infos = [info for info in await manager.link.driver.list_domains() if "d" not in (info.flags or "")]
    there = {info.domid for info in infos}
    found = known | await _in_store(manager) | await asyncio.to_thread(_on_disk, manager.link.root)
    handles = handles | {handle for _, handle in known}
    for domid, handle in sorted(found):
        if domid not in there and handle in handles:
            try:
                await manager.toolstack.destroy(_gone(domid, handle))
            except XenError as error:
                _log.error("what is left of domain %d could not be cleared away: %s", domid, error)
    for handle in handles - {info.handle for info in infos}:
        with contextlib.suppress(NoSuchNode):
            await manager.link.store.rm(f"/vm/{UUID(bytes=handle)}")


async def _in_store(manager: Manager) -> set[tuple[int, bytes]]:
    """The domains that have a home in the store, and whose."""
    store = manager.link.store
    try:
        homes = [name for name in await store.directory("/local/domain") if name.isdigit()]
    except NoSuchNode:
        return set()
    homes_vm = await store.read_many([f"/local/domain/{name}/vm" for name in homes])
    found = set()
    for name, vm in zip(homes, homes_vm, strict=True):
        if vm is not None and vm.startswith(b"/vm/"):
            try:
                found.add((int(name), UUID(vm.decode()[4:]).bytes))
            except ValueError:
                continue
    return found


def _on_disk(root: str) -> set[tuple[int, bytes]]:
    """Those of which libxl's records are there."""
    found = set()
    for path in Path(root + records.DIRECTORY).glob("userdata-*"):
        parts = path.name.split(".")
        try:
            found.add((int(parts[1]), UUID(parts[2]).bytes))
        except (IndexError, ValueError):
            continue
    return found


def _gone(domid: int, handle: bytes) -> DomainInfo:
    return DomainInfo(domid, handle, None, None, DomainState.SHUTOFF, StateReason.UNKNOWN, *[None] * 5)


def clear_files(state: str, wanted: Iterable[str], there: Iterable[bytes]) -> None:
    """Remove the files below the directory of saved domains that no definition needs, and what was half written.

    What was half written of a domain that is not `there` any more is all that there is of it: it stays, for whoever can
    make something of it.
    """
    known = set(wanted)
    uuids = {str(UUID(bytes=handle)) for handle in there}
    for path in Path(state, "save").glob("*"):
        if path.suffix == ".part" and path.name.partition(".")[0] not in uuids:
            _log.error("%s is half a saved state, of a domain that is gone; it is kept", path)
        elif str(path) not in known:
            _log.warning("%s belongs to no domain any more, and is removed", path)
            _remove(path)
    for path in Path(state, "dump").glob("*.part"):
        _remove(path)


def _remove(path: Path) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        _log.error("%s: %s", path, error.strerror)
