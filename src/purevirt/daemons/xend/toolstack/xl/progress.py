"""What `xl` says of its progress -> steps for people, and how much is done.

A domain that is made goes through steps, of which libxl's debug lines tell; how long each takes depends on memory and
scripts, so the fractions are no more than an order. A domain that is sent away is counted by libxc, in pages.
"""

from __future__ import annotations

import re

from purevirt.daemons.xend.toolstack.builder import Report

__all__ = ["Progress", "making", "migrating", "sending"]

_Step = tuple[re.Pattern[str], str, float]

_COUNTED = re.compile(r"^xc: \w+: (?P<what>[^:]+): (?P<done>\d+)/(?P<all>\d+)\s+\d+%$")


def _steps(*steps: tuple[str, str, float]) -> tuple[_Step, ...]:
    return tuple((re.compile(pattern), step, done) for pattern, step, done in steps)


_MAKING = _steps(
    (r"do_domain_create: ", "beginning", 0.05),
    (r"bootloader_run: (?!.*using user supplied kernel)", "looking for a kernel", 0.1),
    (r"xc_dom_parse_image: called", "reading the kernel", 0.2),
    (r"xc_dom_boot_mem_init: called", "allocating memory", 0.3),
    (r"xc_dom_build_image: called", "loading the kernel", 0.4),
    (r"xc_dom_release: called", "adding devices", 0.6),
    (r"Spawning device-model", "starting the device model", 0.7),
    (r"calling hotplug script: \S*/block\S* add", "setting up disks", 0.75),
    (r"calling hotplug script: \S*/vif\S* online", "setting up interfaces", 0.85),
    (r"console/tty token", "connecting the console", 0.95),
)


_MIGRATING = _steps(
    (r"Ready to receive domain", "copying memory", 0.05),
    (r"Transfer complete", "handing over", 0.9),
    (r"Giving target permission", "letting it run there", 0.95),
    (r"Target reports successful startup", "done", 1.0),
)


class Progress:
    """Reports each step once, in their order, and what is counted."""

    def __init__(self, report: Report, steps: tuple[_Step, ...] = ()) -> None:
        self._report = report
        self._steps = steps
        self._done = -1.0

    def line(self, line: str) -> None:
        """A line of output."""
        if (counted := _COUNTED.match(line)) is not None and int(counted["all"]):
            self._report(None, min(1.0, int(counted["done"]) / int(counted["all"])))
            return
        for pattern, step, done in self._steps:
            if done > self._done and pattern.search(line):
                self._done = done
                self._report(step, done)
                return


def making(report: Report) -> Progress:
    """For what makes a domain."""
    return Progress(report, _MAKING)


def sending(report: Report) -> Progress:
    """For what writes its state or its memory."""
    return Progress(report)


def migrating(report: Report) -> Progress:
    """For what sends it to another host."""
    return Progress(report, _MIGRATING)
