"""sysrq, inject-nmi, trigger: what reaches into a guest's kernel from outside."""

from __future__ import annotations

import click

from purevirt.cli import output
from purevirt.cli.context import domain_argument, json_option, pass_session
from purevirt.cli.parameters import timeout_option
from purevirt.cli.session import Session

TRIGGERS = ("nmi", "reset", "init", "power", "sleep")


@click.command()
@timeout_option
@domain_argument
@click.argument("key")
@json_option
@pass_session
def sysrq(session: Session, domain: str, key: str, timeout: float) -> None:
    """Press a magic SysRq key in a domain's Linux kernel.

    KEY is one character: s syncs the disks, t shows the tasks, h lists the others.
    """
    if len(key) != 1 or not key.isprintable():
        raise click.UsageError(
            f"{key!r} is no SysRq key: it is one character, as in: purevirt sysrq {domain} s"
        )
    session.connection.lookup(domain).send_sysrq(key, timeout=timeout)
    output.done(session.json)


@click.command("inject-nmi")
@timeout_option
@domain_argument
@json_option
@pass_session
def inject_nmi(session: Session, domain: str, timeout: float) -> None:
    """Send a domain's first virtual CPU a non-maskable interrupt."""
    session.connection.lookup(domain).inject_nmi(timeout=timeout)
    output.done(session.json)


@click.command()
@click.option("--vcpu", type=click.IntRange(min=0), default=0, help="Which virtual CPU. Default: 0.")
@timeout_option
@domain_argument
@click.argument("what", type=click.Choice(TRIGGERS))
@json_option
@pass_session
def trigger(session: Session, domain: str, what: str, vcpu: int, timeout: float) -> None:
    """Press one of a domain's buttons, or send it an interrupt.

    What the guest makes of it is the guest's affair; a PV domain knows only nmi.
    """
    session.connection.lookup(domain).send_trigger(what, vcpu, timeout=timeout)
    output.done(session.json)
