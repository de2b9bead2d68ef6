"""What callers ask of definitions: the handlers of `operations`."""

from __future__ import annotations

from purevirt.daemons.xend.managed import building, descriptions
from purevirt.daemons.xend.managed.manager import Manager, parsed
from purevirt.daemons.xend.work import Work
from purevirt.errors import Conflict, Denied, DomainExists, WrongState
from purevirt.formats import conversion
from purevirt.model import Definition, EventKind, EventSource, Role
from purevirt.model.definitions import DefinitionText
from purevirt.model.description import DomainDescription
from purevirt.model.description.secrets import without_secrets

__all__ = ["define", "definition", "definition_text", "list_definitions", "set_autostart", "undefine"]


async def list_definitions(work: Work) -> list[Definition]:
    return work.manager.catalogue.all()


async def definition(work: Work) -> Definition:
    return work.manager.catalogue.find(work.ref)


async def definition_text(work: Work) -> DefinitionText:
    known = work.manager.catalogue.find(work.ref)
    stored = await work.manager.catalogue.stored(known.handle)
    text, format_ = stored.text, stored.definition.format
    if not work.arguments["security_info"]:
        text = _without_secrets(text, format_)
    elif work.caller.role < Role.ADMIN:
        raise Denied(
            f"definition_text: passwords are told to administrators only, and user {work.caller.uid} is none",
            operation="definition_text",
            channel="daemon",
        )
    return DefinitionText(text, format_, stored.definition.revision)


def _without_secrets(text: str, format_: str) -> str:
    document = conversion.parse(text, format_, file="definition")
    bare = without_secrets(document.description)
    return text if bare == document.description else document.updated(bare).text()


async def define(work: Work) -> Definition:
    manager, values = work.manager, work.arguments
    described = descriptions.read(values["text"], values["format"], "define")
    old = manager.catalogue.get(described.handle)
    previous = None
    if old is not None:
        stored = await manager.catalogue.stored(described.handle)
        previous = parsed(stored.text, stored.definition.format)
        if work.caller.role < Role.ADMIN:
            described = _with_passwords(described, previous)
    await descriptions.admit(described, previous, work.caller.role, manager.link.root, work.roots, "define")
    if old is not None and old.name != described.name:
        raise DomainExists(
            f"define: the UUID {old.uuid} is that of domain {old.name}; rename it first if it is meant",
            operation="define",
            domain=old.name,
        )
    for info in await work.driver.list_domains():
        if "d" in (info.flags or "") or info.name is None:
            continue
        if (info.name == described.name) != (info.handle == described.handle):
            what = f"name {info.name}" if info.name == described.name else f"UUID {info.uuid}"
            raise DomainExists(
                f"define: the {what} is that of domain {info.name} (id {info.domid}, UUID {info.uuid})",
                operation="define",
                domain=described.name,
            )
    found = await manager.catalogue.put(
        descriptions.definition_of(described), described.text, values["revision"]
    )
    _note(manager, EventKind.DEFINED, found, "added" if old is None else "updated")
    return found


def _with_passwords(described: descriptions.Described, previous: DomainDescription) -> descriptions.Described:
    """The passwords of screens that were not shown to whoever has changed the text stay what they were."""
    old = described.description.graphics
    kept = tuple(
        new._replace(password=before.password) if new.password is None and new.type == before.type else new
        for new, before in zip(old, previous.graphics, strict=False)
    )
    if kept == old[: len(kept)]:
        return described
    description = described.description._replace(graphics=kept + old[len(kept) :])
    text = conversion.parse(described.text, described.format).updated(description).text()
    return descriptions.Described(description, text, described.format)


def _note(manager: Manager, kind: EventKind, definition: Definition, detail: str | None) -> None:
    manager.journal.add(EventSource.XEND, kind, handle=definition.handle, name=definition.name, detail=detail)


async def undefine(work: Work) -> None:
    manager = work.manager
    known = manager.catalogue.find(work.ref)
    async with manager.hold(known.handle):
        stored = await manager.catalogue.stored(known.handle)
        expected, revision = work.arguments["revision"], stored.definition.revision
        if expected is not None and expected != revision:
            raise Conflict(
                f"the definition of {known.name} has changed meanwhile: it is of revision {revision}, not {expected}",
                operation="undefine",
                domain=known.name,
            )
        if stored.saved is not None and not work.arguments["managed_save"]:
            raise WrongState(
                f"undefine: domain {known.name} has a saved state, which would be lost: say so if it may be",
                operation="undefine",
                domain=known.name,
            )
        row = manager.supervised.get(known.handle)
        if row is not None and row.text:  # it goes on as it was last described
            await manager.supervised.put(row._replace(format=stored.definition.format, text=stored.text))
        await manager.catalogue.forget(known.handle)
        if stored.saved is not None:
            building.remove(stored.saved)
    _note(manager, EventKind.UNDEFINED, known, None)


async def set_autostart(work: Work) -> None:
    known = work.manager.catalogue.find(work.ref)
    fields: dict[str, object] = {"autostart": work.arguments["autostart"]}
    if work.arguments["order"] is not None:
        fields["autostart_order"] = work.arguments["order"]
    await work.manager.catalogue.change(known.handle, **fields)
