"""nodeinfo, freecell, hostname, uri, version, dmesg."""

from __future__ import annotations

import click

from purevirt.cli import output
from purevirt.cli.context import json_option, pass_session
from purevirt.cli.session import Session


@click.command()
@json_option
@pass_session
def nodeinfo(session: Session) -> None:
    """Show the host's CPUs and memory: the machine's, not Domain 0's."""
    info = session.connection.node_info()
    if session.json:
        output.print_json(info)
        return
    output.block(
        (
            ("CPU model", info.machine),
            ("CPU name", info.model),
            ("CPU(s)", info.cpus),
            ("CPU frequency", None if info.mhz is None else f"{info.mhz} MHz"),
            ("CPU socket(s)", info.sockets),
            ("Core(s) per socket", info.cores),
            ("Thread(s) per core", info.threads),
            ("NUMA cell(s)", info.nodes),
            ("Memory size", output.kib(info.memory_kib)),
        ),
        width=21,
    )


@click.command()
@click.option("--all", "everything", is_flag=True, help="Each NUMA cell, and the total.")
@click.argument("cell", type=click.IntRange(min=0), required=False)
@json_option
@pass_session
def freecell(session: Session, cell: int | None, everything: bool) -> None:
    """Show the host's free memory, in all, of one NUMA CELL, or of each."""
    connection = session.connection
    if not everything and cell is None:
        free = connection.free_memory()
        if session.json:
            output.print_json({"free_kib": free})
        else:
            output.block([("Total", output.kib(free))], width=7)
        return
    cells = connection.numa_cells()
    if cell is not None:
        cells = tuple(found for found in cells if found.id == cell)
        if not cells:
            raise click.UsageError(f"there is no NUMA cell {cell}")
    if session.json:
        output.print_json(cells)
        return
    pairs: list[tuple[str, object]] = [(str(found.id), output.kib(found.free_kib)) for found in cells]
    if everything:
        pairs.append(("Total", output.kib(sum(found.free_kib or 0 for found in cells))))
    output.block(pairs, width=7)


@click.command()
@json_option
@pass_session
def hostname(session: Session) -> None:
    """Show the host's name."""
    _print_one(session, "hostname", session.connection.hostname())


@click.command()
@json_option
@pass_session
def uri(session: Session) -> None:
    """Show the URI of the connection."""
    _print_one(session, "uri", session.connection.uri)


@click.command()
@json_option
@pass_session
def version(session: Session) -> None:
    """Show the versions of library and hypervisor."""
    connection = session.connection
    xen = connection.version()
    if session.json:
        output.print_json(
            {"library": connection.library_version(), "type": connection.type(), "hypervisor": xen}
        )
        return
    pairs: list[tuple[str, object]] = [
        ("Library", f"purevirt {connection.library_version()}"),
        ("Hypervisor", f"{connection.type()} {xen}"),
    ]
    if xen.sysctl is not None and xen.domctl is not None:
        pairs.append(
            (
                "Interface",
                f"sysctl {xen.sysctl:#x}, domctl {xen.domctl:#x} (layouts known by: {xen.verified})",
            )
        )
    output.block(pairs)


@click.command()
@json_option
@pass_session
def dmesg(session: Session) -> None:
    """Show Xen's own messages since boot, as far as it keeps them."""
    messages = session.connection.dmesg()
    if session.json:
        output.print_json({"dmesg": messages})
        return
    for line in messages.splitlines():
        click.echo(output.text(line.expandtabs()))


def _print_one(session: Session, key: str, value: object) -> None:
    if session.json:
        output.print_json({key: value})
    else:
        click.echo(output.text(value))
