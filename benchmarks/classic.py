"""The classic interface: `GET /xend/domain?detail=1` of 51 domains, by new connections and by one that is kept.

The peer is a figure, not a run: xend of Xen 4.1 answered this about 15 times a second (one recorded measurement, on
another machine). Client, daemon and simulated host share one core. A round is a second of requests, so that the
reads that the daemon repeats once a second (devices, pinning: see docs/xend.md) are in every round; what such a
request takes alone is the last row.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

from benchmarks import report, simulated

DOMAINS = 51
XEND_PER_SECOND = 15.0
"""What the xend of Xen 4.1 answered, by the recorded measurement."""

OLD = "xend of Xen 4.1 (recorded)"
SECONDS = 1.0
REQUEST = b"GET /xend/domain?detail=1 HTTP/1.1\r\nHost: localhost\r\nAccept: application/sxp\r\n"


def new_connection(path: str) -> Callable[[], None]:
    """As old clients do it: connect, ask, read to the end."""

    def ask() -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            sock.sendall(REQUEST + b"\r\n")
            parts = []
            while part := sock.recv(1 << 18):
                parts.append(part)
        check(b"".join(parts))

    return ask


def kept_connection(path: str) -> Callable[[], None]:
    """With `Connection: keep-alive`, one request after the other."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)

    def ask() -> None:
        sock.sendall(REQUEST + b"Connection: keep-alive\r\n\r\n")
        answer = sock.recv(1 << 18)
        head, _, body = answer.partition(b"\r\n\r\n")
        left = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) - len(body)
        parts = [answer]
        while left > 0:
            parts.append(sock.recv(1 << 18))
            left -= len(parts[-1])
        check(b"".join(parts))

    return ask


def check(answer: bytes) -> None:
    """It is what was asked for: a benchmark of an error would be fast."""
    if not answer.startswith(b"HTTP/1.1 200 ") or answer.count(b"(domain (domid ") != DOMAINS:
        raise RuntimeError(f"the daemon answers {answer[:200]!r}")


def per_request(ask: Callable[[], None]) -> float:
    """Milliseconds of each request, over a second of them."""
    count, start = 0, time.perf_counter()
    while (took := time.perf_counter() - start) < SECONDS:
        ask()
        count += 1
    return took * 1e3 / count


def main() -> None:
    options = report.options(__doc__, 7)
    report.pin(min(os.sched_getaffinity(0)))  # the daemons inherit it
    with simulated.host(DOMAINS - 1) as root, simulated.xend(root):
        path = f"{root}/{simulated.SOCKET}"
        candidates = {
            "a new connection each": new_connection(path),
            "one kept connection": kept_connection(path),
        }
        times: dict[str, list[float]] = {name: [] for name in candidates}
        for turn in range(options.rounds + 1):
            for name, ask in candidates.items():
                found = per_request(ask)
                if turn:  # the first warms up
                    times[name].append(found)
        ask, fresh = candidates["a new connection each"], []
        for _ in range(options.rounds):
            time.sleep(1.1)
            fresh.append(report.milliseconds(ask))
    old = 1e3 / XEND_PER_SECOND
    rows = [report.Row(OLD, old, old, old, 1), *(report.row(name, values) for name, values in times.items())]
    notes = [
        f"{row.name}: {1e3 / row.median:.0f} a second, {row.n} rounds of {SECONDS:g} s" for row in rows[1:]
    ]
    rows.append(report.row("the first after more than a second", fresh))
    report.show(
        f"GET /xend/domain?detail=1, {DOMAINS} domains, ms per request",
        rows,
        OLD,
        as_json=options.json,
        notes=notes,
    )


if __name__ == "__main__":
    main()
