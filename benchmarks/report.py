"""What the benchmarks share: medians with n, a table or JSON, the processor they are pinned to."""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "Row",
    "interleave",
    "milliseconds",
    "options",
    "pin",
    "pin_server",
    "pin_with",
    "repeated",
    "show",
]


class Row(NamedTuple):
    """One measured way of doing the task: milliseconds."""

    name: str
    median: float
    least: float
    most: float
    n: int


def milliseconds(function: Callable[[], object]) -> float:
    """One run, on the wall clock."""
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


def repeated(action: Callable[[], object], times: int) -> Callable[[], object]:
    """So many runs as one, for what is too quick to be measured alone."""

    def run() -> None:
        for _ in range(times):
            action()

    return run


def interleave(candidates: dict[str, Callable[[], object]], rounds: int) -> list[Row]:
    """Run the candidates in turn, A B A B …, so that whatever else the machine does hits them alike."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, function in candidates.items():
            times[name].append(milliseconds(function))
    return [row(name, values) for name, values in times.items()]


def row(name: str, values: Sequence[float]) -> Row:
    """The median of what was measured."""
    return Row(name, statistics.median(values), min(values), max(values), len(values))


def pin(cpu: int) -> None:
    """Stay on one processor: two ends of a socket on two would measure wake-ups."""
    os.sched_setaffinity(0, {cpu})


def pin_with(*programs: str, cpu: int = 0) -> None:
    """Stay on one processor with every process of these names, all their threads: both ends of each socket."""
    pin(cpu)
    for status in Path("/proc").glob("[0-9]*/comm"):
        try:
            if status.read_text().strip() in programs:
                _pin_process(status.parent, cpu)
        except OSError:
            continue  # it has ended


def pin_server(path: str, cpu: int = 0) -> None:
    """The same for the process that listens on a Unix socket, whatever its name is (a Python program's is Python's)."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        pid: int = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    _pin_process(Path(f"/proc/{pid}"), cpu)


def _pin_process(process: Path, cpu: int) -> None:
    for task in (process / "task").iterdir():
        os.sched_setaffinity(int(task.name), {cpu})


def show(
    title: str, rows: Sequence[Row], peer: str, *, as_json: bool = False, notes: Sequence[str] = ()
) -> None:
    """A table with each row's ratio to the peer's median, or JSON."""
    least = 1e-3  # in a guest of a busy machine the clock may stand still for a moment
    base = max(least, next(found.median for found in rows if found.name == peer))
    if as_json:
        body = [{**found._asdict(), "ratio": found.median / base} for found in rows]
        print(json.dumps({"title": title, "unit": "ms", "peer": peer, "rows": body, "notes": list(notes)}))
        return
    width = max(len(found.name) for found in rows)
    print(f"\n{title}")
    print(f"{'':{width}}  {'median ms':>11} {'min':>9} {'max':>9} {'n':>4}  ratio")
    for found in rows:
        ratio = (
            f"1/{base / max(least, found.median):.1f}"
            if found.median < base
            else f"{found.median / base:.2f}"
        )
        print(
            f"{found.name:{width}}  {found.median:>11.3f} {found.least:>9.3f} {found.most:>9.3f} {found.n:>4}"
            f"  {'1 (peer)' if found.name == peer else ratio}"
        )
    for note in notes:
        print(f"  {note}")


def options(description: str | None, rounds: int, **switches: str) -> argparse.Namespace:
    """--json and --rounds, for each benchmark; and the switches it has of its own."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--rounds", type=int, default=rounds, help=f"counted runs of each candidate ({rounds})"
    )
    for name, words in switches.items():
        parser.add_argument(f"--{name}", action="store_true", help=words)
    return parser.parse_args()
