"""Hotplug scripts: what was set up in Domain 0 for a backend (a loop device, a port of a bridge) is taken back.

libxl runs them itself, so whoever destroys a domain in its place has to: "remove" for a disk, "offline" for an
interface. (Old releases could leave it to udev; a script that finds nothing to take back does no harm.) A script is run
only if it is a file of root's that nobody else may write, in a directory of which the same is true; what it says and
how it ends goes to the daemon's log, for the domain is gone either way. Simulated hosts have no scripts.

Source: libxl_linux.c, get_hotplug_env and libxl__hotplug_disk / _nic.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from purevirt.daemons.xend.toolstack.base import Host

__all__ = ["Command", "command", "tear_down", "trusted"]

TIMEOUT = 10.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_log = logging.getLogger(__name__)


class Command(NamedTuple):
    """What to run, and what to tell it beside PATH."""

    arguments: tuple[str, ...]
    environment: dict[str, str]


def command(backend: str, script: str, vifname: str | None) -> Command | None:
    """What takes one backend back; None for a kind that has no script. `backend` is /local/domain/0/backend/…"""
    kind, domid, number = backend.split("/")[5:8]
    environment = {
        "script": script,
        "XENBUS_TYPE": kind,
        "XENBUS_PATH": f"backend/{kind}/{domid}/{number}",
        "XENBUS_BASE_PATH": "backend",
    }
    if kind == "vbd":
        return Command((script, "remove"), environment)
    if kind == "vif":
        return Command(
            (script, "offline", "type_if=vif"), {**environment, "vif": vifname or f"vif{domid}.{number}"}
        )
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


async def tear_down(host: Host, backends: Sequence[str]) -> None:
    """Run the scripts of these backends, those in Domain 0, all at the same time: they have locks of their own."""
    if host.root:
        return
    ours = [path for path in backends if path.startswith("/local/domain/0/backend/")]
    values = await host.store.read_many([f"{path}/{key}" for path in ours for key in ("script", "vifname")])
    running = []
    for index, path in enumerate(ours):
        script, vifname = (
            None if value is None else os.fsdecode(value) for value in values[2 * index : 2 * index + 2]
        )
        found = command(path, script, vifname) if script else None
        if found is None:
            continue
        if not trusted(found.arguments[0]):
            _log.error("the script of %s is not run: %s is not root's alone", path, script)
            continue
        running.append(_run(found, path))
    await asyncio.gather(*running)


async def _run(found: Command, backend: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *found.arguments,
            env={"PATH": _PATH, **found.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        _log.error("the script of %s: %s", backend, error)
        return
    try:
        async with asyncio.timeout(TIMEOUT):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        _log.error("the script of %s did not end within %g s", backend, TIMEOUT)
        return
    if process.returncode:
        said = output.decode("utf-8", "backslashreplace").strip()[-400:]
        _log.warning("the script of %s ended with status %d: %s", backend, process.returncode, said)
