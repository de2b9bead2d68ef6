"""vcpuinfo, vcpucount."""

from __future__ import annotations

import click

from purevirt.cli import output
from purevirt.cli.context import domain_argument, json_option, pass_session
from purevirt.cli.session import Session


@click.command()
@domain_argument
@json_option
@pass_session
def vcpuinfo(session: Session, domain: str) -> None:
    """Show a domain's virtual CPUs: what they do, where they run, where they may run."""
    vcpus = session.connection.lookup(domain).vcpus()
    if session.json:
        output.print_json(vcpus)
        return
    output.table(
        ("VCPU", "CPU", "State", "CPU time", "CPU affinity", "Soft affinity"),
        [
            (
                vcpu.number,
                vcpu.cpu,
                vcpu.state,
                output.seconds(vcpu.cpu_time_ns),
                output.cpu_ranges(vcpu.hard_affinity),
                output.cpu_ranges(vcpu.soft_affinity),
            )
            for vcpu in vcpus
        ],
        right=("VCPU", "CPU", "CPU time"),
    )


@click.command()
@click.option("--maximum", "only", flag_value="maximum", help="Only the most it can have.")
@click.option("--active", "only", flag_value="active", help="Only those online now.")
@domain_argument
@json_option
@pass_session
def vcpucount(session: Session, domain: str, only: str | None) -> None:
    """Show how many virtual CPUs a domain has."""
    info = session.connection.lookup(domain).info()
    counts = {"maximum": info.max_vcpus, "active": info.vcpus}
    if only is not None:
        counts = {only: counts[only]}
    if session.json:
        output.print_json(counts)
    elif only is not None:
        click.echo(output.text(counts[only]))
    else:
        output.block(counts.items(), width=10)
