"""`purevirt list` as a process beside `virsh list --all`. Runs in Domain 0, started by `benchmarks.lab`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from benchmarks import report


def process(*argv: str) -> Callable[[], object]:
    return lambda: subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    options = report.options(__doc__, 15)
    report.pin_with("libvirtd", "oxenstored", "xenstored")
    candidates = {
        "virsh list --all": process("virsh", "-c", "xen:///", "list", "--all"),
        "xl list": process("xl", "list"),
        "purevirt list": process("purevirt", "list"),
        "python3 -c pass": process(sys.executable, "-c", "pass"),
    }
    rows = report.interleave(candidates, options.rounds)
    report.show("Listing as a process", rows, "virsh list --all", as_json=options.json)


if __name__ == "__main__":
    main()
