"""A domain's device model (QEMU, in Domain 0): it does not end with its domain by itself.

libxl notes its process id in the store, in a place that no guest can write. A process id may belong to somebody else by
now, so the process is asked what it was started for: QEMU gets its domain as "-xen-domid N".
"""

from __future__ import annotations

import itertools
import logging
import os
import signal

__all__ = ["end", "node", "serves"]

_log = logging.getLogger(__name__)


def node(domid: int) -> str:
    """Where the process id is noted."""
    return f"/local/domain/{domid}/image/device-model-pid"


def serves(command_line: bytes, domid: int) -> bool:
    """Whether a process with this /proc/PID/cmdline is the device model of that domain."""
    words = command_line.split(b"\0")
    return any(word == b"-xen-domid" and value == b"%d" % domid for word, value in itertools.pairwise(words))


def end(noted: bytes | None, domid: int, root: str) -> None:
    """End it as libxl does, by SIGHUP. Nothing happens if there is none, or the host is a simulated one."""
    if root or noted is None or not noted.isdigit() or len(noted) > 10:
        return
    pid = int(noted)
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            command_line = file.read()
        if pid > 1 and serves(command_line, domid):
            os.kill(pid, signal.SIGHUP)
    except OSError as error:
        _log.info("the device model of domain %d, process %d: %s", domid, pid, error)
