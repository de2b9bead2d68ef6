"""`op=…` that makes a domain, starts, saves, moves or forgets one: jobs of the supervisor. xend answered at the end.

A job goes on if its client goes away. However long it takes, it is waited for: no call about it lasts longer than
`_LOOK` seconds, and there is always another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast
from urllib.parse import quote

from purevirt.daemons.xend.classic.answers import Answer
from purevirt.daemons.xend.classic.arguments import Refusal
from purevirt.daemons.xend.classic.context import Context
from purevirt.daemons.xend.classic.halted import described
from purevirt.errors import Denied, NoSuchDomain
from purevirt.formats.xend_sxpr import domain_text, vm
from purevirt.model import Definition, DomainInfo, DomainRef, Job, JobState, Role

__all__ = ["create", "delete", "dump", "finish", "migrate", "new", "operator", "restore", "save", "start"]

FORMAT = "xen-sxpr"
_LOOK = 20.0


def operator(context: Context) -> None:
    """Nobody else is told what is wrong with what they sent."""
    if context.reads.caller.role < Role.OPERATOR:
        raise Denied("this takes the role operator")


async def finish(
    context: Context, operation: str, ref: DomainRef | None, arguments: Mapping[str, object]
) -> Job:
    """Begin a job, and wait until it has ended. Refusal, in the job's words, if it did not end well."""
    job = cast(Job, await context.reads.call(operation, ref, arguments))
    while job.state is JobState.RUNNING:
        look = {"id": job.id, "since": job.revision, "wait": _LOOK}
        job = cast(Job, await context.reads.call("job", None, look, _LOOK * 2))
    if not job.ended_well:
        raise Refusal(job.message or f"{operation} of domain {job.name} was {job.state.value}")
    return job


async def _config(context: Context) -> str:
    """The text of the one expression that says what is to be made."""
    operator(context)
    await context.arguments.expression("config")
    return context.arguments.text("config")


def _made(context: Context, name: str, text: str | None) -> Answer:
    where = f"{context.url.rstrip('/')}/{quote(name, safe='', errors='surrogateescape')}"
    return Answer(text, status=201, reason="created", location=where)


async def create(context: Context) -> Answer:
    """Make a domain that is forgotten when it ends. As in xend it is left paused: its client has it go on."""
    document = vm.parse(await _config(context), file="config")
    text = document.text()
    job = await finish(context, "create", None, {"text": text, "format": FORMAT, "paused": True})
    ref = DomainRef(job.uuid.bytes, job.domid, job.name)
    try:
        shown = await context.facts.one(context.reads.caller, await context.reads.domain(ref))
    except NoSuchDomain:
        raise Refusal(f"domain {job.name} was made, and is gone already") from None
    said = vm.halted(document.description._replace(uuid=job.uuid))
    return _made(context, job.name, domain_text(described(shown, said)))


async def new(context: Context) -> Answer:
    """Define a domain; `(on_xend_start start)` has it start with the daemon."""
    document = vm.parse(await _config(context), file="config")
    known = cast(
        Definition, await context.reads.call("define", None, {"text": document.text(), "format": FORMAT})
    )
    if document.autostart != known.autostart:
        await context.reads.call("set_autostart", known.ref, {"autostart": document.autostart})
    return Answer()


async def restore(context: Context) -> Answer:
    """Make a domain of the file that it was saved in. It goes on at once."""
    operator(context)
    job = await finish(context, "restore", None, {"path": context.arguments.text("file")})
    return _made(context, job.name, None)


async def start(context: Context, info: DomainInfo) -> Answer:
    """Start a defined domain. `paused` was never heard in xend, and is not here."""
    await finish(context, "start", info.ref, {})
    return context.accepted


async def delete(context: Context, info: DomainInfo) -> Answer:
    """Forget a domain that does not run. One that was saved to go on later is not halted, as in xend."""
    operator(context)
    if info.domid is not None:
        raise Refusal(f"domain {info.name or info.domid} is running: only a halted one can be deleted")
    await context.reads.call("undefine", info.ref)
    return context.accepted


async def save(context: Context, info: DomainInfo) -> Answer:
    """Write a domain's state to a file; the domain is gone then."""
    operator(context)
    await finish(context, "save", info.ref, {"path": context.arguments.text("file")})
    return context.accepted


async def dump(context: Context, info: DomainInfo) -> Answer:
    """Write a domain's memory to a file."""
    operator(context)
    arguments = context.arguments
    path = arguments.text("file")
    live, crash, reset = (bool(arguments.integer(name)) for name in ("live", "crash", "reset"))
    if reset:
        raise Refusal("reset: not supported: dump it first, and reset it then")
    await finish(context, "dump", info.ref, {"path": path, "live": live, "crash": crash})
    return context.accepted


async def migrate(context: Context, info: DomainInfo) -> Answer:
    """Move a domain to another host, over ssh: whoever names a port of xend's own relocation is told that."""
    operator(context)
    arguments = context.arguments
    host, live = arguments.text("destination"), bool(arguments.integer("live"))
    port, node, ssl = (arguments.integer(name) for name in ("port", "node", "ssl"))
    arguments.flag("change_home_server")
    if port or ssl > 0:
        raise Refusal(f"{'port' if port else 'ssl'}: not supported: domains move over ssh, expected 0")
    if node >= 0:
        raise Refusal("node: not supported: the other host chooses, expected -1")
    await finish(context, "migrate", info.ref, {"host": host, "live": live})
    return Answer()
