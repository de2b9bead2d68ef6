"""The operations on definitions, on domains that are made or leave, and on jobs: what a caller may ask, and of whom.

They find the domain's lock, and the database, themselves: `Operation.alone`. A file that a caller names is written and
read by root, so an operator's lie below the directories that the settings name.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

from purevirt.daemons.xend import arguments as args
from purevirt.daemons.xend.arguments import Argument
from purevirt.daemons.xend.managed import building, descriptions, leaving
from purevirt.daemons.xend.managed.adopting import adopt
from purevirt.daemons.xend.managed.jobs import Step
from purevirt.daemons.xend.managed.manager import Manager, parsed
from purevirt.daemons.xend.toolstack.builder import Dump, Migration
from purevirt.daemons.xend.work import Operation, Work
from purevirt.errors import Conflict, Denied, DomainExists, InvalidConfig, WrongState
from purevirt.formats import conversion
from purevirt.model import Definition, EventKind, EventSource, Job, JobKind, Role
from purevirt.model.definitions import DefinitionText
from purevirt.model.description import DomainDescription
from purevirt.model.description.secrets import without_secrets

__all__ = ["MANAGED"]

LONGEST_WAIT = 300.0
"""How long a `job` call may wait for news, in seconds."""


# --- definitions


async def _list_definitions(work: Work) -> list[Definition]:
    return work.manager.catalogue.all()


async def _definition(work: Work) -> Definition:
    return work.manager.catalogue.find(work.ref)


async def _definition_text(work: Work) -> DefinitionText:
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


async def _define(work: Work) -> Definition:
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


async def _undefine(work: Work) -> None:
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


async def _set_autostart(work: Work) -> None:
    known = work.manager.catalogue.find(work.ref)
    fields: dict[str, object] = {"autostart": work.arguments["autostart"]}
    if work.arguments["order"] is not None:
        fields["autostart_order"] = work.arguments["order"]
    await work.manager.catalogue.change(known.handle, **fields)


# --- domains that are made


def _deadline(work: Work) -> float | None:
    found: float | None = work.arguments["deadline"]
    return found


async def _start(work: Work) -> Job:
    manager, values = work.manager, work.arguments
    known = manager.catalogue.find(work.ref)
    if await manager.active(known.handle) is not None:
        raise WrongState(
            f"start: domain {known.name} is running already", operation="start", domain=known.name
        )

    async def work_(step: Step) -> None:
        await building.start(manager, step, known.handle, values["paused"], values["force_boot"])

    return await _begin(work, JobKind.START, known.handle, known.name, work_)


async def _create(work: Work) -> Job:
    manager, values = work.manager, work.arguments
    described = descriptions.read(values["text"], values["format"], "create")
    await descriptions.admit(described, None, work.caller.role, manager.link.root, work.roots, "create")
    _undefined(manager, described, "create")
    await manager.free(described.handle, described.name)

    async def work_(step: Step) -> None:
        await building.create(manager, step, described, values["paused"])

    return await _begin(work, JobKind.CREATE, described.handle, described.name, work_)


async def _restore(work: Work) -> Job:
    manager, values = work.manager, work.arguments
    path = await _file(work, "restore", values["path"])
    saved = await manager.builder.inspect(path)
    changed = values["text"] is not None
    if changed:
        described = descriptions.read(values["text"], values["format"], "restore")
        await descriptions.admit(
            described, saved.description, work.caller.role, manager.link.root, work.roots, "restore"
        )
    else:
        described = descriptions.read(conversion.format(saved.description, "xml").text(), "xml", "restore")
    known = manager.catalogue.get(described.handle)
    if known is not None and known.name != described.name:
        raise DomainExists(
            f"restore: the UUID {known.uuid} is that of domain {known.name}",
            operation="restore",
            domain=known.name,
        )
    if known is not None and known.managed_save:
        raise WrongState(
            f"restore: domain {known.name} has another saved state, of the Xen daemon's: start it, or remove that",
            operation="restore",
            domain=known.name,
        )
    await manager.free(described.handle, described.name)

    async def work_(step: Step) -> None:
        await building.restore(manager, step, path, described, changed, values["paused"])

    return await _begin(work, JobKind.RESTORE, described.handle, described.name, work_)


async def _saved_description(work: Work) -> DefinitionText:
    path = await _file(work, "saved_description", work.arguments["path"])
    saved = await work.manager.builder.inspect(path)
    return DefinitionText(conversion.format(without_secrets(saved.description), "xml").text(), "xml", 0)


def _undefined(manager: Manager, described: descriptions.Described, operation: str) -> None:
    known = manager.catalogue.get(described.handle)
    if known is not None:
        raise DomainExists(
            f"{operation}: the UUID {known.uuid} is that of domain {known.name}, which is defined: start it",
            operation=operation,
            domain=known.name,
        )


async def _begin(
    work: Work, kind: JobKind, handle: bytes, name: str, what: Callable[[Step], Awaitable[object]]
) -> Job:
    """Begin a job that makes a domain of that name."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(work.manager.catalogue.claim(name, handle))
        return await work.manager.jobs.begin(
            kind, handle, name, what, user=work.caller.uid, deadline=_deadline(work), holding=stack
        )


