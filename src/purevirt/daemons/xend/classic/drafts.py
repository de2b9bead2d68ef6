"""Definitions are changed as a person would: read, changed where they say something else, and defined again, with the
revision that was read. Two who do so at once cannot undo each other's work: the second is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, cast

from purevirt.daemons.xend.classic.context import Context
from purevirt.errors import NoSuchDomain
from purevirt.formats import conversion
from purevirt.model import DomainInfo, Role
from purevirt.model.definitions import DefinitionText
from purevirt.model.description import DomainDescription

__all__ = ["Draft", "draft", "edit", "write"]

Change = Callable[[DomainDescription], DomainDescription]


class Draft(NamedTuple):
    """A definition, changed and not yet written."""

    text: str
    format: str
    revision: int


async def draft(context: Context, info: DomainInfo, change: Change) -> Draft | None:
    """None: the domain runs, and is not defined. Passwords stay what they are, whether or not this caller may see them.

    NoSuchDomain: it does not run, and was deleted meanwhile.
    """
    secrets = {"security_info": context.reads.caller.role >= Role.ADMIN}
    try:
        known = cast(DefinitionText, await context.reads.call("definition_text", info.ref, secrets))
    except NoSuchDomain:
        if info.domid is None:
            raise
        return None
    await asyncio.sleep(0)
    document = conversion.parse(known.text, known.format, file="definition")
    text = document.updated(change(document.description)).text()
    return Draft(text, known.format, known.revision)


async def write(context: Context, draft: Draft | None) -> None:
    """Conflict: somebody else was faster."""
    if draft is not None:
        await context.reads.call("define", None, draft._asdict())


async def edit(context: Context, info: DomainInfo, change: Change) -> None:
    """Change the definition of a domain that does not run. NoSuchDomain."""
    await write(context, await draft(context, info, change))
