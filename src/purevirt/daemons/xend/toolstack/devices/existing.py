"""Which disks and interfaces a domain has: by libxl's record in the store, which no guest can write, and by what it was
given as frontends."""

from __future__ import annotations

from typing import NamedTuple

from purevirt.channels.xenstore.nodes import Nodes
from purevirt.daemons.xend.toolstack.base import shown
from purevirt.daemons.xend.toolstack.devices.nodes import Place
from purevirt.errors import NoSuchDevice, OperationError
from purevirt.model import DomainInfo

__all__ = ["Existing", "existing", "find_interface"]


class Existing(NamedTuple):
    """Numbers -> the kind of backend of each disk, and the address of each interface (lower case, "" if unknown)."""

    disks: dict[int, str]
    macs: dict[int, str]

    def place(self, domid: int, kind: str, number: int) -> Place:
        """Where one of them is."""
        return Place(domid, kind, self.disks[number] if kind == "vbd" else "vif", number)


async def existing(store: Nodes, domid: int) -> Existing:
    """What there is now, in the store or in a transaction's view of it."""
    homes = [f"/libxl/{domid}/device", f"/local/domain/{domid}/device"]
    listings = await store.directory_many([f"{home}/{kind}" for kind in ("vbd", "vif") for home in homes])
    found = [
        sorted({int(name) for names in pair for name in names or () if name.isdigit()})
        for pair in (listings[:2], listings[2:])
    ]
    paths = [f"/libxl/{domid}/device/vbd/{number}/backend" for number in found[0]]
    paths += [f"/local/domain/0/backend/vif/{domid}/{number}/mac" for number in found[1]]
    values = [(value or b"").decode("ascii", "replace") for value in await store.read_many(paths)]
    return Existing(
        {
            number: _kind(path, domid, number)
            for number, path in zip(found[0], values[: len(found[0])], strict=True)
        },
        {number: mac.lower() for number, mac in zip(found[1], values[len(found[0]) :], strict=True)},
    )


def _kind(backend: str, domid: int, number: int) -> str:
    for kind in ("vbd", "qdisk"):
        if backend == f"/local/domain/0/backend/{kind}/{domid}/{number}":
            return kind
    return "vbd" if not backend else "?"


def find_interface(domain: DomainInfo, there: Existing, mac: str | None, number: int | None) -> int:
    """The number of the interface that is meant. NoSuchDevice; OperationError if it could be any of several."""
    if number is not None:
        matching = [number] if number in there.macs else []
        wanted = str(number)
    elif mac is not None:
        matching = [one for one, address in there.macs.items() if address == mac.lower()]
        wanted = mac
    else:
        matching, wanted = list(there.macs), "at all"
    if not matching:
        raise NoSuchDevice(
            f"domain {shown(domain)} has no interface {wanted}", domain=shown(domain), detail=wanted
        )
    if len(matching) > 1:
        numbers = ", ".join(map(str, matching))
        raise OperationError(
            f"domain {shown(domain)} has several such interfaces: say which of the numbers {numbers} is meant",
            domain=shown(domain),
        )
    return matching[0]