# --- domains that leave


async def _save(work: Work) -> Job:
    path = await _file(work, "save", work.arguments["path"])
    return await _leave(work, JobKind.SAVE, lambda step: leaving.save(work.manager, step, work.ref, path))


async def _managed_save(work: Work) -> Job:
    known = work.manager.catalogue.find(work.ref)
    if known.managed_save:
        raise WrongState(
            f"managed_save: domain {known.name} has a saved state already",
            operation="managed_save",
            domain=known.name,
        )
    return await _leave(work, JobKind.SAVE, lambda step: leaving.save(work.manager, step, work.ref, None))


async def _managed_save_remove(work: Work) -> None:
    manager = work.manager
    known = manager.catalogue.find(work.ref)
    async with manager.hold(known.handle):
        stored = await manager.catalogue.stored(known.handle)
        if stored.saved is None:
            raise WrongState(f"domain {known.name} has no saved state", domain=known.name)
        await manager.catalogue.change(known.handle, saved=None)
        building.remove(stored.saved)


async def _dump(work: Work) -> Job:
    values = work.arguments
    path = await _file(work, "dump", values["path"])
    how = Dump(values["live"], values["crash"])
    return await _leave(
        work, JobKind.DUMP, lambda step: leaving.dump(work.manager, step, work.ref, path, how)
    )


async def _migrate(work: Work) -> Job:
    values = work.arguments
    command = values["command"]
    where = Migration(values["host"], None if command is None else tuple(command), values["live"])
    return await _leave(
        work, JobKind.MIGRATE, lambda step: leaving.migrate(work.manager, step, work.ref, where)
    )


async def _leave(work: Work, kind: JobKind, what: Callable[[Step], Awaitable[object]]) -> Job:
    info = await work.manager.running(work.ref, kind.value)
    if info.domid == 0:
        raise InvalidConfig(
            f"Domain 0 is where this daemon runs: {kind.value} cannot be done to it",
            operation=kind.value,
            domain=info.name,
        )
    name = info.name or str(info.domid)
    return await work.manager.jobs.begin(
        kind, info.handle, name, what, user=work.caller.uid, deadline=_deadline(work)
    )


async def _adopt(work: Work) -> None:
    await adopt(work.manager, work.ref)


async def _file(work: Work, operation: str, path: str) -> str:
    """A file on this host that the caller may name, as the daemon finds it."""
    root = work.manager.link.root
    if not path.startswith("/"):
        raise InvalidConfig(
            f"{operation}: {path!r} is no absolute path",
            problems=(f"path: {path!r} is not absolute",),
            operation=operation,
        )
    if work.caller.role < Role.ADMIN and not await asyncio.to_thread(
        descriptions.below, root, work.roots, path
    ):
        where = " or ".join(work.roots) or "any directory for that"
        raise Denied(
            f"{operation}: path {path!r}, which is not below {where}, takes the role admin, and the caller has only "
            f"{work.caller.role.name.lower()}",
            operation=operation,
            channel="daemon",
        )
    return path if path.startswith(f"{root}/") else root + path


