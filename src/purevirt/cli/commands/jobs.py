"""job-list, job-log, job-wait, job-cancel, domjobinfo, domjobabort."""

from __future__ import annotations

import time

import click

import purevirt
from purevirt.cli import output
from purevirt.cli.context import domain_argument, json_option, pass_session
from purevirt.cli.progress import followed
from purevirt.cli.session import Session
from purevirt.errors import WrongState

__all__ = ["domjobabort", "domjobinfo", "job_cancel", "job_list", "job_log", "job_wait"]

_number = click.argument("number", metavar="JOB", type=int)


def _share(job: purevirt.Job) -> str | None:
    return None if job.progress is None else f"{job.progress:.0%}"


@click.command()
@click.option("--active", is_flag=True, help="Only those that are under way.")
@json_option
@pass_session
def job_list(session: Session, active: bool) -> None:
    """List the Xen daemon's jobs, the oldest first."""
    jobs = session.connection.jobs(active=active)
    if session.json:
        output.print_json(jobs)
        return
    output.table(
        ("Id", "Kind", "Domain", "State", "Progress", "Begun", "Step or message"),
        [
            (
                job.id,
                job.kind.value,
                job.name,
                job.state.value,
                _share(job),
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.started)),
                job.step if job.message is None else job.message,
            )
            for job in jobs
        ],
        right=("Id", "Progress"),
    )


@click.command()
@_number
@json_option
@pass_session
def job_log(session: Session, number: int) -> None:
    """Print a job's log: what it did when (UTC)."""
    lines = session.connection.job_log(number)
    if session.json:
        output.print_json(lines)
    for line in () if session.json else lines:
        click.echo(output.text(line))


@click.command()
@_number
@json_option
@pass_session
def job_wait(session: Session, number: int) -> None:
    """Wait until a job has ended; ends with the status that the command would have ended with."""
    connection = session.connection
    job = followed(lambda look: connection.wait_for_job(number, progress=look))
    if session.json:
        output.print_json(job)
    else:
        click.echo(f"Job {job.id} ({job.kind.value} of domain '{output.text(job.name)}') is done")


@click.command()
@_number
@json_option
@pass_session
def job_cancel(session: Session, number: int) -> None:
    """Have a job give up, and undo what it has begun."""
    session.connection.cancel_job(number)
    output.done(session.json, f"Job {number} is being cancelled")


@click.command()
@domain_argument
@json_option
@pass_session
def domjobinfo(session: Session, domain: str) -> None:
    """Show the job that is at work on a domain."""
    job = session.connection.lookup(domain).job()
    if session.json:
        output.print_json(job)
    elif job is None:
        output.block([("Job type", "None")])
    else:
        output.block(
            [
                ("Job type", "Bounded" if job.progress is not None else "Unbounded"),
                ("Operation", job.kind.value),
                ("Job", job.id),
                ("Time elapsed", f"{time.time() - job.started:.0f} s"),
                ("Progress", _share(job)),
                ("Step", job.step),
            ]
        )


@click.command()
@domain_argument
@json_option
@pass_session
def domjobabort(session: Session, domain: str) -> None:
    """Have the job that is at work on a domain give up, and undo what it has begun."""
    connection = session.connection
    job = connection.lookup(domain).job()
    if job is None:
        raise WrongState(f"no job is at work on domain {domain}", domain=domain)
    connection.cancel_job(job)
    output.done(session.json)
