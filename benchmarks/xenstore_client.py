"""Our XenStore client beside a bare socket loop and pyxs: `python -m benchmarks.xenstore_client [--json] [--rounds N]`.

All ask one and the same C xenstored (`tests.peers`), on one core shared by client and daemon: between two cores they
would mostly wake each other. The candidates take turns within each round. Quote the ratios; the times are this
machine's.

Two tasks: 100 names in one go, against a loop of `send` and `recv` that looks at nothing in the replies; and one name
at a time, against pyxs. "own CPU" is the client's share (user and system), the rest is the daemon's.

pyxs is no dependency of ours: `python -m venv /tmp/v && /tmp/v/bin/pip install pyxs && PYTHONPATH=/tmp/v/lib/python3.*/
site-packages python -m benchmarks.xenstore_client` measures it as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import statistics
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from benchmarks.report import pin  # noqa: E402 - after sys.path, to run as a script
from purevirt import store  # noqa: E402
from purevirt._run import run_blocking  # noqa: E402
from purevirt.channels.xenstore.blocking import Connector  # noqa: E402
from purevirt.channels.xenstore.client import StoreClient  # noqa: E402
from purevirt.wire.xenstore import HEADER, Op  # noqa: E402
from tests import peers  # noqa: E402

DEPTH = 100
PATHS = [f"/local/domain/{domid}/name" for domid in range(DEPTH)]
VALUE = "a-guests-name"
REPLY = HEADER.size + len(VALUE)

PIPELINED, SINGLE = "100 reads in one go", "reads one by one"
BARE, PYXS = "bare socket loop", "pyxs"


class Candidate(NamedTuple):
    """One way to read: `run(count)` reads so many values."""

    task: str
    name: str
    run: Callable[[int], object]


class Sample(NamedTuple):
    """Microseconds per read: on the clock, and of our own CPU."""

    elapsed: float
    own_cpu: float


class Bare:
    """The least that a Python program can do."""

    def __init__(self, path: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.connect(path)
        packets = [
            HEADER.pack(Op.READ, number, 0, len(path) + 1) + path.encode() + b"\0"
            for number, path in enumerate(PATHS, 1)
        ]
        self._batch = b"".join(packets)
        self._one = packets[0]

    def pipelined(self, count: int) -> None:
        sock = self._sock
        for _ in range(count // DEPTH):
            sock.sendall(self._batch)
            left = REPLY * DEPTH
            while left:
                left -= len(sock.recv(65536))

    def single(self, count: int) -> None:
        sock = self._sock
        for _ in range(count):
            sock.sendall(self._one)
            left = REPLY
            while left:
                left -= len(sock.recv(4096))


def many(read_many: Callable[[list[str]], object]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count // DEPTH):
            read_many(PATHS)

    return run


def single(read: Callable[[str], object]) -> Callable[[int], None]:
    def run(count: int) -> None:
        path = PATHS[0]
        for _ in range(count):
            read(path)

    return run


def in_loop(
    loop: asyncio.AbstractEventLoop, body: Callable[[int], Coroutine[Any, Any, None]]
) -> Callable[[int], None]:
    return lambda count: loop.run_until_complete(body(count))


def candidates(path: str, stack: ExitStack) -> list[Candidate]:
    """Everything that can be measured here."""
    bare = Bare(path)
    client = run_blocking(StoreClient.open(Connector(path)))
    stack.callback(lambda: run_blocking(client.close()))
    public = stack.enter_context(store.open(path))
    public.write_many(dict.fromkeys(PATHS, VALUE))
    loop = asyncio.new_event_loop()
    stack.callback(loop.close)
    shared = loop.run_until_complete(store.open_async(path))
    stack.callback(lambda: loop.run_until_complete(shared.close()))

    async def async_many(count: int) -> None:
        for _ in range(count // DEPTH):
            await shared.read_many(PATHS)

    async def async_tasks(count: int) -> None:
        for _ in range(count // DEPTH):
            await asyncio.gather(*(shared.read(path) for path in PATHS))

    async def async_single(count: int) -> None:
        for _ in range(count):
            await shared.read(PATHS[0])

    found = [
        Candidate(PIPELINED, BARE, bare.pipelined),
        Candidate(
            PIPELINED, "StoreClient.read_many", many(lambda paths: run_blocking(client.read_many(paths)))
        ),
        Candidate(PIPELINED, "store.read_many", many(public.read_many)),
        Candidate(PIPELINED, "asyncio store.read_many", in_loop(loop, async_many)),
        Candidate(PIPELINED, "asyncio, 100 tasks", in_loop(loop, async_tasks)),
        Candidate(SINGLE, BARE, bare.single),
        Candidate(SINGLE, "StoreClient.read", single(lambda path: run_blocking(client.read(path)))),
        Candidate(SINGLE, "store.read", single(public.read)),
        Candidate(SINGLE, "asyncio store.read", in_loop(loop, async_single)),
    ]
    try:
        import pyxs  # type: ignore[import-not-found]
    except ImportError:
        print("pyxs is not installed here: see --help", file=sys.stderr)
    else:
        other = stack.enter_context(pyxs.Client(unix_socket_path=path))
        one = PATHS[0].encode()
        found.append(Candidate(SINGLE, PYXS, single(lambda path: other.read(one))))
    return found


def measure(candidate: Candidate, count: int) -> Sample:
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    candidate.run(count)
    elapsed, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(elapsed / count * 1e6, own / count * 1e6)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print all samples as JSON")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="samples per row (15)")
    parser.add_argument("--reads", type=int, default=4000, metavar="N", help="reads per sample (4000)")
    options = parser.parse_args()
    reason = peers.available()
    if reason:
        print(f"there is nothing to measure against: {reason}", file=sys.stderr)
        return 1
    cpu = min(os.sched_getaffinity(0))
    pin(cpu)
    with ExitStack() as stack:
        peer = stack.enter_context(peers.xenstored(pin_cpu=cpu))
        rows = candidates(peer.socket, stack)
        samples: list[list[Sample]] = [[] for _ in rows]
        for turn in range(options.rounds + 1):
            for kept, row in zip(samples, rows, strict=True):
                sample = measure(row, options.reads)
                if turn:  # the first round warms up
                    kept.append(sample)
    if options.json:
        table = [
            {"task": row.task, "name": row.name, "elapsed_us": [s.elapsed for s in kept]}
            | {"own_cpu_us": [s.own_cpu for s in kept]}
            for row, kept in zip(rows, samples, strict=True)
        ]
        print(json.dumps({"cpu": cpu, "peer": "C xenstored", "rows": table}, indent=1))
        return 0
    print(f"client and C xenstored on one core (CPU {cpu}), µs per read: medians, n = {options.rounds}")
    show(rows, samples)
    return 0


def show(rows: list[Candidate], samples: list[list[Sample]]) -> None:
    """A table per task, with each row's speed beside the others'."""
    middle = {
        (row.task, row.name): Sample(
            statistics.median(sample.elapsed for sample in kept),
            statistics.median(sample.own_cpu for sample in kept),
        )
        for row, kept in zip(rows, samples, strict=True)
    }
    bare, pyxs = middle[PIPELINED, BARE], middle.get((SINGLE, PYXS))
    for task in (PIPELINED, SINGLE):
        print(f"\n{task:26} {'median':>8} {'min':>8} {'max':>8} {'own CPU':>8} {'reads/s':>9}  beside")
        for row, kept in zip(rows, samples, strict=True):
            if row.task != task:
                continue
            found = middle[row.task, row.name]
            least, most = min(kept).elapsed, max(kept).elapsed
            beside = []
            if task == PIPELINED:
                beside.append(f"{bare.elapsed / found.elapsed:4.0%} of the bare loop")
            if pyxs is not None and row.name != PYXS:
                beside.append(f"{pyxs.elapsed / found.elapsed:.1f} times pyxs")
            print(
                f"{row.name:26} {found.elapsed:8.2f} {least:8.2f} {most:8.2f} {found.own_cpu:8.2f}"
                f" {1e6 / found.elapsed:9,.0f}  {', '.join(beside)}"
            )


if __name__ == "__main__":
    sys.exit(main())
