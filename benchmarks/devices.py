"""Attach a disk to a paused domain, beside `xl block-attach`. Runs in Domain 0, started by `benchmarks.lab`.

The domain is paused, so nobody waits for a guest: what is measured is the nodes, libxl's record, the backend getting
ready, and the hotplug script. That script does nothing here, for both; its own time, as a process alone, is shown, and
is taken off the figures of the second table. Each disk is taken away again before the next, which is not counted.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import purevirt
from benchmarks import report
from benchmarks.listing_process import process
from purevirt.channels.xend import SOCKET

NAME = "mini2"
IMAGE = "/var/lib/xen/images/benchmark.img"
SCRIPT = "/etc/xen/scripts/block-nothing"
XL = "xl block-attach"
PROCESS = "purevirt attach-disk (process)"
OPEN = "purevirt: attach_disk (open connection)"
ALONE = "the script alone"


def prepare() -> None:
    """A file, and a script that takes no time."""
    os.makedirs(os.path.dirname(IMAGE), exist_ok=True)
    with open(IMAGE, "wb") as file:
        os.truncate(file.fileno(), 1 << 20)
    with open(SCRIPT, "w") as script:
        script.write("#!/bin/sh\nexit 0\n")
    os.chmod(SCRIPT, 0o755)


def main() -> None:
    options = report.options(__doc__, 11)
    report.pin_with("oxenstored", "xenstored")
    report.pin_server(SOCKET)
    prepare()
    script = os.path.basename(SCRIPT)
    with purevirt.open() as connection:
        domain = connection.lookup_by_name(NAME)
        if "p" not in (domain.info().flags or ""):
            domain.suspend()
        xl = f"format=raw,vdev=xvdb,script={script},target={IMAGE}"
        candidates: dict[str, Callable[[], object]] = {
            XL: process("xl", "block-attach", NAME, xl),
            PROCESS: process("purevirt", "attach-disk", NAME, IMAGE, "xvdb", "--script", script),
            OPEN: lambda: domain.attach_disk(IMAGE, "xvdb", script=script),
            ALONE: lambda: subprocess.run([SCRIPT, "add"], check=True),
        }
        times: dict[str, list[float]] = {name: [] for name in candidates}
        for turn in range(options.rounds + 1):
            for name, function in candidates.items():
                took = report.milliseconds(function)
                if name != ALONE:
                    domain.detach_disk("xvdb", force=True)
                if turn:  # the first connects, and warms up
                    times[name].append(took)
    rows = {name: report.row(name, values) for name, values in times.items()}
    report.show("Attach a disk", list(rows.values()), XL, as_json=options.json)
    own = rows[ALONE].median
    without = [
        report.row(name, [value - own for value in values]) for name, values in times.items() if name != ALONE
    ]
    report.show("Attach a disk, without the script's own time", without, XL, as_json=options.json)


if __name__ == "__main__":
    main()
