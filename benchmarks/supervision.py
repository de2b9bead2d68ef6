"""The Xen daemon supervising 1,000 simulated domains: memory, reads while jobs run, and how long it takes to start.

The host is a process of its own, and so are the daemon and whoever loads it. Each domain is defined and started by the
daemon, has a disk and an interface, and runs. Then:

- memory: the daemon's, when it has made them all, and when it has been started anew over them;
- start: from the program's start to its word that it serves, with that many definitions and domains to agree with;
- reads: of one domain, of all, and of a definition, by a client that is held to the daemon's core, first while nothing
  else happens, then while 50 clients each make a domain, destroy it, and so on, every one a job.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import purevirt
from benchmarks import report, simulated
from benchmarks.building import config
from purevirt.api.uri import root_uri

DOMAINS = 1000
CLIENTS = 50


def define_and_start(uri: str, count: int) -> None:
    """Have the daemon remember so many domains, and make them."""
    names = iter([f"domain{number}" for number in range(count)])
    lock = threading.Lock()

    def worker(_: int) -> None:
        with purevirt.open(uri) as connection:
            while True:
                with lock:
                    name = next(names, None)
                if name is None:
                    return
                connection.define(config(name, devices=True), format="xen-xl").start()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(worker, range(8)))


def load(uri: str) -> None:
    """What the process that loads the daemon does until it is ended: so many clients, each always with a job."""

    def worker(number: int) -> None:
        with purevirt.open(uri) as connection:
            while True:
                connection.create(config(f"load{number}", devices=True), format="xen-xl").destroy()

    for number in range(CLIENTS):
        threading.Thread(target=worker, args=(number,), daemon=True).start()
    sys.stdin.read()


@contextmanager
def loaded(uri: str) -> Iterator[None]:
    """While this lasts jobs run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.supervision", "--load", uri],
        env={**os.environ, "PYTHONPATH": simulated.SRC},
        stdin=subprocess.PIPE,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Reading:
    """One kind of read, and how long each took, in milliseconds."""

    def __init__(self, name: str, function: Callable[[], object]) -> None:
        self.name = name
        self.function = function
        self.times: list[float] = []

    def figures(self) -> dict[str, float]:
        times = sorted(self.times)
        return {
            "median": times[len(times) // 2],
            "p99": times[min(len(times) - 1, len(times) * 99 // 100)],
            "most": times[-1],
            "n": len(times),
        }


def read(connection: purevirt.Connection, domains: Sequence[purevirt.Domain], rounds: int) -> list[Reading]:
    """Read in turn, this many of each kind."""
    number = 0

    def next_domain() -> purevirt.Domain:
        nonlocal number
        number += 7
        return domains[number % len(domains)]

    readings = [
        Reading("domain_info", lambda: next_domain().info()),
        Reading("definition", lambda: next_domain().definition()),
        Reading("list_domains", connection.domain_infos),
    ]
    for turn in range(rounds + 1):
        for reading in readings:
            took = report.milliseconds(reading.function)
            if turn:
                reading.times.append(took)
    return readings


def pin(pid: int, cpu: int) -> None:
    """Hold all threads of a process to a core."""
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(task), {cpu})


def measure(
    count: int, rounds: int, starts: int, parallel: int
) -> tuple[dict[str, float], list[float], dict[str, list[Reading]]]:
    """Memory in MiB and other single figures; seconds of each start; and the reads."""
    figures: dict[str, float] = {}
    with simulated.host(0) as root:
        uri = root_uri(root)
        with simulated.xend(root, parallel) as pid:
            start = time.perf_counter()
            define_and_start(uri, count)
            figures["defined and started, a second"] = count / (time.perf_counter() - start)
            figures["MiB, when it has made them"] = simulated.rss_mib(pid)
        took = []
        for _ in range(starts):
            start = time.perf_counter()
            with simulated.xend(root, parallel) as pid:
                took.append(time.perf_counter() - start)
        with simulated.xend(root, parallel) as pid:
            figures["MiB, when it has started over them"] = simulated.rss_mib(pid)
            cpu = min(os.sched_getaffinity(0))
            pin(pid, cpu)
            before = os.sched_getaffinity(0)
            with purevirt.open_read_only(uri) as connection:
                if len(connection.domain_infos()) != count + 1 or len(connection.definitions()) != count:
                    raise RuntimeError("some domains are not there, or not defined")
                domains = connection.domains()[1:]  # all but Domain 0
                report.pin(cpu)
                readings = {"nothing else happens": read(connection, domains, rounds)}
                os.sched_setaffinity(0, before)
                with loaded(uri):
                    report.pin(cpu)
                    until = time.monotonic() + 60
                    while not (active := len(connection.jobs(active=True))) > CLIENTS // 2:
                        if time.monotonic() > until:
                            raise RuntimeError(f"only {active} jobs run")
                        time.sleep(0.1)
                    last = connection.jobs()[-1].id
                    start = time.perf_counter()
                    readings["jobs run"] = read(connection, domains, rounds)
                    seconds = time.perf_counter() - start
                    figures["jobs under way meanwhile"] = len(connection.jobs(active=True))
                    figures["jobs a second meanwhile"] = (connection.jobs()[-1].id - last) / seconds
            figures["MiB, after that"] = simulated.rss_mib(pid)
    return figures, took, readings


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--rounds", type=int, default=500, help="reads of each kind (500)")
    parser.add_argument("--starts", type=int, default=7, help="starts of the daemon (7)")
    parser.add_argument("--domains", type=int, default=DOMAINS, help=f"how many domains ({DOMAINS})")
    parser.add_argument(
        "--parallel", type=int, default=4, help="jobs that are worked on at once (4, the default)"
    )
    parser.add_argument("--load", metavar="URI", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load(options.load)
        return
    figures, took, readings = measure(options.domains, options.rounds, options.starts, options.parallel)
    title = f"The Xen daemon supervising {options.domains:,} simulated domains"
    start = report.row("start to ready, ms", [seconds * 1e3 for seconds in took])
    if options.json:
        reads = {when: {each.name: each.figures() for each in found} for when, found in readings.items()}
        print(json.dumps({"title": title, **figures, "start": start._asdict(), "reads": reads}))
        return
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:36} {value:8.1f}")
    print(
        f"  start to ready: median {start.median:.0f} ms, {start.least:.0f} to {start.most:.0f}, n = {start.n}"
    )
    print(f"  {'':40} {'median ms':>9} {'99 %':>8} {'most':>8} {'n':>5}")
    for when, found in readings.items():
        _show(when, found)


def _show(when: str, found: Sequence[Reading]) -> None:
    for each in found:
        f = each.figures()
        name = f"{each.name}, {when}"
        print(f"  {name:40} {f['median']:>9.2f} {f['p99']:>8.2f} {f['most']:>8.2f} {f['n']:>5.0f}")


if __name__ == "__main__":
    main()
