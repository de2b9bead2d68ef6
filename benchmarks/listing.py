"""Every domain's id, name, UUID, state, memory, vCPUs and CPU time, on an open connection. Runs in Domain 0.

`benchmarks.lab` starts it there, beside libvirtd. The first call of a connection is measured on a connection of its
own each time; the second sets the watches that let later calls trust the names they have. Opening is measured as well,
for some of the work is done there (connections to the store, over which the names are then read).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import purevirt
from benchmarks import report
from purevirt._run import run_blocking
from purevirt.channels.hypercall import dial
from purevirt.channels.hypercall.client import HypercallClient

IN_A_ROW = 5
LIBVIRT = "libvirt-python: listAllDomains, info of each"
OPEN_LIBVIRT = "libvirt-python: open and close"
OPEN = "purevirt: open and close"


def libvirt_open() -> Any:
    """A connection to libvirtd."""
    import libvirt  # type: ignore[import-not-found]  # Debian's python3-libvirt, only in the lab

    return libvirt.open("xen:///")


def libvirt_listing() -> Callable[[], object]:
    """The peer, on an open connection."""
    connection = libvirt_open()

    def run() -> object:
        return [
            (domain.ID(), domain.name(), domain.UUIDString(), *domain.info())
            for domain in connection.listAllDomains(1)  # VIR_CONNECT_LIST_DOMAINS_ACTIVE
        ]

    return run


def raw_listing() -> Callable[[], object]:
    """The limit: getdomaininfolist, and unpacking it."""
    transport = run_blocking(dial.dial("", "blocking", 10.0))
    client = run_blocking(HypercallClient.open(transport))
    return lambda: run_blocking(client.domain_infos())


def everything(connection: purevirt.Connection) -> Callable[[], object]:
    """What the peer gathers, field by field."""
    return lambda: [
        (
            info.domid,
            info.name,
            info.uuid,
            info.state,
            info.max_memory_kib,
            info.memory_kib,
            info.vcpus,
            info.cpu_time_ns,
        )
        for info in connection.domain_infos()
    ]


def main() -> None:
    options = report.options(__doc__, 5, free="on all processors, instead of everything on one")
    if not options.free:
        report.pin_with("libvirtd", "oxenstored", "xenstored")
    peer, raw = libvirt_listing(), raw_listing()
    later = purevirt.open()
    for _ in range(4):
        count = len(later.domain_infos())
    times: dict[str, list[float]] = {}

    def measure(name: str, function: Callable[[], object]) -> None:
        times.setdefault(name, []).append(report.milliseconds(function))

    # In turn, a few of each: the first after another candidate finds caches that are the other's.
    for _ in range(options.rounds):
        for _ in range(IN_A_ROW):
            measure(LIBVIRT, peer)
        for _ in range(IN_A_ROW):
            measure(OPEN_LIBVIRT, lambda: libvirt_open().close())
        for _ in range(IN_A_ROW):
            measure(OPEN, lambda: purevirt.open().close())
        for _ in range(IN_A_ROW):
            with purevirt.open() as fresh:
                measure("purevirt, first call", everything(fresh))
                measure("purevirt, second call (sets watches)", everything(fresh))
        for _ in range(IN_A_ROW):
            measure("purevirt, later calls", everything(later))
        for _ in range(IN_A_ROW):
            measure("raw hypercall, unpacked", raw)
    later.close()
    rows = [report.row(name, values) for name, values in times.items()]
    opening = [row for row in rows if row.name in (OPEN_LIBVIRT, OPEN)]
    listing = [row for row in rows if row not in opening]
    where = "all processors" if options.free else "one processor for both ends"
    report.show(
        f"Listing {count} domains on an open connection, {where}", listing, LIBVIRT, as_json=options.json
    )
    report.show(
        f"Opening a connection to a host with {count} domains", opening, OPEN_LIBVIRT, as_json=options.json
    )


if __name__ == "__main__":
    main()
