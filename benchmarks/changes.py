"""Suspend and resume a domain, to the effect seen in the hypervisor, on an open connection. Runs in Domain 0.

`benchmarks.lab` starts it there, beside libvirtd and `purevirt xend`. Each candidate suspends the domain, asks the
hypervisor (getdomaininfo, the same bare hypercall for all) whether it is paused, resumes it, and asks again: the time
is that of all four. The domain is libvirt's, since libvirt does not see others'; for the time of a pair, each leaves it
as it found it, running. Beside the two APIs stand what the asking alone takes, and the two hypercalls without a daemon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import purevirt
from benchmarks import report
from benchmarks.listing import libvirt_open
from purevirt._run import run_blocking
from purevirt.channels.hypercall import dial
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.xend import SOCKET
from purevirt.wire.hypercall.numbers import DomainFlag

IN_A_ROW = 5
NAME = "mini1"
LIBVIRT = "libvirt-python: suspend, resume"
PUREVIRT = "purevirt: suspend, resume"
HYPERCALLS = "the hypercalls alone: pause, unpause"
LOOKING = "asking twice whether it is paused"


class Eye:
    """The hypervisor's word on one domain."""

    def __init__(self, domid: int) -> None:
        self.domid = domid
        self.client = run_blocking(HypercallClient.open(run_blocking(dial.dial("", "blocking", 10.0))))

    def paused(self) -> bool:
        info = run_blocking(self.client.domain_info(self.domid))
        if info is None:
            raise RuntimeError(f"domain {self.domid} is gone")
        return bool(info.flags & DomainFlag.PAUSED)

    def expect(self, paused: bool) -> None:
        if self.paused() is not paused:
            raise RuntimeError(f"domain {self.domid} is {'not ' if paused else ''}paused")


def pair(eye: Eye, suspend: Callable[[], object], resume: Callable[[], object]) -> Callable[[], None]:
    """Both, each with its effect looked for."""

    def run() -> None:
        suspend()
        eye.expect(True)
        resume()
        eye.expect(False)

    return run


def main() -> None:
    options = report.options(__doc__, 7, free="on all processors, instead of everything on one")
    if not options.free:
        report.pin_with("libvirtd", "oxenstored", "xenstored")
        report.pin_server(SOCKET)
    theirs: Any = libvirt_open().lookupByName(NAME)
    eye = Eye(theirs.ID())
    client, domid = eye.client, eye.domid
    with purevirt.open() as connection:
        ours = connection.lookup_by_name(NAME)
        if eye.paused():
            theirs.resume()
        candidates = {
            LIBVIRT: pair(eye, theirs.suspend, theirs.resume),
            PUREVIRT: pair(eye, ours.suspend, ours.resume),
            HYPERCALLS: pair(
                eye,
                lambda: run_blocking(client.pause_domain(domid)),
                lambda: run_blocking(client.unpause_domain(domid)),
            ),
            LOOKING: lambda: (eye.paused(), eye.paused()),
        }
        times: dict[str, list[float]] = {name: [] for name in candidates}
        # In turn, a few of each: the first after another candidate finds caches that are the other's.
        for turn in range(options.rounds + 1):
            for name, function in candidates.items():
                for _ in range(IN_A_ROW):
                    took = report.milliseconds(function)
                    if turn:  # the first connects, and warms up
                        times[name].append(took)
    where = "all processors" if options.free else "one processor for both ends"
    rows = [report.row(name, values) for name, values in times.items()]
    report.show(
        f"Suspend and resume, seen in the hypervisor, open connection, {where}",
        rows,
        LIBVIRT,
        as_json=options.json,
    )


if __name__ == "__main__":
    main()
