"""capabilities, domcapabilities."""

from __future__ import annotations

import click

from purevirt.cli import output
from purevirt.cli.context import json_option, pass_session
from purevirt.cli.session import Session


@click.command()
@json_option
@pass_session
def capabilities(session: Session) -> None:
    """Show what the host can do: its processors and topology, and the guests it runs.

    As libvirt's XML, or with --json as the library has it.
    """
    if session.json:
        output.print_json(session.connection.capabilities())
    else:
        click.echo(session.connection.capabilities_xml(), nl=False)


@click.command()
@click.option("--virttype", type=click.Choice(["xen"]), default="xen", help="There is one: xen.")
@click.option(
    "--emulatorbin", metavar="PATH", help="The device model to speak of. Default: the installed one."
)
@click.option("--arch", metavar="ARCH", help="The guest's architecture. Default: the host's own.")
@click.option(
    "--machine",
    type=click.Choice(["xenpv", "xenpvh", "xenfv"]),
    help="The kind of guest. Default: xenpv, where the host runs such guests.",
)
@json_option
@pass_session
def domcapabilities(
    session: Session, virttype: str, emulatorbin: str | None, arch: str | None, machine: str | None
) -> None:
    """Show what a guest of one kind can have on this host.

    As libvirt's XML, or with --json as the library has it.
    """
    if emulatorbin is not None and not emulatorbin.startswith("/"):
        raise click.UsageError(f"--emulatorbin: expected an absolute path, not {emulatorbin!r}")
    connection = session.connection
    if session.json:
        output.print_json(connection.domain_capabilities(machine, arch, emulator=emulatorbin))
    else:
        click.echo(connection.domain_capabilities_xml(machine, arch, emulator=emulatorbin), nl=False)
