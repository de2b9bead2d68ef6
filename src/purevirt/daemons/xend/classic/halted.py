"""Defined domains that do not run, as xend showed them among the others: state "halted"."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

from purevirt.daemons.xend.classic.gather import Reads
from purevirt.drivers.xen.inactive import info_of
from purevirt.errors import NoSuchDomain, Unsupported
from purevirt.formats import conversion
from purevirt.formats.xend_sxpr import XendDomain, vm
from purevirt.model import Definition, DomainInfo
from purevirt.model.definitions import DefinitionText

__all__ = ["definition_shown", "halted_domains"]


async def halted_domains(reads: Reads, running: Iterable[DomainInfo]) -> list[DomainInfo]:
    """All of them; `running` are the domains that do run."""
    handles = {info.handle for info in running}
    try:
        known = cast(list[Definition], await reads.call("list_definitions"))
    except Unsupported:  # a daemon without a memory
        return []
    return [info_of(definition) for definition in known if definition.handle not in handles]


async def definition_shown(reads: Reads, info: DomainInfo) -> XendDomain:
    """Everything of one, without its passwords. NoSuchDomain: it was deleted meanwhile."""
    known = cast(Definition, await reads.call("definition", info.ref))
    text = cast(DefinitionText, await reads.call("definition_text", info.ref))
    await asyncio.sleep(0)  # reading one takes a while: others have their turn between
    document = conversion.parse(text.text, text.format, file="definition")
    if document.description.uuid is None:
        raise NoSuchDomain(f"domain {known.name} is not defined", domain=known.name)
    return vm.halted(document.description, autostart=known.autostart)
