"""suspend, resume, shutdown, reboot, destroy, domrename."""

from __future__ import annotations

import click

from purevirt.cli import output
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
    session.connection.lookup(domain).suspend(timeout=timeout)
    output.done(session.json, f"Domain '{domain}' suspended")


@click.command()
@timeout_option
@domain_argument
@json_option
@pass_session
def resume(session: Session, domain: str, timeout: float) -> None:
    """Let a paused domain run again."""
    session.connection.lookup(domain).resume(timeout=timeout)
    output.done(session.json, f"Domain '{domain}' resumed")


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
    session.connection.lookup(domain).shutdown(mode, timeout=timeout)
    output.done(session.json, f"Domain '{domain}' is being shutdown")


@click.command()
@timeout_option
@domain_argument
@json_option
@pass_session
def reboot(session: Session, domain: str, timeout: float) -> None:
    """Ask a domain's kernel to reboot. As shutdown --mode reboot."""
    session.connection.lookup(domain).reboot(timeout=timeout)
    output.done(session.json, f"Domain '{domain}' is being rebooted")


@click.command()
@timeout_option
@domain_argument
@json_option
@pass_session
def destroy(session: Session, domain: str, timeout: float) -> None:
    """End a domain at once, without asking its kernel."""
    session.connection.lookup(domain).destroy(timeout=timeout)
    output.done(session.json, f"Domain '{domain}' destroyed")


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
