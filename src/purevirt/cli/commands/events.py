"""event: what happens to the domains, a line each."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from purevirt.cli import output
from purevirt.cli.context import complete_domain, json_option, pass_session
from purevirt.cli.session import Session

if TYPE_CHECKING:
    import purevirt

LIFECYCLE = ("created", "started", "stopped", "suspended", "resumed", "crashed", "shutdown")
KINDS = (*LIFECYCLE, "renamed", "devices", "changed", "lost")


@click.command()
@click.option("--domain", shell_complete=complete_domain, help="Only this one's: an id, a name or a UUID.")
@click.option(
    "--event",
    "kinds",
    type=click.Choice(("lifecycle", *KINDS)),
    multiple=True,
    metavar="KIND",
    help="Only these; may be given several times. Default: all.",
)
@click.option("--all", "_all", is_flag=True, expose_value=False, help="All kinds: the default.")
@click.option("--loop", is_flag=True, help="Until interrupted, or --timeout passes; not one alone.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="End after so long.")
@click.option("--timestamp", is_flag=True, help="Print when.")
@click.option("--list", "listing", is_flag=True, help="List the kinds of events.")
@json_option
@pass_session
def event(
    session: Session,
    domain: str | None,
    kinds: tuple[str, ...],
    loop: bool,
    timeout: float | None,
    timestamp: bool,
    listing: bool,
) -> None:
    """Wait for something to happen to the domains, and print it.

    Without --loop, ends after one event, and with status 7 if none comes within --timeout. What a connection can see
    depends on it: 'purevirt explain events'. With --json, an object a line.
    """
    if listing:
        if session.json:
            output.print_json(KINDS)
        else:
            click.echo("\n".join(KINDS))
        return
    wanted = {word for kind in kinds for word in (LIFECYCLE if kind == "lifecycle" else (kind,))}
    deadline = None if timeout is None else time.monotonic() + timeout
    seen = 0
    with session.connection.events(wanted or None, domain) as events:
        while loop or not seen:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            found = events.next(left)
            if found is None:
                break
            seen += 1
            _show(session, found, timestamp)
    if not seen and not loop:
        from purevirt.errors import Timeout

        raise Timeout(f"no event came within {timeout:g} s", operation="events")
    if not session.json:
        click.echo(f"events received: {seen}")


def _show(session: Session, found: purevirt.Event, timestamp: bool) -> None:
    if session.json:
        click.echo(json.dumps(output.jsonable(found), ensure_ascii=False))
    else:
        when = datetime.fromtimestamp(found.time, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "+0000: "
        whom = "" if found.domid is None else f" for domain '{found.name or found.uuid}'"
        detail = f": {found.detail}" if found.detail else ""
        click.echo(output.text((when if timestamp else "") + f"event '{found.kind.value}'{whom}{detail}"))
    sys.stdout.flush()
