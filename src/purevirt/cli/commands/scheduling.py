"""schedinfo, cpupool-list: how the host's CPUs are shared."""

from __future__ import annotations

import click

from purevirt.cli import output
from purevirt.cli.context import domain_argument, json_option, pass_session
from purevirt.cli.parameters import live_option, timeout_option
from purevirt.cli.session import Session

_KEYS = ("weight", "cap")


@click.command()
@click.option(
    "--weight", type=click.IntRange(1, 65535), help="Its share beside the others'. Xen's default: 256."
)
@click.option(
    "--cap", type=click.IntRange(min=0), help="The most it may use, in percent of one CPU; 0: no limit."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="The same, as virsh writes it.")
@live_option
@timeout_option
@domain_argument
@json_option
@pass_session
def schedinfo(
    session: Session,
    domain: str,
    weight: int | None,
    cap: int | None,
    settings: tuple[str, ...],
    timeout: float,
) -> None:
    """Show or set a domain's share of the CPUs."""
    wanted = {"weight": weight, "cap": cap}
    for setting in settings:
        for part in setting.split(","):
            key, equals, value = part.partition("=")
            if key not in _KEYS or not equals or not (value.isascii() and value.isdigit()):
                raise click.UsageError(f"--set {part!r}: write weight=NUMBER or cap=NUMBER")
            wanted[key] = int(value)
    found = session.connection.lookup(domain)
    if wanted["weight"] is not None or wanted["cap"] is not None:
        found.set_scheduler_parameters(weight=wanted["weight"], cap=wanted["cap"], timeout=timeout)
    parameters = found.scheduler_parameters()
    if session.json:
        output.print_json(parameters)
        return
    _line("Scheduler", parameters.scheduler)
    for key, number in (("weight", parameters.weight), ("cap", parameters.cap)):
        _line(key, number)


def _line(key: str, value: object) -> None:
    print(f"{key:<15}: {output.text(value)}")  # as virsh: its scripts cut at the colon


@click.command("cpupool-list")
@json_option
@pass_session
def cpupool_list(session: Session) -> None:
    """List the CPU pools: which CPUs, which scheduler, how many domains."""
    pools = session.connection.cpupools()
    if session.json:
        output.print_json(pools)
        return
    output.table(
        ("Id", "Name", "CPUs", "Scheduler", "Domains"),
        [(pool.id, pool.name, output.cpu_ranges(pool.cpus), pool.scheduler, pool.domains) for pool in pools],
        right=("Domains",),
    )
