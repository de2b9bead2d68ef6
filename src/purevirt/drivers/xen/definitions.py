"""Definitions, domains that are made and leave, and jobs: all of it is the Xen daemon's, which remembers.

What takes long is answered with a job at once; whoever wants to know how it ended asks for the job.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING, Any
from purevirt.drivers.xen.connected import Connected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from purevirt.model import Definition, DefinitionText, DomainRef, Job

__all__ = ["Definitions"]

_GRACE = 10.0  # how much longer than it waits for news a call may take, in seconds


class Definitions(Connected):
    """What can be asked of the daemon's memory, and what it is to do with it. `timeout` is in seconds."""

    async def _told(
        self, operation: str, ref: DomainRef | None = None, timeout: float | None = None, **arguments: object
    ) -> Any:
        self._route(operation)
        from purevirt.drivers.xen.daemon import CHANGE_TIMEOUT

        limit = CHANGE_TIMEOUT if timeout is None else timeout
        return await self.daemon.call(operation, ref, arguments, timeout=limit)

    # --- definitions

    async def list_definitions(self) -> list[Definition]:
        found: list[Definition] = await self._told("list_definitions")
        return found

    async def definition(self, ref: DomainRef) -> Definition:
        found: Definition = await self._told("definition", ref)
        return found

    async def definition_text(self, ref: DomainRef, security_info: bool = False) -> DefinitionText:
        found: DefinitionText = await self._told("definition_text", ref, security_info=security_info)
        return found

    async def define(
        self, text: str, form: str | None, revision: int | None, *, timeout: float | None = None
    ) -> Definition:
        found: Definition = await self._told(
            "define", None, timeout, text=text, format=form, revision=revision
        )
        return found

    async def undefine(self, ref: DomainRef, managed_save: bool, *, timeout: float | None = None) -> None:
        await self._told("undefine", ref, timeout, managed_save=managed_save)

    async def set_autostart(
        self, ref: DomainRef, autostart: bool, order: int | None, *, timeout: float | None = None
    ) -> None:
        await self._told("set_autostart", ref, timeout, autostart=autostart, order=order)

    # --- domains that are made

    async def start(self, ref: DomainRef, paused: bool, force_boot: bool, deadline: float | None) -> Job:
        job: Job = await self._told("start", ref, paused=paused, force_boot=force_boot, deadline=deadline)
        return job

    async def create(self, text: str, form: str | None, paused: bool, deadline: float | None) -> Job:
        job: Job = await self._told("create", text=text, format=form, paused=paused, deadline=deadline)
        return job

    async def restore(
        self, path: str, text: str | None, form: str | None, paused: bool, deadline: float | None
    ) -> Job:
        job: Job = await self._told(
            "restore", path=path, text=text, format=form, paused=paused, deadline=deadline
        )
        return job

    async def saved_description(self, path: str) -> DefinitionText:
        found: DefinitionText = await self._told("saved_description", path=path)
        return found

    async def adopt(self, ref: DomainRef, *, timeout: float | None = None) -> None:
        await self._told("adopt", ref, timeout)

    # --- domains that leave

    async def save(self, ref: DomainRef, path: str, deadline: float | None) -> Job:
        job: Job = await self._told("save", ref, path=path, deadline=deadline)
        return job

    async def managed_save(self, ref: DomainRef, deadline: float | None) -> Job:
        job: Job = await self._told("managed_save", ref, deadline=deadline)
        return job

    async def managed_save_remove(self, ref: DomainRef, *, timeout: float | None = None) -> None:
        await self._told("managed_save_remove", ref, timeout)

    async def dump(self, ref: DomainRef, path: str, live: bool, crash: bool, deadline: float | None) -> Job:
        job: Job = await self._told("dump", ref, path=path, live=live, crash=crash, deadline=deadline)
        return job

    async def migrate(
        self, ref: DomainRef, host: str, command: Sequence[str] | None, live: bool, deadline: float | None
    ) -> Job:
        words = None if command is None else list(command)
        job: Job = await self._told("migrate", ref, host=host, command=words, live=live, deadline=deadline)
        return job

    # --- jobs

    async def jobs(self, active: bool = False) -> list[Job]:
        found: list[Job] = await self._told("jobs", active=active)
        return found

    async def job(self, number: int, since: int = -1, wait: float = 0.0) -> Job:
        job: Job = await self._told("job", None, wait + _GRACE, id=number, since=since, wait=wait)
        return job

    async def job_cancel(self, number: int, *, timeout: float | None = None) -> Job:
        job: Job = await self._told("job_cancel", None, timeout, id=number)
        return job

    async def job_log(self, number: int) -> list[str]:
        lines: list[str] = await self._told("job_log", id=number)
        return lines
