"""xend, rostore: the daemons of a host, run in the foreground until they are stopped."""

from __future__ import annotations

import importlib
from typing import Any

import click

root_option = click.option(
    "--root",
    metavar="DIR",
    type=click.Path(file_okay=False, exists=True),
    help="A simulated host's directory.",
)


def _program() -> Any:
    """The composition root, loaded by name: nothing else of the command line needs it."""
    return importlib.import_module("purevirt.programs.xend")


@click.command()
@root_option
@click.option("--tcp", metavar="ADDR:PORT", help="Serve readers over TCP as well, whoever they are.")
@click.option("--reader-group", default="xen", metavar="GROUP", help="Whose members may look. Default: xen.")
@click.option("--operator-group", metavar="GROUP", help="Whose members may change domains. Default: none.")
@click.option(
    "--audit",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Where changes are written down. Default: /var/log/purevirt/audit.log.",
)
@click.option("--no-rostore", is_flag=True, help="Leave the read-only Xen Store to another process.")
def xend(
    root: str | None,
    tcp: str | None,
    reader_group: str,
    operator_group: str | None,
    audit: str | None,
    no_rostore: bool,
) -> None:
    """Run the Xen daemon of this host.

    Prints "ready" when it serves, then runs until it gets SIGINT or SIGTERM. Needs root, but for a simulated host.
    """
    program = _program()
    program.main(
        program.Options(
            root=_absolute(root),
            tcp=tcp,
            reader_group=reader_group or None,
            operator_group=operator_group,
            audit=audit,
            read_only_store=not no_rostore,
        )
    )


@click.command()
@root_option
def rostore(root: str | None) -> None:
    """Run the read-only Xen Store of this host alone.

    Prints "ready" when it serves, then runs until it gets SIGINT or SIGTERM.
    """
    _program().read_only_store(_absolute(root))


def _absolute(root: str | None) -> str:
    import os

    return os.path.abspath(root) if root else ""
