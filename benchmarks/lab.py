"""On the real Xen: listing 50 domains made by libvirt, beside libvirt-python and virsh. Boots the lab.

Two tasks, each with its peer in the same run:

- on an open connection, "id, name, UUID, state, memory, vCPUs and CPU time of all domains": libvirt-python's
  `listAllDomains` and `info` of each, against `domain_infos()`; the raw hypercall with its unpacking is the limit;
- as a process: `virsh list --all` against `purevirt list`.

The domains are libvirt's, since libvirt does not see others'. Time goes about ten times slower in there: read ratios.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lab
from benchmarks import report

COUNT = 50


def main() -> None:
    options = report.options(__doc__, 11, xsave="with XSAVE, as real hosts have (see lab/qemu.py)")
    with lab.boot(xsave=options.xsave) as host:
        host.install_checkout(Path(__file__).resolve().parents[1])
        host.start_libvirtd()
        host.create_mini_guests(COUNT, paused=True, by="libvirt")
        flags = ["--json"] if options.json else []
        for module in ("benchmarks.listing", "benchmarks.listing_process"):
            done = host.python(["-m", module, "--rounds", str(options.rounds), *flags], timeout=900)
            sys.stdout.write(done.stdout)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
