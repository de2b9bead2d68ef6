"""The Xen daemon with 1,000 simulated domains: memory, processor time while nobody asks, and the time of a listing.

The daemon is a process of its own, over a host without one. Its memory is looked at when it has just started, and again
when everything it can be read for was asked for; its processor time (the kernel's count, in percent of a core) while
nobody is connected, and while one subscriber waits for events, for whom it looks at the domains four times a second.
Listings are measured from a client that is held to the daemon's core, beside the same listing by hypercalls.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import time
from collections.abc import Callable

import purevirt
from benchmarks import report, simulated
from purevirt.api.uri import root_uri

DOMAINS = 1000
HYPERCALLS = "by hypercalls: domain_infos()"
DAEMON = "through the daemon: domain_infos()"


def share(pid: int, seconds: float, connection: purevirt.Connection | None = None) -> float:
    """The part of a core, in percent, that a process takes; `connection`: while somebody waits for its events."""
    before, start = simulated.cpu_seconds(pid), time.perf_counter()
    if connection is None:
        time.sleep(seconds)
    else:
        with connection.events() as events:
            found = events.next(timeout=seconds)
            if found is not None:
                raise RuntimeError(f"something happened that should not: {found}")
    return 100 * (simulated.cpu_seconds(pid) - before) / (time.perf_counter() - start)


def read_everything(root: str, connection: purevirt.Connection) -> None:
    """All that the daemon is ever asked to read, so that it holds what it ever holds."""
    connection.domain_infos()
    connection.domain_stats()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"{root}/{simulated.SOCKET}")
        sock.sendall(b"GET /xend/domain?detail=1 HTTP/1.0\r\n\r\n")
        while sock.recv(1 << 18):
            pass


def measure(rounds: int, seconds: float) -> tuple[dict[str, float], list[report.Row]]:
    """The daemon's figures, and the listings."""
    with simulated.host(DOMAINS) as root, simulated.xend(root) as pid:
        figures = {"MiB, just started": simulated.rss_mib(pid)}
        figures["% of a core, idle"] = share(pid, seconds)
        uri = root_uri(root)
        with purevirt.open(uri) as direct, purevirt.open_read_only(uri) as connection:
            candidates: dict[str, Callable[[], object]] = {
                HYPERCALLS: direct.domain_infos,
                DAEMON: connection.domain_infos,
            }
            for _ in range(2):
                if not len(direct.domain_infos()) == len(connection.domain_infos()) == DOMAINS + 1:
                    raise RuntimeError("some domains are not listed")
            rows = report.interleave(candidates, rounds)
            figures["MiB, after listings"] = simulated.rss_mib(pid)
            read_everything(root, connection)
            figures["MiB, after reading everything"] = simulated.rss_mib(pid)
            figures["% of a core, with one subscriber"] = share(pid, seconds, connection)
        figures["% of a core, idle again"] = share(pid, seconds)
    return figures, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--rounds", type=int, default=15, help="listings of each kind (15)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each share is measured (10)")
    options = parser.parse_args()
    report.pin(min(os.sched_getaffinity(0)))  # the host and the daemon inherit it
    figures, rows = measure(options.rounds, options.seconds)
    title = f"The Xen daemon with {DOMAINS:,} simulated domains"
    if options.json:
        print(json.dumps({"title": title, "seconds": options.seconds, **figures}))
    else:
        print(f"\n{title} (n = 1, shares over {options.seconds:g} s)")
        for name, value in figures.items():
            print(f"  {name:34} {value:8.2f}")
    report.show(f"Listing {DOMAINS:,} simulated domains", rows, HYPERCALLS, as_json=options.json)


if __name__ == "__main__":
    main()
