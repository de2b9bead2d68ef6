"""Our xenstored beside C xenstored and oxenstored: `python benchmarks/xenstored.py [--json] [--rounds N]`.

Client and daemon share one core (between two cores they would mostly wake each other: rates drop to a fifth
and say nothing), the client is one and the same bare Python socket for all, and the candidates take turns
within one run, so that whatever else the machine does hits them alike. Quote the ratios; the rates are this
machine's.

The rows: single reads (one at a time), transactions (start, read, write, end: four round trips), pipelined
reads (100 requests in one send), each per second, median of the rounds. And the memory of ours with 100,000
nodes.

The real daemons come from `tests.peers`; without them ours runs alone.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from purevirt.wire.xenstore import HEADER, Op  # noqa: E402 - after sys.path, to run as a script
from tests import peers  # noqa: E402

PATH = b"/local/domain/1/device/vbd/51712/state"
VALUE = b"4"
DEPTH = 100
NODES = 100_000


def packet(op: int, payload: bytes, tx_id: int = 0) -> bytes:
    return HEADER.pack(op, 1, tx_id, len(payload)) + payload


READ = packet(Op.READ, PATH + b"\0")
WRITE = packet(Op.WRITE, PATH + b"\0" + VALUE)


class Client:
    """One connection, and nothing between it and the system calls."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.sock.settimeout(30)
        self.ask(WRITE)
        if self.ask(READ)[16:] != VALUE:
            raise RuntimeError(f"{path} does not answer as a Xen Store")

    def ask(self, request: bytes) -> bytes:
        """One small reply. C xenstored sends its header and its payload apart."""
        self.sock.sendall(request)
        reply = self.sock.recv(4096)
        while len(reply) < 16 or len(reply) < 16 + HEADER.unpack_from(reply)[3]:
            reply += self.sock.recv(4096)
        return reply

    def single_reads(self, count: int) -> None:
        for _ in range(count):
            self.ask(READ)

    def transactions(self, count: int) -> None:
        read, write = PATH + b"\0", PATH + b"\0" + VALUE
        for _ in range(count):
            tx_id = int(self.ask(packet(Op.TRANSACTION_START, b"\0"))[16:-1])
            self.ask(packet(Op.READ, read, tx_id))
            self.ask(packet(Op.WRITE, write, tx_id))
            answer = self.ask(packet(Op.TRANSACTION_END, b"T\0", tx_id))
            if answer[16:] != b"OK\0":
                raise RuntimeError(f"a transaction without rivals failed: {answer[16:]!r}")

    def pipelined_reads(self, count: int) -> None:
        batch = READ * DEPTH
        expected = (16 + len(VALUE)) * DEPTH
        for _ in range(count // DEPTH):
            self.sock.sendall(batch)
            left = expected
            while left:
                left -= len(self.sock.recv(65536))

    def load(self, count: int) -> None:
        """Create about `count` nodes as a host with many domains has them."""
        per_device = ("state", "backend", "backend-id", "virtual-device", "device-type", "protocol")
        made = 0
        domid = 0
        while made < count:
            domid += 1
            requests = []
            for device in range(8):
                base = f"/local/domain/{domid}/device/vbd/{51712 + 16 * device}"
                requests += [f"{base}/{name}\0/local/domain/0/{device}" for name in per_device]
                made += 1 + len(per_device)
            made += 3
            payload = b"".join(packet(Op.WRITE, request.encode()) for request in requests)
            self.sock.sendall(payload)
            left = 19 * len(requests)
            while left:
                left -= len(self.sock.recv(65536))


WORKLOADS: dict[str, tuple[Callable[[Client, int], None], int]] = {
    "single reads/s": (Client.single_reads, 4000),
    "transactions/s": (Client.transactions, 1000),
    "pipelined reads/s": (Client.pipelined_reads, 20000),
}


@contextmanager
def ours(cpu: int) -> Iterator[tuple[str, int]]:
    """Our daemon as a process on one core: its socket and its pid."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/socket"
        ready = f"{directory}/pid"
        os.mkfifo(ready)
        process = subprocess.Popen(
            [sys.executable, "-m", "purevirt.daemons.xenstored", "--socket", path, "--pidfile", ready],
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )
        try:
            os.sched_setaffinity(process.pid, {cpu})
            Path(ready).read_text()  # a FIFO: it opens once the daemon writes, which is when it listens
            yield path, process.pid
        finally:
            process.terminate()
            process.wait()


def rss_mib(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no VmRSS")


def measure_memory(cpu: int) -> dict[str, float]:
    with ours(cpu) as (path, pid):
        client = Client(path)
        before = rss_mib(pid)
        client.load(NODES)
        after = rss_mib(pid)
    return {"empty MiB": before, "full MiB": after, "bytes per node": (after - before) * 2**20 / NODES}


def measure_rates(cpu: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Rates by candidate and workload, one per round."""
    with ExitStack() as stack:
        clients = {"ours": Client(stack.enter_context(ours(cpu))[0])}
        reason = peers.available()
        if reason:
            print(f"without the real daemons: {reason}", file=sys.stderr)
        else:
            clients["C xenstored"] = Client(stack.enter_context(peers.xenstored(pin_cpu=cpu)).socket)
            clients["oxenstored"] = Client(stack.enter_context(peers.oxenstored(pin_cpu=cpu)).socket)
        rates: dict[str, dict[str, list[float]]] = {name: {row: [] for row in WORKLOADS} for name in clients}
        for turn in range(rounds + 1):
            for row, (work, count) in WORKLOADS.items():
                for name, client in clients.items():
                    start = time.perf_counter()
                    work(client, count)
                    took = time.perf_counter() - start
                    if turn:  # the first round warms up
                        rates[name][row].append(count / took)
    return rates


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print all samples as JSON")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="samples per row (15)")
    options = parser.parse_args()
    cpu = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    rates = measure_rates(cpu, options.rounds)
    memory = measure_memory(cpu)
    if options.json:
        print(json.dumps({"cpu": cpu, "rates": rates, "memory": memory}, indent=1))
        return 0
    print(f"one core (CPU {cpu}) for client and daemon, medians, n = {options.rounds}")
    for row in WORKLOADS:
        mine = statistics.median(rates["ours"][row])
        for name, samples in rates.items():
            middle = statistics.median(samples[row])
            spread = f"{min(samples[row]):9,.0f} … {max(samples[row]):9,.0f}"
            print(f"  {row:18} {name:12} {middle:9,.0f}  ({spread})  ours is {mine / middle:5.2f} times that")
    empty, full, each = memory.values()
    print(f"  memory of ours: {empty:.1f} MiB empty, {full:.1f} with {NODES:,} nodes ({each:.0f} bytes each)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
