"""The operations on definitions, on domains that are made or leave, and on jobs, as a table: what a caller may ask, and
of whom. `definition_calls` and `domain_calls` carry them out.

They find the domain's lock, and the database, themselves: `Operation.alone`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from purevirt.daemons.xend import arguments as args
from purevirt.daemons.xend.arguments import Argument
from purevirt.daemons.xend.managed import definition_calls, domain_calls
from purevirt.daemons.xend.reads import LONGEST_WAIT
from purevirt.daemons.xend.work import Operation, Work
from purevirt.model import Job, Role

__all__ = ["MANAGED"]


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
    "list_definitions": _read(definition_calls.list_definitions),
    "definition": _read(definition_calls.definition, True),
    "definition_text": _read(
        definition_calls.definition_text, True, security_info=Argument(args.flag, False)
    ),
    "define": _change(
        definition_calls.define,
        False,
        text=Argument(args.long_text),
        format=_FORMAT,
        revision=Argument(args.integer, None),
    ),
    "undefine": _change(
        definition_calls.undefine,
        True,
        managed_save=Argument(args.flag, False),
        revision=Argument(args.integer, None),
    ),
    "set_autostart": _change(
        definition_calls.set_autostart,
        True,
        autostart=Argument(args.flag),
        order=Argument(args.integer, None),
    ),
    "start": _change(
        domain_calls.start,
        True,
        paused=Argument(args.flag, False),
        force_boot=Argument(args.flag, False),
        deadline=_DEADLINE,
    ),
    "create": _change(
        domain_calls.create,
        False,
        text=Argument(args.long_text),
        format=_FORMAT,
        paused=Argument(args.flag, False),
        deadline=_DEADLINE,
    ),
    "save": _change(domain_calls.save, True, path=Argument(args.text), deadline=_DEADLINE),
    "managed_save": _change(domain_calls.managed_save, True, deadline=_DEADLINE),
    "managed_save_remove": _change(domain_calls.managed_save_remove, True),
    "restore": _change(
        domain_calls.restore,
        False,
        path=Argument(args.text),
        text=Argument(args.long_text, None),
        format=_FORMAT,
        paused=Argument(args.flag, False),
        deadline=_DEADLINE,
    ),
    "saved_description": _read(domain_calls.saved_description, role=Role.OPERATOR, path=Argument(args.text)),
    "dump": _change(
        domain_calls.dump,
        True,
        path=Argument(args.text),
        live=Argument(args.flag, False),
        crash=Argument(args.flag, False),
        deadline=_DEADLINE,
    ),
    "migrate": _change(
        domain_calls.migrate,
        True,
        role=Role.ADMIN,
        host=Argument(args.text),
        command=Argument(args.words, None),
        live=Argument(args.flag, True),
        deadline=_DEADLINE,
    ),
    "adopt": _change(domain_calls.take_over, True),
    "jobs": _read(_jobs, active=Argument(args.flag, False)),
    "job": _read(
        _job, id=Argument(args.integer), since=Argument(args.integer, -1), wait=Argument(args.seconds, 0.0)
    ),
    "job_cancel": _change(_job_cancel, False, id=Argument(args.integer)),
    "job_log": _read(_job_log, id=Argument(args.integer)),
}
