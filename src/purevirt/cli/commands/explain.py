"""explain: the routing table of this connection."""

from __future__ import annotations

import click

from purevirt.cli import output
from purevirt.cli.context import json_option, pass_session
from purevirt.cli.session import Session


@click.command()
@click.argument("operation", required=False)
@json_option
@pass_session
def explain(session: Session, operation: str | None) -> None:
    """Show which channel serves which operation on this connection.

    The first channel's answer counts; the others add what the note says. Channels are never tried in turn.
    """
    connection = session.connection
    routes = connection.explain()
    if operation is not None:
        routes = tuple(route for route in routes if operation in (route.operation, route.libvirt))
        if not routes:
            raise click.UsageError(f"there is no operation {operation!r}: 'purevirt explain' lists them")
    if session.json:
        output.print_json(
            {
                "uri": connection.uri,
                "read_only": connection.read_only,
                "daemon": connection.has_daemon,
                "routes": routes,
            }
        )
        return
    access = "read-only" if connection.read_only else "read and write"
    daemon = "with" if connection.has_daemon else "without"
    click.echo(f"{connection.uri}, {access}, {daemon} the Xen daemon\n")
    output.table(
        ("Operation", "Channels", "Note", "libvirt"),
        [
            (
                route.operation,
                " + ".join(channel.value for channel in route.channels) or "none",
                route.note,
                route.libvirt,
            )
            for route in routes
        ],
    )
