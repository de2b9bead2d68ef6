"""suspend, resume, shutdown, reboot, destroy, domrename."""

from __future__ import annotations

import click

from purevirt.cli import output
from purevirt.cli.changing import change
from purevirt.cli.context import domain_argument, json_option, pass_session
from purevirt.cli.parameters import timeout_option
from purevirt.cli.session import Session

MODES = ("poweroff", "reboot", "halt", "suspend", "crash")


@click.command()
@timeout_option
@domain_argument
@json_option
@pass_session
def suspend(session: Session, domain: str, timeout: float) -> None:
    """Pause a domain: it keeps its memory, and gets no CPU."""
    change(session, "suspend", domain, timeout)


@click.command()
@timeout_option
@domain_argument
@json_option
@pass_session
def resume(session: Session, domain: str, timeout: float) -> None:
    """Let a paused domain run again."""
    change(session, "resume", domain, timeout)


@click.command()
@click.option(
    "--mode", type=click.Choice(MODES), default="poweroff", help="What to ask for. Default: poweroff."
)
@timeout_option
@domain_argument
@json_option
@pass_session
def shutdown(session: Session, domain: str, mode: str, timeout: float) -> None:
    """Ask a domain's kernel to shut down.

    Ends when the kernel has taken note: it shuts down in its own time. Ends with status 7 when it does not answer,
    and with status 1 when it refuses.
    """
    change(session, "shutdown", domain, timeout, mode=mode)


@click.command()
@timeout_option
@domain_argument
@json_option
@pass_session
def reboot(session: Session, domain: str, timeout: float) -> None:
    """Ask a domain's kernel to reboot. As shutdown --mode reboot."""
    change(session, "reboot", domain, timeout)


@click.command()
@timeout_option
@domain_argument
@json_option
@pass_session
def destroy(session: Session, domain: str, timeout: float) -> None:
    """End a domain at once, without asking its kernel."""
    change(session, "destroy", domain, timeout)


@click.command()
@timeout_option
@domain_argument
@click.argument("new_name", metavar="NEW-NAME")
@json_option
@pass_session
def domrename(session: Session, domain: str, new_name: str, timeout: float) -> None:
    """Give a domain another name."""
    session.connection.lookup(domain).rename(new_name, timeout=timeout)
    output.done(session.json, "Domain successfully renamed")
