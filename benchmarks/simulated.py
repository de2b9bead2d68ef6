"""A simulated host and the Xen daemon over it, each a process of its own, for benchmarks of the daemon."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["SOCKET", "cpu_seconds", "host", "rss_mib", "xend"]

SRC = str(Path(__file__).resolve().parents[1] / "src")
SOCKET = "run/purevirt/xend.sock"


@contextmanager
def host(domains: int) -> Iterator[str]:
    """`purevirt host` without a daemon of its own: the directory below which it lives.

    It is in memory, as what a kernel shows is (/proc, /sys) and as /run is; /var is on a disk, with the daemon's state.
    """
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with (
        tempfile.TemporaryDirectory(prefix="purevirt-bench-", dir=memory) as root,
        tempfile.TemporaryDirectory(prefix="purevirt-bench-") as disk,
    ):
        os.makedirs(f"{disk}/lib/xen")
        os.symlink(disk, f"{root}/var")
        arguments = ["host", "--dir", root, "--no-xend", "--domains", str(domains), "--cpus", "32"]
        with _process(*arguments, "--memory", str(256 << 10)):
            yield root


@contextmanager
def xend(root: str, parallel: int | None = None) -> Iterator[int]:
    """`purevirt xend` over it, with so many jobs worked on at once (None: the default): its process id."""
    arguments = ["xend", "--root", root]
    if parallel is not None:
        file = Path(f"{root}/xend.toml")
        file.write_text(f"[jobs]\nparallel = {parallel}\n", encoding="ascii")
        arguments += ["--config", str(file)]
    with _process(*arguments) as pid:
        yield pid


@contextmanager
def _process(*arguments: str) -> Iterator[int]:
    """A program that says by its first line that it serves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "purevirt", *arguments],
        env={**os.environ, "PYTHONPATH": SRC},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            raise RuntimeError(f"purevirt {' '.join(arguments)} does not start")
        yield process.pid
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all its threads: what clock_getcpuclockid(3) leads to."""
    return time.clock_gettime((~pid << 3) | 2)


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no VmRSS")
