"""dumpxml."""

from __future__ import annotations

import click

from purevirt.cli import output
from purevirt.cli.context import domain_argument, json_option, pass_session
from purevirt.cli.session import Session


@click.command()
@click.option("--inactive", is_flag=True, help="As it was made, without what only the running domain has.")
@click.option("--security-info", is_flag=True, help="With passwords.")
@domain_argument
@json_option
@pass_session
def dumpxml(session: Session, domain: str, inactive: bool, security_info: bool) -> None:
    """Print a domain's description as XML.

    With --json, all that is known of it, as the library has it.
    """
    found = session.connection.lookup(domain)
    if session.json:
        output.print_json(found.description(live=not inactive, security_info=security_info))
    else:
        click.echo(found.xml(inactive=inactive, security_info=security_info), nl=False)
