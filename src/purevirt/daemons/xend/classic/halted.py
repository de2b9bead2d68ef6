"""Domains that are defined: those that do not run, which xend showed among the others ("halted", "suspended"), and
what the definitions of those that do run say of them.

A definition's text is read again when its revision has changed. What it says is kept until it is gone, so that a
listing of a thousand halted domains costs one call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

from purevirt.daemons.xend.classic.gather import Reads
from purevirt.drivers.xen.inactive import info_of
from purevirt.errors import NoSuchDomain, Unsupported
from purevirt.formats import conversion
from purevirt.formats.xend_sxpr import XendDomain, vm
from purevirt.model import Definition, DomainInfo, DomainRef, DomainState
from purevirt.model.definitions import DefinitionText

__all__ = ["Halted", "described", "halted_domains"]


def halted_domains(definitions: Iterable[Definition], infos: Iterable[DomainInfo]) -> list[DomainInfo]:
    """Those of the defined domains that are not among the `infos`, or are there only to be torn down."""
    there = {info.handle for info in infos if "d" not in (info.flags or "")}
    resting = [known for known in definitions if known.handle not in there]
    return [info_of(known)._replace(state=_state(known)) for known in resting]


def _state(known: Definition) -> DomainState:
    """One that was saved to go on later was suspended to xend."""
    return DomainState.PMSUSPENDED if known.managed_save else DomainState.SHUTOFF


class Halted:
    """What is shown of definitions, without passwords."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[int, XendDomain]] = {}

    async def definitions(self, reads: Reads) -> dict[bytes, Definition]:
        """All of them, by handle and in the order of their names."""
        try:
            found = cast(list[Definition], await reads.call("list_definitions"))
        except Unsupported:  # a daemon without a memory
            found = []
        known = {definition.handle: definition for definition in found}
        for handle in self._kept.keys() - known.keys():
            del self._kept[handle]
        return known

    async def find(self, reads: Reads, ref: DomainRef) -> Definition | None:
        """The definition of a domain; None if it has none."""
        try:
            return cast(Definition, await reads.call("definition", ref))
        except (NoSuchDomain, Unsupported):
            return None

    async def shown(self, reads: Reads, known: Definition) -> XendDomain:
        """Everything of one. NoSuchDomain: it was deleted meanwhile."""
        revision, shown = self._kept.get(known.handle, (None, None))
        if shown is None or revision != known.revision:
            text = cast(DefinitionText, await reads.call("definition_text", known.ref))
            await asyncio.sleep(0)  # reading one takes a while: others have their turn between
            document = conversion.parse(text.text, text.format, file="definition")
            shown = vm.halted(document.description._replace(uuid=known.uuid))
            self._kept[known.handle] = text.revision, shown
        return shown._replace(
            info=shown.info._replace(state=_state(known)),
            on_xend_start="start" if known.autostart else "ignore",
        )

    async def one(self, reads: Reads, info: DomainInfo) -> XendDomain:
        """Everything of a domain that does not run. NoSuchDomain."""
        known = await self.find(reads, info.ref)
        if known is None:
            raise NoSuchDomain(f"domain {info.name} is not defined", domain=info.name)
        return await self.shown(reads, known)

    async def described(self, reads: Reads, shown: XendDomain, known: Definition | None) -> XendDomain:
        """A domain that runs, with what its definition says of it, if it has one."""
        if known is None:
            return shown
        try:
            return described(shown, await self.shown(reads, known))
        except NoSuchDomain:
            return shown


def described(shown: XendDomain, by: XendDomain) -> XendDomain:
    """A domain that runs, with what only its description tells: its kernel, what is done when it ends, and so on."""
    return shown._replace(
        on_poweroff=by.on_poweroff,
        on_reboot=by.on_reboot,
        on_crash=by.on_crash,
        description=by.description,
        bootloader=by.bootloader,
        bootloader_args=by.bootloader_args,
        on_xend_start=by.on_xend_start,
        image=by.image,
        security_label=by.security_label,
    )
