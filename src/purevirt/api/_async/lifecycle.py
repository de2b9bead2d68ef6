"""A domain that the Xen daemon remembers, starts, saves, and takes elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from purevirt._typing import TYPE_CHECKING
from purevirt.api._async.domainbase import AsyncDomainBase
from purevirt.errors import NoSuchDomain

if TYPE_CHECKING:
    from purevirt.model import Definition, DefinitionText, Job

    Progress = Callable[[Job], object]

__all__ = ["AsyncLifecycle"]


class AsyncLifecycle(AsyncDomainBase):
    """What the Xen daemon does with it. As every change: ReadOnly, ChannelUnavailable, Denied.

    What takes long is a job, which is waited for, and returned: `progress` is called with each look at it, and what it
    met is raised as it would be by a change. With `wait` False it is returned as it began; it goes on by itself, also
    when this process ends. `deadline`, in seconds: how long the daemon works on it at the most, before it undoes what
    it has begun (Timeout).
    """

    # --- its definition

    async def definition(self) -> Definition:
        """What the daemon remembers of it. NoSuchDomain: it is not defined."""
        return await self._driver.definition(self._ref)

    async def is_persistent(self) -> bool:
        """Whether it is defined (`virDomainIsPersistent`), so that it can be started again when it has gone."""
        try:
            await self._driver.definition(self._ref)
        except NoSuchDomain:
            return False
        return True

    async def definition_text(self, *, security_info: bool = False) -> DefinitionText:
        """Its definition as it was written, comments and all. NoSuchDomain: it is not defined."""
        return await self._driver.definition_text(self._ref, security_info)

    async def undefine(self, *, managed_save: bool = False, timeout: float | None = None) -> None:
        """Have it forgotten (`virDomainUndefineFlags`). If it runs it goes on, until it ends.

        WrongState: it has a saved state, and `managed_save` does not say that this may be lost.
        """
        await self._driver.undefine(self._ref, managed_save, timeout=timeout)

    async def autostart(self) -> bool:
        """Whether it is started with the host (`virDomainGetAutostart`). NoSuchDomain: it is not defined."""
        return (await self._driver.definition(self._ref)).autostart

    async def set_autostart(
        self, autostart: bool = True, *, order: int | None = None, timeout: float | None = None
    ) -> None:
        """Have it started with the host, or not (`virDomainSetAutostart`); those of a lower `order` come first."""
        await self._driver.set_autostart(self._ref, autostart, order, timeout=timeout)

    async def set_title(self, title: str | None) -> None:
        """Give its definition a title, one line; None takes it away (`virDomainSetMetadata`)."""
        if title is not None and "\n" in title:
            raise ValueError("a title is one line")
        from purevirt.api import _editing

        await _editing.edited(self._driver, self._ref, lambda known: known._replace(title=title))

    async def set_summary(self, summary: str | None) -> None:
        """Give its definition a description in words; None takes it away (`virDomainSetMetadata`)."""
        from purevirt.api import _editing

        await _editing.edited(self._driver, self._ref, lambda known: known._replace(summary=summary))

    async def metadata(self, uri: str) -> str | None:
        """The element of XML that another program keeps with its definition, by its namespace
        (`virDomainGetMetadata`); None: there is none. NoSuchDomain: it is not defined."""
        from purevirt.formats import conversion
        from purevirt.formats.domain_xml.metadata import element_of

        known = await self._driver.definition_text(self._ref, False)
        description = conversion.parse(known.text, known.format, file="definition").description
        return element_of(description.metadata, uri)

    async def set_metadata(self, uri: str, element: str | None, *, key: str | None = None) -> None:
        """Keep an element of XML with its definition, in place of the one of the same namespace; None takes it away
        (`virDomainSetMetadata`).

        An element that says no namespace is put into this one, with `key` as its prefix. ConfigError: it is not one
        element, or is another namespace's.
        """
        from purevirt.api import _editing
        from purevirt.formats.domain_xml.metadata import with_element

        await _editing.edited(
            self._driver,
            self._ref,
            lambda known: known._replace(metadata=with_element(known.metadata, uri, element, key)),
        )

    # --- its life

    async def start(
        self,
        *,
        paused: bool = False,
        force_boot: bool = False,
        progress: Progress | None = None,
        wait: bool = True,
        deadline: float | None = None,
    ) -> Job:
        """Start it, from its saved state if it has one and `force_boot` does not say otherwise
        (`virDomainCreateWithFlags`). WrongState: it runs already."""
        job = await self._driver.start(self._ref, paused, force_boot, deadline)
        return await self._ended(job, progress, wait)

    async def save(
        self,
        path: str,
        *,
        progress: Progress | None = None,
        wait: bool = True,
        deadline: float | None = None,
    ) -> Job:
        """Save its state to a new file on its host, and end it (`virDomainSaveFlags`); `connection.restore` lets it go
        on from there."""
        return await self._ended(await self._driver.save(self._ref, path, deadline), progress, wait)

    async def managed_save(
        self, *, progress: Progress | None = None, wait: bool = True, deadline: float | None = None
    ) -> Job:
        """Save its state where the daemon finds it, and end it: the next start goes on from there
        (`virDomainManagedSave`)."""
        return await self._ended(await self._driver.managed_save(self._ref, deadline), progress, wait)

    async def managed_save_remove(self, *, timeout: float | None = None) -> None:
        """Throw its saved state away (`virDomainManagedSaveRemove`). WrongState: it has none."""
        await self._driver.managed_save_remove(self._ref, timeout=timeout)

    async def dump(
        self,
        path: str,
        *,
        live: bool = False,
        crash: bool = False,
        progress: Progress | None = None,
        wait: bool = True,
        deadline: float | None = None,
    ) -> Job:
        """Write its memory to a new file on its host, for debuggers (`virDomainCoreDump`). `live` lets it run
        meanwhile, `crash` ends it afterwards."""
        job = await self._driver.dump(self._ref, path, live, crash, deadline)
        return await self._ended(job, progress, wait)

    async def migrate(
        self,
        host: str,
        *,
        command: Sequence[str] | None = None,
        live: bool = True,
        progress: Progress | None = None,
        wait: bool = True,
        deadline: float | None = None,
    ) -> Job:
        """Let it go on at another host, which the daemon's user reaches by ssh (`virDomainMigrate`).

        `command` is what reaches it instead: words, to which the host's name and `xl migrate-receive` are added.
        """
        job = await self._driver.migrate(self._ref, host, command, live, deadline)
        return await self._ended(job, progress, wait)

    async def adopt(self, *, timeout: float | None = None) -> None:
        """Have the daemon answer for a domain that somebody else has made; an `xl` that waits for its end is ended
        first. WrongState: the daemon does so already, or libvirt's does."""
        await self._driver.adopt(self._ref, timeout=timeout)

    async def job(self) -> Job | None:
        """The job that is at work on it (`virDomainGetJobInfo`); None: there is none."""
        for found in await self._driver.jobs(True):
            if found.uuid.bytes == self._ref.handle:
                return found
        return None

    async def _ended(self, job: Job, progress: Progress | None, wait: bool) -> Job:
        if not wait:
            return job
        from purevirt.api import _waiting

        return await _waiting.waited(self._driver, job, progress)
