"""Every domain's id, name, UUID, state, memory, vCPUs and CPU time, on read-only connections. Runs in Domain 0.

`benchmarks.lab` starts it there, beside libvirtd and `purevirt xend`, which answers purevirt's read-only connections;
the peer is libvirt-python on one of libvirtd's. The user is root, but nothing here needs to be: no hypercalls are made,
and the store is not asked. The daemon's names are in its cache, as they are after any two listings of anybody.
"""

from __future__ import annotations

from typing import Any

import purevirt
from benchmarks import report
from benchmarks.listing import IN_A_ROW, everything
from purevirt.channels.xend import SOCKET

LIBVIRT = "libvirt-python: listAllDomains, info of each"
OPEN_LIBVIRT = "libvirt-python: open and close"
OPEN = "purevirt: open and close"
FIRST = "purevirt, first call (connects)"
LATER = "purevirt, later calls"


def libvirt_open_read_only() -> Any:
    """A read-only connection to libvirtd."""
    import libvirt  # type: ignore[import-not-found]  # Debian's python3-libvirt, only in the lab

    return libvirt.openReadOnly("xen:///")


def libvirt_listing(connection: Any) -> object:
    """The peer, on an open connection."""
    return [
        (domain.ID(), domain.name(), domain.UUIDString(), *domain.info())
        for domain in connection.listAllDomains(1)  # VIR_CONNECT_LIST_DOMAINS_ACTIVE
    ]


def main() -> None:
    options = report.options(__doc__, 5, free="on all processors, instead of everything on one")
    if not options.free:
        report.pin_with("libvirtd", "oxenstored", "xenstored")
        report.pin_server(SOCKET)
    theirs = libvirt_open_read_only()
    ours = purevirt.open_read_only()
    if not ours.has_daemon:
        raise RuntimeError("the Xen daemon does not answer")
    count = 0
    for _ in range(3):
        count = len(ours.domain_infos())
        libvirt_listing(theirs)
    listing: dict[str, list[float]] = {LIBVIRT: [], FIRST: [], LATER: []}
    opening: dict[str, list[float]] = {OPEN_LIBVIRT: [], OPEN: []}
    for _ in range(options.rounds):
        for _ in range(IN_A_ROW):
            listing[LIBVIRT].append(report.milliseconds(lambda: libvirt_listing(theirs)))
        for _ in range(IN_A_ROW):
            opening[OPEN_LIBVIRT].append(report.milliseconds(lambda: libvirt_open_read_only().close()))
        for _ in range(IN_A_ROW):
            opening[OPEN].append(report.milliseconds(lambda: purevirt.open_read_only().close()))
        for _ in range(IN_A_ROW):
            with purevirt.open_read_only() as fresh:
                listing[FIRST].append(report.milliseconds(everything(fresh)))
        for _ in range(IN_A_ROW):
            listing[LATER].append(report.milliseconds(everything(ours)))
    ours.close()
    where = "all processors" if options.free else "one processor for both ends"
    for title, times, peer in (
        (f"Listing {count} domains on a read-only connection, {where}", listing, LIBVIRT),
        (f"Opening a read-only connection to a host with {count} domains", opening, OPEN_LIBVIRT),
    ):
        rows = [report.row(name, values) for name, values in times.items()]
        report.show(title, rows, peer, as_json=options.json)


if __name__ == "__main__":
    main()
