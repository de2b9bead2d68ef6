"""What a new domain would share with those that are there: memory, and the disks that they have."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import Sequence

from purevirt.daemons.xend.toolstack.base import Host
from purevirt.daemons.xend.toolstack.xl.checks import source_of
from purevirt.errors import NoMemory
from purevirt.model.description import DomainDescription
from purevirt.model.description.rules import Problem

__all__ = ["memory", "sharing"]

_KIB_PER_PAGE = 4
_SMALLEST_DOMAIN_0 = 128 << 10  # KiB; LIBXL_MIN_DOM0_MEM
_CONFIG = "/etc/xen/xl.conf"
_AUTOBALLOON = re.compile(r"^\s*autoballoon\s*=\s*[\"']?(\w+)[\"']?\s*(?:#.*)?$", re.M)
_BACKENDS = "/local/domain/0/backend"
_KINDS = ("vbd", "qdisk")


async def memory(host: Host, description: DomainDescription) -> None:
    """NoMemory if the host cannot have that much: what is free, and what Domain 0 gives up where `xl` may take it."""
    found = await host.hypercalls.physinfo()
    free = max(0, found.free_pages - found.outstanding_pages) * _KIB_PER_PAGE
    asked = description.memory.kib
    if asked <= free:
        return
    spare = 0
    if _may_balloon(await host.hypercalls.commandline()):
        held = sum(one.tot_pages for one in await host.hypercalls.domain_infos() if one.domid == 0)
        spare = max(0, held * _KIB_PER_PAGE - _SMALLEST_DOMAIN_0)
    if asked > free + spare:
        beside = f" and {spare >> 10} MiB that Domain 0 could give up" if spare else ""
        raise NoMemory(f"not enough memory: {asked >> 10} MiB asked, {free >> 10} MiB free{beside}")


def _may_balloon(command_line: str) -> bool:
    """Whether `xl` makes Domain 0 smaller for a new domain: xl.conf says so, or leaves it to Xen's command line."""
    try:
        with open(_CONFIG, encoding="utf-8", errors="replace") as file:
            said = _AUTOBALLOON.findall(file.read())
    except OSError:
        said = []
    word = said[-1].lower() if said else "auto"
    if word in ("on", "1"):
        return True
    return word == "auto" and not re.search(r"\bdom0_mem=", command_line)


async def sharing(host: Host, description: DomainDescription) -> list[Problem]:
    """The disks that another domain has and one of both may write to. Domains that have stopped write nothing, and a
    domain of the same UUID is the same one, on its way."""
    sources = [source_of(disk) for disk in description.disks]
    if not any(sources):
        return []
    identities = await asyncio.to_thread(_identities, sources)
    wanted = {one: disk for one, disk in zip(identities, description.disks, strict=True) if one is not None}
    handle = None if description.uuid is None else description.uuid.bytes
    others = [
        info.domid
        for info in await host.hypercalls.domain_infos()
        if info.domid > 0 and not info.shutdown and not info.dying and info.handle != handle
    ]
    found = []
    theirs = await _disks(host, others)
    identities = await asyncio.to_thread(_identities, [path for _, path, _ in theirs])
    for (domid, path, writable), identity in zip(theirs, identities, strict=True):
        disk = wanted.get(identity or "")
        if disk is not None and not disk.shareable and (writable or not disk.read_only):
            found.append(
                Problem(
                    f"disks[{disk.target}].source", f"{path} is a disk of domain {await _name(host, domid)}"
                )
            )
    return found


async def _disks(host: Host, domids: Sequence[int]) -> list[tuple[int, str, bool]]:
    """The files and devices that are disks of these domains, and whether they may write to them."""
    homes = [(domid, f"{_BACKENDS}/{kind}/{domid}") for kind in _KINDS for domid in domids]
    listings = await host.store.directory_many([home for _, home in homes])
    backends = [
        (domid, f"{home}/{entry}")
        for (domid, home), entries in zip(homes, listings, strict=True)
        for entry in entries or ()
    ]
    paths = [f"{path}/{key}" for _, path in backends for key in ("params", "mode")]
    values = [os.fsdecode(value or b"") for value in await host.store.read_many(paths)]
    return [
        (domid, params[params.find("/") :], "w" in mode)
        for (domid, _), params, mode in zip(backends, values[::2], values[1::2], strict=True)
        if "/" in params  # "aio:/path" and "qcow2:/path" of QEMU's, "/path" of the kernel's
    ]


def _identities(paths: Sequence[str | None]) -> list[str | None]:
    """Of each; in a thread, since a file server may take its time."""
    return [_identity(path) for path in paths]


def _identity(path: str | None) -> str | None:
    """The same for all names of a file or block device; None where there is none."""
    if path is None:
        return None
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if stat.S_ISBLK(found.st_mode):
        return f"device {found.st_rdev}"
    return f"file {found.st_dev} {found.st_ino}" if stat.S_ISREG(found.st_mode) else None


async def _name(host: Host, domid: int) -> str:
    (name,) = await host.store.read_many([f"/local/domain/{domid}/name"])
    return os.fsdecode(name) if name else str(domid)
