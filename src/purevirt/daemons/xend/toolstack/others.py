"""Who else answers for a domain: the `xl` that waits for its end, or libvirt's daemon.

An `xl create` that has made a domain stays as a process whose output goes to /var/log/xen/xl-NAME.log, and does what
the domain's policies say. libvirt's daemon keeps a file for each domain that it has started.

Source: libxl's create_domain and its do_daemonize; libxlDomainObjPrivate's status files of libvirt 9.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal

from purevirt.errors import Timeout

__all__ = ["end_waiter", "libvirt_has", "waiters"]

_LIBVIRT = ("/run/libvirt/libxl", "/var/run/libvirt/libxl")
_DAEMONS = ("libvirtd", "virtxend")
_PATIENCE = 10.0


def waiters(name: str) -> list[int]:
    """The processes of `xl` that wait for the end of a domain of that name."""
    log = f"/var/log/xen/xl-{name}.log"
    return [pid for pid in _processes(("xl",)) if _leads_to(pid, log)]


def libvirt_has(name: str) -> bool:
    """Whether libvirt's daemon runs, and has started the domain."""
    files = any(os.path.exists(f"{directory}/{name}.xml") for directory in _LIBVIRT)
    return files and any(True for _ in _processes(_DAEMONS))


def _processes(names: tuple[str, ...]) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/comm", encoding="utf-8", errors="replace") as file:
                    if file.read().strip() in names:
                        found.append(int(entry))
            except OSError:
                continue  # it has ended
    return found


def _leads_to(pid: int, path: str) -> bool:
    for number in (1, 2):
        try:
            if os.readlink(f"/proc/{pid}/fd/{number}").removesuffix(" (deleted)").startswith(path):
                return True
        except OSError:
            continue
    return False


async def end_waiter(pid: int) -> None:
    """End it, and see that it has ended. The domain does not notice. Timeout."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(fd, number)
            if await asyncio.to_thread(select.select, [fd], [], [], _PATIENCE / 2) != ([], [], []):
                return
    except ProcessLookupError:
        return
    finally:
        os.close(fd)
    raise Timeout(f"the xl that waits for the domain (process {pid}) does not end")
