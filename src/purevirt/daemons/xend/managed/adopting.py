"""Taking over a domain that somebody else has made: `purevirt adopt`.

From then on the daemon answers for it. An `xl` that waits for its end would do the same, so it is ended first;
libvirt's daemon cannot be asked to let go of a domain. A domain that has gone to another host is adopted there, by the
way that it went.
"""

from __future__ import annotations

import asyncio
import shlex

from purevirt.daemons.xend.config_store import Supervised
from purevirt.daemons.xend.managed.manager import Manager
from purevirt.daemons.xend.toolstack import others
from purevirt.daemons.xend.toolstack.builder import Migration
from purevirt.errors import WrongState
from purevirt.formats import conversion
from purevirt.model import DomainRef

__all__ = ["adopt", "adopt_elsewhere"]

_SSH = ("ssh", "-o", "BatchMode=yes")
_PATIENCE = 30.0  # for the other host's answer, in seconds


async def adopt(manager: Manager, ref: DomainRef) -> None:
    """Answer for it. WrongState: the daemon does so already, or libvirt's does."""
    async with manager.hold(ref.handle):
        info = await manager.running(ref, "adopt")
        name = info.name or str(info.domid)
        if info.domid == 0:
            raise WrongState("adopt: Domain 0 is where this daemon runs", operation="adopt", domain=name)
        if manager.supervised.get(info.handle) is not None:
            raise WrongState(
                f"adopt: the Xen daemon answers for domain {name} already", operation="adopt", domain=name
            )
        if not manager.link.root and await asyncio.to_thread(others.libvirt_has, name):
            raise WrongState(
                f"adopt: libvirt's daemon answers for domain {name}", operation="adopt", domain=name
            )
        found = await manager.link.driver.description(info.ref, False, True)
        text = conversion.format(found.description, "xml").text()
        if not manager.link.root:
            for pid in await asyncio.to_thread(others.waiters, name):
                await others.end_waiter(pid)
        row = Supervised(info.handle, name, info.domid, manager.boot, "running", format="xml", text=text)
        await manager.supervised.put(row._replace(started=manager.clock()))


async def adopt_elsewhere(where: Migration, name: str) -> str | None:
    """Have the Xen daemon of the host that a domain has gone to answer for it; why it does not, or None."""
    words = (*(where.command or _SSH), where.host, "purevirt", "adopt", shlex.quote(name))
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    try:
        _, said = await asyncio.wait_for(process.communicate(), _PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"{where.host} did not answer within {_PATIENCE:g} s"
    if process.returncode:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else f"status {process.returncode}"
    return None
