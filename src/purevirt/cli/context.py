"""What the commands share towards click: the session, and the options that several have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from purevirt.cli.session import Session

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["Session", "complete_domain", "domain_argument", "json_option", "pass_session"]

F = TypeVar("F", bound=Callable[..., Any])


pass_session = click.make_pass_decorator(Session, ensure=True)


def _note_json(ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    # Noted as soon as it is read: a later mistake on the same line is then reported as JSON as well.
    if value:
        ctx.ensure_object(Session).json = True
    return value


def json_option(function: F) -> F:
    """--json, before any other option takes effect."""
    return click.option(
        "--json",
        "_json",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_note_json,
        help="Print JSON.",
    )(function)


def complete_domain(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of the domains, for the shell."""
    from click.shell_completion import CompletionItem

    from purevirt.errors import XenError

    session = Session()
    root = ctx.find_root()
    session.uri, session.read_only = root.params.get("uri"), bool(root.params.get("readonly"))
    try:
        connection = session.connection
        infos = connection.domain_infos(inactive=connection.has_daemon)
        names = [info.name for info in infos if info.name]
    except XenError:
        return []
    finally:
        session.close()
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def domain_argument(function: F) -> F:
    """DOMAIN: an id, a name or a UUID."""
    return click.argument("domain", shell_complete=complete_domain)(function)
