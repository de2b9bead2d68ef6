"""create, start, save, restore, managedsave, managedsave-remove, dump, migrate, adopt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

import purevirt
from purevirt import formats
from purevirt.cli import files, output
from purevirt.cli.context import domain_argument, json_option, pass_session
from purevirt.cli.progress import followed
from purevirt.cli.session import Session
from purevirt.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "adopt",
    "create",
    "dump",
    "managedsave",
    "managedsave_remove",
    "migrate",
    "restore",
    "save",
    "start",
]

_FORMATS = list(formats.FORMATS)


def job_options(function: F) -> F:
    """--deadline and --no-wait, of what is a job."""
    deadline = click.option(
        "--deadline",
        type=click.FloatRange(min=0.001),
        metavar="SECONDS",
        help="How long the daemon works on it, before it undoes what it has begun. Default: its setting.",
    )
    no_wait = click.option(
        "--no-wait", is_flag=True, help="Do not wait for the end; job-list and job-log tell of it."
    )
    return deadline(no_wait(function))


def description_in(path: str) -> str:
    """A description in a file, as text. ConfigError: it is none."""
    try:
        return files.read(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{files.shown(path)}: no text in UTF-8", file=path) from error


def _ended(session: Session, job: purevirt.Job, words: str) -> None:
    """Tell of a job that has ended well, or goes on."""
    if session.json:
        output.print_json(job)
    elif job.state is purevirt.JobState.RUNNING:
        click.echo(f"Job {job.id} has begun")
    else:
        output.done(False, words)


@click.command()
@click.option("--format", "form", type=click.Choice(_FORMATS), help="What is in FILE; else recognised.")
@click.option("--paused", is_flag=True, help="Do not let it run yet: resume does.")
@job_options
@click.argument("file")
@json_option
@pass_session
def create(
    session: Session, file: str, form: str | None, paused: bool, no_wait: bool, deadline: float | None
) -> None:
    """Make a domain of a description, that is forgotten when it ends.

    FILE is XML, an xl.cfg or what xend took; - for standard input.
    """
    text = description_in(file)
    form = form or formats.recognise(text, file=files.shown(file))
    formats.parse(text, form, file=files.shown(file))  # a mistake is told with the file's name, and its line
    connection = session.connection
    made = followed(
        lambda look: connection.create(
            text, format=form, paused=paused, progress=look, wait=not no_wait, deadline=deadline
        )
    )
    if session.json:
        output.print_json({"uuid": made.uuid, "id": None if no_wait else made.id()})
    elif no_wait:
        job = made.job()
        click.echo("Done" if job is None else f"Job {job.id} has begun")
    else:
        click.echo(f"Domain '{output.text(made.name())}' created from {files.shown(file)}")


@click.command()
@click.option("--paused", is_flag=True, help="Do not let it run yet: resume does.")
@click.option("--force-boot", is_flag=True, help="Boot it, and forget its saved state.")
@job_options
@domain_argument
@json_option
@pass_session
def start(
    session: Session, domain: str, paused: bool, force_boot: bool, no_wait: bool, deadline: float | None
) -> None:
    """Start a domain that is defined.

    It goes on from its saved state, if managedsave left one.
    """
    found = session.connection.lookup(domain)
    job = followed(
        lambda look: found.start(
            paused=paused, force_boot=force_boot, progress=look, wait=not no_wait, deadline=deadline
        )
    )
    _ended(session, job, f"Domain '{domain}' started")


@click.command()
@job_options
@domain_argument
@click.argument("file")
@json_option
@pass_session
def save(session: Session, domain: str, file: str, no_wait: bool, deadline: float | None) -> None:
    """Save a domain's state to a file on its host, and end it.

    FILE is an absolute path and must not be there. restore lets the domain go on from it.
    """
    found = session.connection.lookup(domain)
    job = followed(lambda look: found.save(file, progress=look, wait=not no_wait, deadline=deadline))
    _ended(session, job, f"Domain '{domain}' saved to {file}")


@click.command()
@click.option(
    "--xml", "description", metavar="FILE", help="Another description, of any format, to go on with."
)
@click.option("--paused", is_flag=True, help="Do not let it run yet: resume does.")
@job_options
@click.argument("file")
@json_option
@pass_session
def restore(
    session: Session, file: str, description: str | None, paused: bool, no_wait: bool, deadline: float | None
) -> None:
    """Let a domain go on from a file that save has written."""
    text = None if description is None else description_in(description)
    connection = session.connection
    made = followed(
        lambda look: connection.restore(
            file, text=text, paused=paused, progress=look, wait=not no_wait, deadline=deadline
        )
    )
    if session.json:
        output.print_json({"uuid": made.uuid, "id": None if no_wait else made.id()})
    else:
        click.echo("Job has begun" if no_wait else f"Domain restored from {file}")


@click.command()
@job_options
@domain_argument
@json_option
@pass_session
def managedsave(session: Session, domain: str, no_wait: bool, deadline: float | None) -> None:
    """Save a domain's state where its next start finds it, and end it."""
    found = session.connection.lookup(domain)
    job = followed(lambda look: found.managed_save(progress=look, wait=not no_wait, deadline=deadline))
    _ended(session, job, f"Domain '{domain}' state saved by the Xen daemon")


