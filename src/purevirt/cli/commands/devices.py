"""domblklist, domblkstat, domiflist, domifstat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from purevirt.cli import output
from purevirt.cli.context import domain_argument, json_option, pass_session
from purevirt.cli.session import Session


@click.command()
@click.option("--details", is_flag=True, help="Also device, format, backend and access.")
@domain_argument
@json_option
@pass_session
def domblklist(session: Session, domain: str, details: bool) -> None:
    """List a domain's disks."""
    disks = session.connection.lookup(domain).block_devices()
    if session.json:
        output.print_json(disks)
    elif details:
        output.table(
            ("Device", "Target", "Source", "Format", "Backend", "Read-only", "Connected"),
            [
                (
                    disk.device,
                    disk.target,
                    disk.source,
                    disk.format,
                    disk.backend,
                    disk.read_only,
                    disk.connected,
                )
                for disk in disks
            ],
        )
    else:
        output.table(("Target", "Source"), [(disk.target, disk.source) for disk in disks])


@click.command()
@domain_argument
@click.argument("device", required=False)
@json_option
@pass_session
def domblkstat(session: Session, domain: str, device: str | None) -> None:
    """Show the counters of a disk, or of all disks.

    DEVICE is a target (xvda), a number or a source.
    """
    found = session.connection.lookup(domain)
    targets = [device] if device is not None else [disk.target for disk in found.block_devices()]
    counters = {target: found.block_stats(target) for target in targets}
    _print_counters(session, counters)


@click.command()
@domain_argument
@json_option
@pass_session
def domiflist(session: Session, domain: str) -> None:
    """List a domain's network interfaces."""
    nics = session.connection.lookup(domain).interfaces()
    if session.json:
        output.print_json(nics)
        return
    output.table(
        ("Interface", "Type", "Source", "Model", "MAC"),
        [(nic.device, nic.type, nic.source, nic.model, nic.mac) for nic in nics],
    )


@click.command()
@domain_argument
@click.argument("interface", required=False)
@json_option
@pass_session
def domifstat(session: Session, domain: str, interface: str | None) -> None:
    """Show the counters of a network interface, or of all, as the guest sees them.

    INTERFACE is a device (vif1.0), a MAC address or a number.
    """
    found = session.connection.lookup(domain)
    devices = [interface] if interface is not None else [nic.device for nic in found.interfaces()]
    _print_counters(session, {device: found.interface_stats(device) for device in devices})


def _print_counters(session: Session, counters: Mapping[str, Any]) -> None:
    if session.json:
        output.print_json(counters)
        return
    for device, values in counters.items():
        for key, value in values._asdict().items():
            if value is not None:
                click.echo(f"{output.text(device)} {key} {value}")
