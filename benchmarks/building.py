"""Domains made a second on a simulated host: by its builder alone, and as jobs of the Xen daemon.

The host is a process of its own, and so is the daemon. Each round makes so many domains, several at once, and ends when
all of them run; they are destroyed before the next, which is not counted. There is no peer: nothing else makes domains
of such a host. With devices each domain has a disk and a network interface, whose backends come up as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from uuid import uuid4

import purevirt
from benchmarks import simulated
from purevirt import formats
from purevirt.api.uri import root_uri
from purevirt.daemons.xend.link import Link
from purevirt.daemons.xend.toolstack.native import NativeToolstack
from purevirt.daemons.xend.toolstack.simulated import SimulatedBuilder

AT_ONCE = 4  # as many as the daemon works on by default
CLIENTS = 8


def config(name: str, devices: bool) -> str:
    """A small PV domain, as an xl configuration."""
    text = f'name = "{name}"\ntype = "pv"\nuuid = "{uuid4()}"\nkernel = "/boot/vmlinuz"\nmemory = 64\n'
    if devices:
        text += f'disk = ["format=raw, vdev=xvda, target=/images/{name}"]\nvif = ["bridge=xenbr0"]\n'
    return text


def settle(root: str) -> None:
    """Wait until the backends' files have gone, of the domains that were destroyed."""
    interfaces = f"{root}/sys/class/net"
    until = time.monotonic() + 60
    while os.path.isdir(interfaces) and any(name.startswith("vif") for name in os.listdir(interfaces)):
        if time.monotonic() > until:
            raise RuntimeError("the backends of the domains that were destroyed stay")
        time.sleep(0.05)


def by_builder(root: str, texts: Sequence[str]) -> float:
    """Seconds until all of them run, by the builder in this process."""

    async def run() -> float:
        link = Link(root)
        await link.open()
        toolstack = NativeToolstack(link)
        builder = SimulatedBuilder(link)
        waiting = [formats.parse(text, "xen-xl").description for text in texts]

        async def worker() -> None:
            while waiting:
                domid = await builder.create(waiting.pop(), lambda what, share: None)
                info = next(each for each in await link.driver.list_domains() if each.domid == domid)
                await toolstack.resume(info)

        try:
            start = time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
            took = time.perf_counter() - start
            made = [each for each in await link.driver.list_domains() if each.domid]
            if len(made) != len(texts):
                raise RuntimeError(f"{len(made)} domains are there, not {len(texts)}")
            await asyncio.gather(*(toolstack.destroy(each) for each in made))
            return took
        finally:
            await link.close()

    return asyncio.run(run())


def by_daemon(connections: Sequence[purevirt.Connection], texts: Sequence[str]) -> float:
    """Seconds until all of them run, as jobs that so many clients begin and wait for."""
    waiting = list(texts)

    def worker(connection: purevirt.Connection) -> None:
        while True:
            try:
                text = waiting.pop()
            except IndexError:
                return
            connection.create(text, format="xen-xl")

    start = time.perf_counter()
    with ThreadPoolExecutor(len(connections)) as pool:
        list(pool.map(worker, connections))
    took = time.perf_counter() - start
    made = [domain for domain in connections[0].domains() if domain.id()]
    if len(made) != len(texts):
        raise RuntimeError(f"{len(made)} domains are there, not {len(texts)}")
    for domain in made:
        domain.destroy()
    return took


def measure(count: int, rounds: int) -> dict[str, list[float]]:
    """Domains a second, of each round."""
    rates: dict[str, list[float]] = {}
    with simulated.host(0) as root:

        def run(make: Callable[[Sequence[str]], float], who: str) -> None:
            for turn in range(rounds + 1):
                for devices in (False, True):
                    seconds = make([config(f"domain{number}", devices) for number in range(count)])
                    settle(root)
                    if turn:  # the first round warms up
                        name = f"{who}, {'a disk and an interface' if devices else 'no devices'}"
                        rates.setdefault(name, []).append(count / seconds)

        run(lambda texts: by_builder(root, texts), "the builder alone")
        with simulated.xend(root), ExitStack() as stack:
            connections = [stack.enter_context(purevirt.open(root_uri(root))) for _ in range(CLIENTS)]
            run(lambda texts: by_daemon(connections, texts), "jobs of the daemon")
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds of each kind (7)")
    parser.add_argument("--domains", type=int, default=100, help="domains made in each round (100)")
    options = parser.parse_args()
    rates = measure(options.domains, options.rounds)
    title = (
        f"Simulated domains made a second, {options.domains} in a row, {AT_ONCE} at once, on all processors"
    )
    if options.json:
        rows = [
            {"name": name, "median": statistics.median(values), "values": values}
            for name, values in rates.items()
        ]
        print(json.dumps({"title": title, "unit": "1/s", "rows": rows}))
        return
    print(f"\n{title}")
    print(f"{'':46} {'median':>7} {'least':>7} {'most':>7} {'n':>4}")
    for name, values in rates.items():
        print(
            f"{name:46} {statistics.median(values):>7.1f} {min(values):>7.1f} {max(values):>7.1f} {len(values):>4}"
        )


if __name__ == "__main__":
    main()
