"""Hotplug scripts: they set up what a backend needs in Domain 0 (a loop device, a port of a bridge), or take it back.

libxl runs them itself, so whoever adds a device or destroys a domain in its place has to: "add" and "remove" for a
disk, "online" and "offline" for an interface. (Old releases could leave it to udev; a script that finds nothing to take
back does no harm.) A script is run only if it is a file of root's that nobody else may write, in a directory of which
the same is true. A device cannot be had if its script fails: `bring_up` raises, with the script's own words. What is
taken back is gone either way: `tear_down` writes to the daemon's log. Simulated hosts have no scripts.

Source: libxl_linux.c, get_hotplug_env and libxl__hotplug_disk / _nic.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import stat
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from purevirt.daemons.xend.toolstack.base import Host
from purevirt.errors import OperationError, Timeout

__all__ = ["Command", "bring_up", "command", "tear_down", "trusted"]

TIMEOUT = 10.0
_SHOWN = 400  # bytes at the end of what a script said
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_log = logging.getLogger(__name__)


class Command(NamedTuple):
    """What to run, and what to tell it beside PATH."""

    arguments: tuple[str, ...]
    environment: dict[str, str]


class _Ended(NamedTuple):
    """How a script ended: its status (None: it was killed, since it took too long), and what it said."""

    status: int | None
    output: str


def command(
    backend: str, script: str, vifname: str | None, *, up: bool = False, netdev: str = ""
) -> Command | None:
    """What sets one backend up, or takes it back; None for a kind that has no script.

    `backend` is /local/domain/0/backend/…; a new interface has the kernel's name until its script gives it another.
    """
    kind, domid, number = backend.split("/")[5:8]
    environment = {
        "script": script,
        "XENBUS_TYPE": kind,
        "XENBUS_PATH": f"backend/{kind}/{domid}/{number}",
        "XENBUS_BASE_PATH": "backend",
    }
    if kind == "vbd":
        return Command((script, "add" if up else "remove"), environment)
    if kind == "vif":
        given = f"vif{domid}.{number}"
        environment.update(vif=given if up else vifname or given, netdev=netdev)
        return Command((script, "online" if up else "offline", "type_if=vif"), environment)
    return None


def trusted(path: str) -> bool:
    """Whether a script may be run as root: only root can have written it, or put it there."""
    try:
        for part in (os.path.realpath(path), os.path.dirname(os.path.realpath(path))):
            found = os.stat(part)
            if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return False
        return os.path.isabs(path) and os.access(path, os.X_OK)
    except OSError:
        return False


def _distrust(path: str) -> str:
    return "is not a program that only root may write" if os.path.exists(path) else "does not exist"


async def bring_up(host: Host, backend: str, device: str, seconds: float) -> None:
    """Run the script of a new backend to its end, if it has one. OperationError with what it said; Timeout.

    `device` is what messages call it. What a script that failed had set up is taken back by whoever removes the device.
    """
    if host.root:
        return
    script, gateway = await _texts(host, backend, "script", "gatewaydev")
    found = command(backend, script, None, up=True, netdev=gateway or "") if script else None
    if script is None or found is None:
        return
    if not trusted(script):
        raise OperationError(f"{device}: its hotplug script {script} {_distrust(script)}", path=script)
    try:
        ended = await _run(found, seconds)
    except OSError as error:
        raise OperationError(
            f"{device}: its hotplug script {script} cannot be run: {error.strerror or error}", path=script
        ) from error
    if ended.status is None:
        raise Timeout(
            f"{device}: its hotplug script {script} did not end within {seconds:.3g} s",
            path=script,
            detail=ended.output or None,
        )
    status, said = await _texts(host, backend, "hotplug-status", "hotplug-error")
    if ended.status or status == "error":
        reason = said or ended.output.rpartition("\n")[2] or f"it ended with status {ended.status}"
        raise OperationError(
            f"{device}: its hotplug script {script} failed: {' '.join(reason.split())}",
            path=script,
            detail=ended.output or None,
        )


async def tear_down(host: Host, backends: Sequence[str]) -> None:
    """Run the scripts of these backends, those in Domain 0, all at the same time: they have locks of their own."""
    if host.root:
        return
    ours = [path for path in backends if path.startswith("/local/domain/0/backend/")]
    running = []
    for path in ours:
        script, vifname, gateway = await _texts(host, path, "script", "vifname", "gatewaydev")
        found = command(path, script, vifname, netdev=gateway or "") if script else None
        if found is None:
            continue
        if not trusted(found.arguments[0]):
            _log.error("the script of %s is not run: %s is not root's alone", path, script)
            continue
        running.append(_down(found, path))
    await asyncio.gather(*running)


async def _texts(host: Host, backend: str, *keys: str) -> list[str | None]:
    values = await host.store.read_many([f"{backend}/{key}" for key in keys])
    return [None if value is None else os.fsdecode(value) for value in values]


async def _down(found: Command, backend: str) -> None:
    try:
        ended = await _run(found, TIMEOUT)
    except OSError as error:
        _log.error("the script of %s: %s", backend, error)
        return
    if ended.status is None:
        _log.error("the script of %s did not end within %g s", backend, TIMEOUT)
    elif ended.status:
        _log.warning("the script of %s ended with status %d: %s", backend, ended.status, ended.output)


async def _run(found: Command, seconds: float) -> _Ended:
    """To its end; with all that it started, if it has to be killed. OSError: it cannot be run.

    What it says goes to memory, not into a pipe: a program that it leaves running would keep that open. asyncio's own
    way to run programs has a pipe, a transport for each end and, before Python 3.12, a thread for each program.
    """
    with os.fdopen(os.memfd_create("hotplug"), "w+b") as said:
        process = subprocess.Popen(  # noqa: ASYNC220 - returns when the program has been started
            found.arguments,
            env={"PATH": _PATH, **found.environment},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        status = None
        try:
            async with asyncio.timeout(seconds):
                await _ended(process)
            status = process.wait()
        except TimeoutError:
            pass
        finally:
            if status is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        size = said.seek(0, os.SEEK_END)
        said.seek(max(0, size - _SHOWN))
        output = said.read()
    return _Ended(status, output.decode("utf-8", "backslashreplace").strip())


async def _ended(process: subprocess.Popen[bytes]) -> None:
    loop = asyncio.get_running_loop()
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:  # Linux before 5.3
        await asyncio.to_thread(process.wait)
        return
    ended = asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)
