"""`purevirt list` as a process beside `virsh list --all`, and both read-only. Runs in Domain 0, by `benchmarks.lab`.

Read-only, purevirt asks the Xen daemon, if it runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from benchmarks import report
from purevirt.channels.xend import SOCKET


def process(*argv: str) -> Callable[[], object]:
    return lambda: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    options = report.options(__doc__, 15)
    report.pin_with("libvirtd", "oxenstored", "xenstored")
    if os.path.exists(SOCKET):
        report.pin_server(SOCKET)
    candidates = {
        "virsh list --all": process("virsh", "-c", "xen:///", "list", "--all"),
        "virsh -r list --all": process("virsh", "-r", "-c", "xen:///", "list", "--all"),
        "xl list": process("xl", "list"),
        "purevirt list": process("purevirt", "list"),
        "purevirt -r list": process("purevirt", "-r", "list"),
        "python3 -c pass": process(sys.executable, "-c", "pass"),
    }
    rows = report.interleave(candidates, options.rounds)
    report.show("Listing as a process", rows, "virsh list --all", as_json=options.json)


if __name__ == "__main__":
    main()
