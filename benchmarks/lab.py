"""On the real Xen, beside libvirt-python and virsh: listing 50 domains, suspending and resuming one. Boots the lab.

Each task has its peer in the same run:

- on an open connection, "id, name, UUID, state, memory, vCPUs and CPU time of all domains": libvirt-python's
  `listAllDomains` and `info` of each, against `domain_infos()`; the raw hypercall with its unpacking is the limit;
- the same on read-only connections: libvirtd's, and ours through the Xen daemon;
- as a process: `virsh list --all` against `purevirt list`;
- suspend and resume of one domain, on an open connection, to the effect seen in the hypervisor; and as processes;
- attaching a disk to a paused domain, beside `xl block-attach`.

The domains are libvirt's, since libvirt does not see others'. Time goes about ten times slower in there: read ratios.
Modules named on the command line are run alone: `python -m benchmarks.lab changes changes_process`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import lab
from lab.checkout import ENVIRONMENT

COUNT = 50
MODULES = (
    "listing",
    "listing_read_only",
    "listing_process",
    "changes",
    "changes_process",
    "devices",
    "creating",
)
_WAIT = 'until grep -q ready "$1"; do kill -0 "$2"; sleep 0.2; done'


def start_xend(host: lab.Host) -> None:
    """Start the Xen daemon in Domain 0, and wait until it serves."""
    daemon = host.spawn(["python3", "-m", "purevirt", "xend"], env=ENVIRONMENT)
    done = host.shell(_WAIT, daemon.log, str(daemon.pid), timeout=120, check=False)
    if done.status:
        raise RuntimeError(f"the Xen daemon does not start: {daemon.output()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help=f"what to run: {', '.join(MODULES)} (all)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--rounds", type=int, default=11, help="counted runs of each candidate (11)")
    parser.add_argument(
        "--xsave", action="store_true", help="with XSAVE, as real hosts have (see lab/qemu.py)"
    )
    options = parser.parse_args()
    wanted = options.modules or list(MODULES)
    if not set(wanted) <= set(MODULES):
        parser.error(f"the modules are {', '.join(MODULES)}")
    with lab.boot(xsave=options.xsave) as host:
        host.install_checkout(Path(__file__).resolve().parents[1])
        host.start_libvirtd()
        host.create_mini_guests(COUNT, paused=True, by="libvirt")
        start_xend(host)
        flags = ["--json"] if options.json else []
        for module in wanted:
            arguments = ["-m", f"benchmarks.{module}", "--rounds", str(options.rounds), *flags]
            sys.stdout.write(host.python(arguments, timeout=900).stdout)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
