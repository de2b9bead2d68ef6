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
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="The settings, in TOML. Default: /etc/purevirt/xend.toml, if it is there.",
)
@click.option("--tcp", metavar="ADDR:PORT", help="Serve readers over TCP as well, whoever they are.")
@click.option("--reader-group", metavar="GROUP", help="Whose members may look. Default: xen.")
@click.option("--operator-group", metavar="GROUP", help="Whose members may change domains. Default: none.")
@click.option(
    "--audit",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Where changes are written down, below DIR. Default: /var/log/purevirt/audit.log.",
)
@click.option("--no-rostore", is_flag=True, help="Leave the read-only Xen Store to another process.")
@click.option("--log-level", metavar="LEVEL", help="The least that is logged: debug, info, warning, error.")
@click.option("--log-format", metavar="FORMAT", help="How lines look: auto, text, json, journal.")
@click.option("--print-config", "task", flag_value="config", help="Print all settings, and run nothing.")
@click.option("--check-config", "task", flag_value="check", help="Check the settings, and run nothing.")
@click.option("--print-unit", "task", flag_value="unit", help="Print a unit for systemd, and run nothing.")
def xend(
    root: str | None,
    config: str | None,
    tcp: str | None,
    reader_group: str | None,
    operator_group: str | None,
    audit: str | None,
    no_rostore: bool,
    log_level: str | None,
    log_format: str | None,
    task: str | None,
) -> None:
    """Run the Xen daemon of this host.

    Prints "ready" when it serves, then runs until it gets SIGINT or SIGTERM; SIGHUP has it read its settings again.
    Options count more than the file of settings. Needs root, but for a simulated host.
    """
    program = _program()
    given = {
        "tcp": tcp,
        "reader_group": reader_group,
        "operator_group": operator_group,
        "audit": audit and _absolute(audit),
        "read_only_store": False if no_rostore else None,
        "log_level": log_level,
        "log_format": log_format,
    }
    given = {field: value for field, value in given.items() if value is not None}
    options = program.Options(_absolute(root), config and _absolute(config), given)
    if task == "unit":
        click.echo(program.print_unit(), nl=False)
    elif task == "config":
        click.echo(program.print_config(options), nl=False)
    elif task == "check":
        for remark in program.check_config(options):
            click.echo(remark)
        click.echo("the settings are good")
    else:
        program.main(options)


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
