"""`purevirt suspend` and `resume` as processes beside `virsh`'s. Runs in Domain 0, started by `benchmarks.lab`.

The domain is libvirt's; each suspends and resumes it in turn. `xl`, which asks no daemon, stands beside them.
"""

from __future__ import annotations

import sys

from benchmarks import report
from benchmarks.listing_process import process
from purevirt.channels.xend import SOCKET

NAME = "mini1"
PYTHON = "python3 -c pass"


def main() -> None:
    options = report.options(__doc__, 15)
    report.pin_with("libvirtd", "oxenstored", "xenstored")
    report.pin_server(SOCKET)
    candidates = {
        "virsh suspend": process("virsh", "-c", "xen:///", "suspend", NAME),
        "virsh resume": process("virsh", "-c", "xen:///", "resume", NAME),
        "purevirt suspend": process("purevirt", "suspend", NAME),
        "purevirt resume": process("purevirt", "resume", NAME),
        "xl pause": process("xl", "pause", NAME),
        "xl unpause": process("xl", "unpause", NAME),
        PYTHON: process(sys.executable, "-c", "pass"),
    }
    rows = {row.name: row for row in report.interleave(candidates, options.rounds)}
    for ours, xl in (("suspend", "pause"), ("resume", "unpause")):
        shown = [rows[name] for name in (f"virsh {ours}", f"purevirt {ours}", f"xl {xl}", PYTHON)]
        report.show(f"{ours.capitalize()} as a process", shown, f"virsh {ours}", as_json=options.json)


if __name__ == "__main__":
    main()
