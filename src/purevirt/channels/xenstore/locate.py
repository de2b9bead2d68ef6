"""Which Xen Store to open: a decision, taken from names and from what exists, without opening anything.

In this order (libxenstore's, with the read-only sockets that Xen dropped in 4.15 and our daemon serves
again):

1. the path that was asked for;
2. below `root`, a simulated host's directory: its own var/run/xenstored/socket, and nothing outside;
3. $XENSTORED_PATH; 4. $XENSTORED_RUNDIR/socket; 5. /var/run/xenstored/socket, /run/xenstored/socket;
6. the kernel's device: /dev/xen/xenbus, /proc/xen/xenbus (Linux), /dev/xen/xenstore (FreeBSD),
/kern/xen/xenbus
   (NetBSD): in a stub domain or a guest there is no socket.

A read-only connection prefers, at each step, the socket whose name ends in "_ro", and then
/run/purevirt/socket_ro, before any that can write. The first that exists is chosen; whether it answers is for
the attempt to tell, because trying them in turn would hide what is wrong with the one that was meant.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

__all__ = ["DEVICES", "READ_ONLY", "SOCKETS", "candidates", "locate"]

SOCKETS = ("/var/run/xenstored/socket", "/run/xenstored/socket")
READ_ONLY = "/run/purevirt/socket_ro"
DEVICES = ("/dev/xen/xenbus", "/proc/xen/xenbus", "/dev/xen/xenstore", "/kern/xen/xenbus")


def candidates(environ: Mapping[str, str], *, root: str | None = None, read_only: bool = False) -> list[str]:
    """Every path that may hold the Xen Store, the best first."""
    if root is not None:
        base = root.rstrip("/")
        sockets = [base + path for path in SOCKETS]
        preferred = [base + READ_ONLY]
        devices: list[str] = []
    else:
        preferred = [READ_ONLY]
        devices = list(DEVICES)
        if environ.get("XENSTORED_PATH"):
            # Whoever says where it is means there, and nowhere else.
            sockets, preferred, devices = [environ["XENSTORED_PATH"]], [], []
        elif environ.get("XENSTORED_RUNDIR"):
            sockets = [environ["XENSTORED_RUNDIR"].rstrip("/") + "/socket"]
            preferred = []
        else:
            sockets = list(SOCKETS)
    if read_only:
        return [path + "_ro" for path in sockets] + preferred + sockets + devices
    return sockets + devices


def locate(
    path: str | None = None,
    *,
    root: str | None = None,
    read_only: bool = False,
    environ: Mapping[str, str] = os.environ,
    exists: Callable[[str], bool] = os.path.exists,
) -> str:
    """The path to open. If no candidate exists, the usual socket: the error then names what is missing."""
    if path is not None:
        return path
    found = candidates(environ, root=root, read_only=read_only)
    usual = candidates(environ, root=root)[0]
    return next((candidate for candidate in found if exists(candidate)), usual)
