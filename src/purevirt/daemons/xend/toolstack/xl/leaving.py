"""A domain saved, dumped or sent to another host by `xl`.

While its state is on its way out a guest is suspended, and only `xl` can let it go on (libxl changes what its suspend
call answers). So a save that is cancelled is stopped where `xl` takes it as an error, and given time: see `process`.
Whether it came too late is told by whether the domain is still there. Once it is gone, the file is all there is of it:
then it gets its name, whatever else has happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shlex

from purevirt.daemons.xend.toolstack.base import Toolstack, living, not_domain_0, shown
from purevirt.daemons.xend.toolstack.builder import Dump, Migration, Report
from purevirt.daemons.xend.toolstack.xl import process, progress, savefile
from purevirt.daemons.xend.toolstack.xl.runs import Part
from purevirt.daemons.xend.toolstack.xl.tool import Tool
from purevirt.errors import InvalidConfig, OperationError, Unsupported
from purevirt.model import DomainInfo

__all__ = ["dump", "migrate", "save", "settle"]

_HOST = re.compile(r"(?!-)[A-Za-z0-9._@:%\[\]-]+")
_SSH = ("ssh", "-o", "BatchMode=yes")

_log = logging.getLogger(__name__)


async def save(tool: Tool, domain: DomainInfo, path: str, report: Report) -> None:
    """See `Builder.save`."""
    not_domain_0(domain, "save", "saved: it is where this daemon runs")
    living(domain, "save", paused_too=False)
    assert domain.domid is not None
    part = _new_file(path)
    async with tool.run(str(domain.uuid)) as run:
        noted = Part(part, path, domain.domid, precious=True)
        run.note(noted)
        report("saving", 0.0)
        try:
            await tool(run, ["save", str(domain.domid), part], progress.sending(report).line, sends=True)
        except BaseException as error:
            if await process.to_its_end(settle(tool, domain.handle, noted)):
                _uncancelled(error)  # it came too late
                return
            raise
        if not await process.to_its_end(settle(tool, domain.handle, noted)):
            raise OperationError(f"xl has saved {shown(domain)}, and its state is not in {path}", path=path)


async def dump(
    tool: Tool, toolstack: Toolstack, domain: DomainInfo, path: str, how: Dump, report: Report
) -> None:
    """See `Builder.dump`."""
    not_domain_0(domain, "dump", "dumped: it is where this daemon runs")
    assert domain.domid is not None
    hypercalls = tool.host.hypercalls
    holds = not how.live and not set(domain.flags or "") & set("psc")
    part = _new_file(path)
    async with tool.run(str(domain.uuid)) as run:
        run.note(Part(part, path, domain.domid, precious=False))
        report("dumping its memory", None)
        try:
            if holds:
                await hypercalls.pause_domain(domain.domid)
            try:
                await tool(run, ["dump-core", str(domain.domid), part], progress.sending(report).line)
            finally:
                if holds:
                    await process.to_its_end(hypercalls.unpause_domain(domain.domid))
            _rename(part, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
    if how.crash:
        await toolstack.destroy(domain)


async def migrate(tool: Tool, domain: DomainInfo, where: Migration, report: Report) -> None:
    """See `Builder.migrate`. `where.command` is followed by the host and `xl migrate-receive`."""
    not_domain_0(domain, "migrate", "migrated: it is where this daemon runs")
    if not where.live:
        raise Unsupported("xl migrates domains while they run, and not otherwise", operation="migrate")
    living(domain, "migrate", paused_too=False)
    if not _HOST.fullmatch(where.host):  # it gets into a shell's words
        message = f"{where.host!r} is no name of a host"
        raise InvalidConfig(message, problems=(message,), operation="migrate")
    words = ["migrate", "-e", "-s", shlex.join(where.command or _SSH), str(domain.domid), where.host]
    async with tool.run(str(domain.uuid)) as run:
        report("migrating", 0.0)
        try:
            await tool(run, words, progress.migrating(report).line, sends=True)
        except BaseException as error:
            if await process.to_its_end(_has_arrived(tool, domain, error)):
                _uncancelled(error)
                return
            raise


async def _has_arrived(tool: Tool, domain: DomainInfo, error: BaseException) -> bool:
    """Whether a migration that was cancelled was over already. One that failed by itself is told as a failure."""
    return isinstance(error, asyncio.CancelledError) and await _is_gone(tool, domain.handle, domain.domid)


async def _is_gone(tool: Tool, handle: bytes, domid: int | None) -> bool:
    infos = await tool.host.hypercalls.domain_infos()
    return not any(info.domid == domid and info.handle == handle and not info.dying for info in infos)


def _uncancelled(error: BaseException) -> None:
    """Take a cancellation back, or let another error pass: what was to be done has been done."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None:
        task.uncancel()
    elif not isinstance(error, Exception):
        raise error


# --- files


def _new_file(path: str) -> str:
    """The file to write instead of `path`, there and empty, mode 0600: a guest's memory is nobody else's to read."""
    part = f"{path}.part"
    if not os.path.isabs(path):
        raise InvalidConfig(f"{path!r} is no absolute path", problems=(f"{path!r} is no absolute path",))
    if os.path.lexists(path):
        raise OperationError(f"{path} exists already", path=path)
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise OperationError(
            f"{part}: {(error.strerror or str(error)).lower()}", path=part, errno=error.errno
        ) from error
    return part


async def settle(tool: Tool, handle: bytes, noted: Part) -> bool:
    """Bring a file to an end that nobody writes to any more; whether it has its name now."""
    if not noted.precious or not await _is_gone(tool, handle, noted.domid):
        with contextlib.suppress(OSError):
            os.unlink(noted.part)
        return False
    if not await asyncio.to_thread(savefile.is_whole, noted.part):
        _log.error("%s: the domain is gone and its state was not saved to the end; it is kept", noted.part)
        return False
    _rename(noted.part, noted.path)
    return True


def _rename(part: str, path: str) -> None:
    try:
        fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(part, path)
    except OSError as error:
        raise OperationError(
            f"{part} is complete, and could not be renamed to {path}: {(error.strerror or '').lower()}",
            path=part,
            errno=error.errno,
        ) from error