# --- jobs


async def _jobs(work: Work) -> list[Job]:
    return work.manager.jobs.all(work.arguments["active"])


async def _job(work: Work) -> Job:
    values = work.arguments
    return await work.manager.jobs.look(
        values["id"], values["since"], min(values["wait"], LONGEST_WAIT, work.left)
    )


async def _job_cancel(work: Work) -> Job:
    return work.manager.jobs.cancel(work.arguments["id"])


async def _job_log(work: Work) -> list[str]:
    return await work.manager.jobs.log(work.arguments["id"])


def _read(
    handler: Callable[[Work], Awaitable[object]],
    about: bool = False,
    /,
    role: Role = Role.READER,
    **arguments: Argument,
) -> Operation:
    return Operation(role, handler, about, arguments, needs_host=about)


def _change(
    handler: Callable[[Work], Awaitable[object]],
    about: bool,
    /,
    role: Role = Role.OPERATOR,
    **arguments: Argument,
) -> Operation:
    return Operation(role, handler, about, arguments, alone=True)


_FORMAT = Argument(args.text, None)
_DEADLINE = Argument(args.seconds, None)

MANAGED: Mapping[str, Operation] = {
    "list_definitions": _read(_list_definitions),
    "definition": _read(_definition, True),
    "definition_text": _read(_definition_text, True, security_info=Argument(args.flag, False)),
    "define": _change(
        _define, False, text=Argument(args.long_text), format=_FORMAT, revision=Argument(args.integer, None)
    ),
    "undefine": _change(
        _undefine, True, managed_save=Argument(args.flag, False), revision=Argument(args.integer, None)
    ),
    "set_autostart": _change(
        _set_autostart, True, autostart=Argument(args.flag), order=Argument(args.integer, None)
    ),
    "start": _change(
        _start,
        True,
        paused=Argument(args.flag, False),
        force_boot=Argument(args.flag, False),
        deadline=_DEADLINE,
    ),
    "create": _change(
        _create,
        False,
        text=Argument(args.long_text),
        format=_FORMAT,
        paused=Argument(args.flag, False),
        deadline=_DEADLINE,
    ),
    "save": _change(_save, True, path=Argument(args.text), deadline=_DEADLINE),
    "managed_save": _change(_managed_save, True, deadline=_DEADLINE),
    "managed_save_remove": _change(_managed_save_remove, True),
    "restore": _change(
        _restore,
        False,
        path=Argument(args.text),
        text=Argument(args.long_text, None),
        format=_FORMAT,
        paused=Argument(args.flag, False),
        deadline=_DEADLINE,
    ),
    "saved_description": _read(_saved_description, role=Role.OPERATOR, path=Argument(args.text)),
    "dump": _change(
        _dump,
        True,
        path=Argument(args.text),
        live=Argument(args.flag, False),
        crash=Argument(args.flag, False),
        deadline=_DEADLINE,
    ),
    "migrate": _change(
        _migrate,
        True,
        role=Role.ADMIN,
        host=Argument(args.text),
        command=Argument(args.words, None),
        live=Argument(args.flag, True),
        deadline=_DEADLINE,
    ),
    "adopt": _change(_adopt, True),
    "jobs": _read(_jobs, active=Argument(args.flag, False)),
    "job": _read(
        _job, id=Argument(args.integer), since=Argument(args.integer, -1), wait=Argument(args.seconds, 0.0)
    ),
    "job_cancel": _change(_job_cancel, False, id=Argument(args.integer)),
    "job_log": _read(_job_log, id=Argument(args.integer)),
}
