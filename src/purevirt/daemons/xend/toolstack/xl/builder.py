"""The `Builder` of real hosts: what is asked of it, in the words of its neighbours. See the package."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

from purevirt.channels.files import HostFiles
from purevirt.daemons.xend.toolstack.base import Host, Toolstack
from purevirt.daemons.xend.toolstack.builder import Dump, Migration, Report, Saved
from purevirt.daemons.xend.toolstack.xl import checks, leaving, making, process, room, runs, savefile
from purevirt.daemons.xend.toolstack.xl.runs import Run
from purevirt.daemons.xend.toolstack.xl.tool import Tool
from purevirt.errors import InvalidConfig, OperationError, Timeout
from purevirt.formats import xl_config
from purevirt.model import DomainInfo
from purevirt.model.description import DomainDescription

__all__ = ["XlBuilder"]

_DEADLINE = 900.0  # seconds; a domain of a terabyte is populated in minutes


class XlBuilder:
    """Has `xl` do it.

    `toolstack` destroys what was half made. `deadline`, in seconds, is for making a domain; what writes its state takes
    as long as it takes, until it is cancelled. `directory` is where runs are noted; `program` is another `xl`.
    """

    def __init__(
        self,
        host: Host,
        toolstack: Toolstack,
        *,
        deadline: float | None = _DEADLINE,
        directory: str = runs.DIRECTORY,
        program: str | None = None,
    ) -> None:
        self._host = host
        self._toolstack = toolstack
        self._deadline = deadline
        self._tool = Tool(host, directory, program)

    async def check(self, description: DomainDescription) -> None:
        major, minor = await self._tool.version()
        found = await asyncio.to_thread(
            checks.problems, description, HostFiles(self._host.root), f"{major}.{minor}"
        )
        found += await room.sharing(self._host, description)
        if found:
            texts = tuple(f"{one.path}: {one.message}" for one in found)
            raise InvalidConfig("; ".join(texts), problems=texts)
        await room.memory(self._host, description)

    async def create(self, description: DomainDescription, report: Report) -> int:
        uuid = description.uuid or uuid4()
        text = await self._config(description._replace(uuid=uuid))

        def words(run: Run) -> Sequence[str]:
            return ["create", "-e", "-p", "-q", run.write("config", text)]

        return await making.make(
            self._tool, self._toolstack, uuid, words, description, report, self._deadline
        )

    async def save(self, domain: DomainInfo, path: str, report: Report) -> None:
        await leaving.save(self._tool, domain, path, report)

    async def inspect(self, path: str) -> Saved:
        try:
            return await asyncio.to_thread(savefile.inspect, path)
        except OSError as error:
            raise OperationError(
                f"{path}: {(error.strerror or str(error)).lower()}", path=path, errno=error.errno
            ) from error

    async def restore(self, path: str, description: DomainDescription | None, report: Report) -> int:
        saved = await self.inspect(path)
        known = description or saved.description
        uuid = known.uuid or saved.description.uuid or uuid4()
        text = None if description is None else await self._config(known._replace(uuid=uuid))

        def words(run: Run) -> Sequence[str]:
            config = () if text is None else (run.write("config", text),)
            return ["restore", "-e", "-p", *config, path]

        return await making.make(self._tool, self._toolstack, uuid, words, known, report, self._deadline)

    async def dump(self, domain: DomainInfo, path: str, how: Dump, report: Report) -> None:
        await leaving.dump(self._tool, self._toolstack, domain, path, how, report)

    async def migrate(self, domain: DomainInfo, where: Migration, report: Report) -> None:
        await leaving.migrate(self._tool, domain, where, report)

    async def abandon(self, handle: bytes) -> None:
        for run in runs.left(self._tool.directory, str(UUID(bytes=handle))):
            try:
                await process.end_all(run.mark, sends=run.sends())
            except TimeoutError as error:
                raise Timeout(f"abandon: {error}", operation="abandon") from error
            if (noted := run.noted()) is not None:
                await leaving.settle(self._tool, handle, noted)
            run.close()

    async def _config(self, description: DomainDescription) -> str:
        """What `xl` is given. What it has no words for is carried in a setting that it passes over."""
        version = max(await self._tool.version(), xl_config.XEN)
        return xl_config.format(description, xen=version).text()