@click.command()
@domain_argument
@json_option
@pass_session
def managedsave_remove(session: Session, domain: str) -> None:
    """Throw a domain's saved state away: its next start boots it."""
    session.connection.lookup(domain).managed_save_remove()
    output.done(session.json, f"Removed managedsave image for domain '{domain}'")


@click.command()
@click.option("--live", is_flag=True, help="Let it run meanwhile.")
@click.option("--crash", is_flag=True, help="End it afterwards.")
@click.option("--memory-only", is_flag=True, help="For virsh's sake: there is nothing else.")
@job_options
@domain_argument
@click.argument("file")
@json_option
@pass_session
def dump(
    session: Session,
    domain: str,
    file: str,
    live: bool,
    crash: bool,
    memory_only: bool,
    no_wait: bool,
    deadline: float | None,
) -> None:
    """Write a domain's memory to a file on its host, for debuggers.

    FILE is an absolute path and must not be there.
    """
    found = session.connection.lookup(domain)
    job = followed(
        lambda look: found.dump(
            file, live=live, crash=crash, progress=look, wait=not no_wait, deadline=deadline
        )
    )
    _ended(session, job, f"Domain '{domain}' dumped to {file}")


@click.command()
@click.option("--live/--offline", default=True, help="While it runs (the default), or not.")
@click.option(
    "--ssh",
    metavar="COMMAND",
    help="What reaches the host instead of ssh, in a shell's words: 'ssh -i /root/.ssh/other'.",
)
@job_options
@domain_argument
@click.argument("host")
@json_option
@pass_session
def migrate(
    session: Session,
    domain: str,
    host: str,
    live: bool,
    ssh: str | None,
    no_wait: bool,
    deadline: float | None,
) -> None:
    """Let a domain go on at another host, which the Xen daemon reaches by ssh.

    HOST is as ssh takes it. The daemon runs as root, so it is root's ssh and root's keys.
    """
    import shlex

    try:
        command = None if ssh is None else shlex.split(ssh)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--ssh") from error
    found = session.connection.lookup(domain)
    job = followed(
        lambda look: found.migrate(
            host, command=command, live=live, progress=look, wait=not no_wait, deadline=deadline
        )
    )
    _ended(session, job, f"Domain '{domain}' migrated to {host}")


@click.command()
@domain_argument
@json_option
@pass_session
def adopt(session: Session, domain: str) -> None:
    """Have the Xen daemon answer for a domain that somebody else has made.

    From then on it carries out the domain's policies. An xl that waits for the domain's end is ended first.
    """
    session.connection.lookup(domain).adopt()
    output.done(session.json, f"Domain '{domain}' adopted")
