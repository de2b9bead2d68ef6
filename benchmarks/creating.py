"""Create a domain until it runs, beside `xl create`. Runs in Domain 0, started by `benchmarks.lab`.

The same Linux guest with a disk and a network interface; it is destroyed again before the next, which is not counted.
For `xl` that is the whole command, since there is no other way; purevirt's job is measured over an open connection, and
as a command.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import purevirt
from benchmarks import report
from benchmarks.listing_process import process
from purevirt.channels.xend import SOCKET

NAME = "created"
IMAGE = "/var/lib/xen/images/created.img"
FILE = "/tmp/created.cfg"
TEXT = f"""name = "{NAME}"
memory = 96
kernel = "/boot/guest-kernel"
ramdisk = "/lab/guest.cpio"
cmdline = "console=hvc0 quiet loglevel=3 mitigations=off random.trust_cpu=on"
disk = ["{IMAGE},raw,xvda,rw"]
vif = ["bridge=xenbr0"]
"""
XL = "xl create"
PROCESS = "purevirt create (process)"
OPEN = "purevirt: create (open connection)"


def main() -> None:
    options = report.options(__doc__, 7)
    report.pin_with("oxenstored", "xenstored")
    report.pin_server(SOCKET)
    os.makedirs(os.path.dirname(IMAGE), exist_ok=True)
    with open(IMAGE, "wb") as image:
        os.truncate(image.fileno(), 16 << 20)
    with open(FILE, "w") as file:
        file.write(TEXT)
    with purevirt.open() as connection:
        candidates: dict[str, Callable[[], object]] = {
            XL: process("xl", "create", "-q", FILE),
            PROCESS: process("purevirt", "create", FILE),
            OPEN: lambda: connection.create(TEXT),
        }
        times: dict[str, list[float]] = {name: [] for name in candidates}
        for turn in range(options.rounds + 1):
            for name, function in candidates.items():
                took = report.milliseconds(function)
                assert connection.lookup_by_name(NAME).info().state.name in ("RUNNING", "BLOCKED")
                subprocess.run(["xl", "destroy", NAME], check=True)
                if turn:  # the first warms up
                    times[name].append(took)
    rows = [report.row(name, values) for name, values in times.items()]
    report.show("Create a domain until it runs", rows, XL, as_json=options.json)


if __name__ == "__main__":
    main()
