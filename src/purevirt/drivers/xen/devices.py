"""Disks and interfaces: which there are, from the store; what they have counted, from the backends' files.

Three pipelined exchanges find the devices of any number of domains: the numbers, the backends' paths, the
backends' keys. The toolstack's record below /libxl, which no guest can write, says which devices exist. A domain
that libxl did not make has none; then its frontends do, and the path of the backend is derived, not believed.
"""

from __future__ import annotations

from collections.abc import Sequence

from purevirt._typing import NamedTuple
from purevirt.channels.files import HostFiles
from purevirt.channels.xenstore.client import StoreClient
from purevirt.drivers.xen import storepaths as paths
from purevirt.drivers.xen.storeview import decode_text, parse_int
from purevirt.model import BlockDevice, BlockStats, Interface, InterfaceStats

__all__ = ["DeviceReader", "block_devices", "find_block", "find_interface", "interfaces"]

_CONNECTED = b"4"  # XenbusStateConnected


class _Place(NamedTuple):
    """One device: whose, which number, and where its backend keeps its keys."""

    domid: int
    number: int
    backend_domid: int
    backend: str


async def _places(store: StoreClient, domids: Sequence[int], kind: str) -> list[_Place]:
    listings = await store.directory_many(
        [paths.devices(domid, kind) for domid in domids]
        + [paths.guest_devices(domid, kind) for domid in domids]
    )
    found: list[tuple[int, int, str]] = []
    for index, domid in enumerate(domids):
        recorded, seen = listings[index], listings[len(domids) + index]
        entries, where = (recorded, paths.devices) if recorded else (seen or [], paths.guest_devices)
        for entry in entries:
            if entry.isdigit() and len(entry) <= 10:
                found.append((domid, int(entry), f"{where(domid, kind)}/{entry}/backend"))
    found.sort()
    places: list[_Place] = []
    for (domid, number, _), value in zip(
        found, await store.read_many([path for _, _, path in found]), strict=True
    ):
        backend_domid = _backend_domid(value or b"", domid, number)
        if backend_domid is not None:
            places.append(_Place(domid, number, backend_domid, (value or b"").decode("ascii")))
    return places


def _backend_domid(path: bytes, domid: int, number: int) -> int | None:
    """Who serves a device, from its backend's path; None if it vanished meanwhile, or a guest invented the path.

    The kind may be another than the frontend's: a vbd served by QEMU is below backend/qdisk.
    """
    parts = path.split(b"/")
    own = [b"%d" % domid, b"%d" % number]
    if (
        len(parts) != 8
        or parts[:3] != [b"", b"local", b"domain"]
        or parts[4] != b"backend"
        or parts[6:] != own
    ):
        return None
    return int(parts[3]) if parts[3].isdigit() and len(parts[3]) <= 5 and parts[5].isalnum() else None


async def _keys(
    store: StoreClient, places: Sequence[_Place], keys: Sequence[str]
) -> list[dict[str, bytes | None]]:
    values = await store.read_many([f"{place.backend}/{key}" for place in places for key in keys])
    step = len(keys)
    return [
        dict(zip(keys, values[index * step : index * step + step], strict=True))
        for index in range(len(places))
    ]


async def block_devices(store: StoreClient, domids: Sequence[int]) -> dict[int, tuple[BlockDevice, ...]]:
    """The disks of each domain, by number. A backend that has vanished is left out."""
    places = await _places(store, domids, "vbd")
    table = await _keys(store, places, ("dev", "params", "type", "device-type", "mode", "state"))
    result: dict[int, list[BlockDevice]] = {domid: [] for domid in domids}
    for place, keys in zip(places, table, strict=True):
        if keys["state"] is None and keys["dev"] is None:
            continue
        backend = decode_text(keys["type"])
        source = decode_text(keys["params"]) or None
        form: str | None = "raw" if backend == "phy" else None
        if backend in ("qdisk", "tap") and source is not None and ":" in source:
            form, source = source.split(":", 1)
            form = "raw" if form == "aio" else form
        result[place.domid].append(
            BlockDevice(
                target=decode_text(keys["dev"]) or str(place.number),
                number=place.number,
                source=source,
                device=decode_text(keys["device-type"]) or "disk",
                format=form,
                backend=backend,
                read_only=keys["mode"] == b"r",
                backend_domid=place.backend_domid,
                connected=keys["state"] == _CONNECTED,
            )
        )
    return {domid: tuple(disks) for domid, disks in result.items()}


async def interfaces(store: StoreClient, domids: Sequence[int]) -> dict[int, tuple[Interface, ...]]:
    """The interfaces of each domain, by number."""
    places = await _places(store, domids, "vif")
    table = await _keys(store, places, ("mac", "bridge", "script", "vifname", "model", "handle", "state"))
    result: dict[int, list[Interface]] = {domid: [] for domid in domids}
    for place, keys in zip(places, table, strict=True):
        if keys["state"] is None and keys["handle"] is None:
            continue
        number = parse_int(keys["handle"])
        bridge = decode_text(keys["bridge"]) or None
        result[place.domid].append(
            Interface(
                device=decode_text(keys["vifname"]) or f"vif{place.domid}.{place.number}",
                number=place.number if number is None else number,
                mac=decode_text(keys["mac"]),
                type="bridge" if bridge else "ethernet",
                source=bridge,
                model=decode_text(keys["model"]),
                script=decode_text(keys["script"]),
                backend_domid=place.backend_domid,
                connected=keys["state"] == _CONNECTED,
            )
        )
    return {domid: tuple(nics) for domid, nics in result.items()}


def find_block(disks: Sequence[BlockDevice], wanted: str) -> BlockDevice | None:
    """By target, number or source, as `virsh domblkstat` accepts them."""
    return next((disk for disk in disks if wanted in (disk.target, str(disk.number), disk.source)), None)


def find_interface(nics: Sequence[Interface], wanted: str) -> Interface | None:
    """By the backend's name, the MAC address or the number, as `virsh domifstat` accepts them."""
    mac = wanted.lower()
    return next(
        (nic for nic in nics if wanted in (nic.device, str(nic.number)) or (nic.mac or "").lower() == mac),
        None,
    )


class DeviceReader:
    """The devices of one host, from the store, with their counters, from the files of the backends."""

    find_block = staticmethod(find_block)
    find_interface = staticmethod(find_interface)

    def __init__(self, store: StoreClient, files: HostFiles) -> None:
        self._store = store
        self._files = files

    async def blocks(self, domids: Sequence[int]) -> dict[int, tuple[BlockDevice, ...]]:
        """The disks of each domain."""
        return await block_devices(self._store, domids)

    async def interfaces(self, domids: Sequence[int]) -> dict[int, tuple[Interface, ...]]:
        """The interfaces of each domain."""
        return await interfaces(self._store, domids)

    def block_counters(self, domid: int, disk: BlockDevice) -> BlockStats | None:
        """None: its backend keeps none here."""
        counters = self._files.block_counters(domid, disk.number) if disk.backend_domid == 0 else None
        if counters is None:
            return None
        return BlockStats(
            counters.rd_req,
            counters.rd_bytes,
            counters.wr_req,
            counters.wr_bytes,
            counters.f_req,
            counters.ds_req,
        )

    def interface_counters(self, nic: Interface) -> InterfaceStats | None:
        """As the guest sees them. None: its backend keeps none here."""
        counters = self._files.interface_counters(nic.device) if nic.backend_domid == 0 else None
        return None if counters is None else InterfaceStats(*counters.swapped())
