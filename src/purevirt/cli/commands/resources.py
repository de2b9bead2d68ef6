"""setmem, setmaxmem, setvcpus, vcpupin: what a domain may use."""

from __future__ import annotations

import click

from purevirt.cli import output
from purevirt.cli.context import domain_argument, json_option, pass_session
from purevirt.cli.parameters import (
    CpuList,
    Scope,
    Size,
    live_option,
    parse_cpus,
    scope_options,
    timeout_option,
)
from purevirt.cli.session import Session


def _size(positional: int | None, option: int | None) -> int:
    """virsh takes a size as an argument or as an option."""
    if (positional is None) == (option is None):
        raise click.UsageError("give one size, as an argument or with --size")
    size = option if positional is None else positional
    assert size is not None
    return size


@click.command()
@click.option("--size", "option", type=Size(), help="The size, as an option.")
@scope_options
@timeout_option
@domain_argument
@click.argument("size", type=Size(), required=False)
@json_option
@pass_session
def setmem(
    session: Session, domain: str, size: int | None, option: int | None, scope: Scope, timeout: float
) -> None:
    """Ask a domain to balloon to a size.

    SIZE is in KiB, or has a unit: 524288, 512M, 1G. The guest answers in its own time; dominfo says what it holds.
    """
    found = session.connection.lookup(domain)
    target = found.set_memory(_size(size, option), timeout=timeout, **scope.of(found))
    if session.json:
        output.print_json({"target_kib": target})


@click.command()
@click.option("--size", "option", type=Size(), help="The size, as an option.")
@scope_options
@timeout_option
@domain_argument
@click.argument("size", type=Size(), required=False)
@json_option
@pass_session
def setmaxmem(
    session: Session, domain: str, size: int | None, option: int | None, scope: Scope, timeout: float
) -> None:
    """Set how much memory a domain may hold at most.

    SIZE is in KiB, or has a unit: 524288, 512M, 1G.
    """
    found = session.connection.lookup(domain)
    found.set_max_memory(_size(size, option), timeout=timeout, **scope.of(found))
    output.done(session.json)


@click.command()
@click.option("--maximum", is_flag=True, help="How many it may have, from its next start on.")
@scope_options
@timeout_option
@domain_argument
@click.argument("count", type=click.IntRange(min=1))
@json_option
@pass_session
def setvcpus(session: Session, domain: str, count: int, maximum: bool, scope: Scope, timeout: float) -> None:
    """Ask a domain to run on COUNT virtual CPUs.

    The guest answers in its own time; vcpucount says how many are online.
    """
    found = session.connection.lookup(domain)
    chosen = scope.of(found)
    if maximum:
        if chosen["live"]:
            raise click.UsageError("--maximum is for the definition: say --config")
        found.set_max_vcpus(count)
        output.done(session.json)
        return
    counted = found.set_vcpus(count, timeout=timeout, **chosen)
    if session.json:
        output.print_json(counted)
    elif chosen["live"] and counted.online != counted.asked:
        click.echo(
            f"Domain '{domain}' was asked for {counted.asked} virtual CPUs; online now: {counted.online}"
        )


@click.command()
@click.option("--soft", is_flag=True, help="Where it prefers to run, instead of where it may.")
@live_option
@timeout_option
@domain_argument
@click.argument("vcpu", type=click.IntRange(min=0), required=False)
@click.argument("cpulist", type=CpuList(), required=False)
@json_option
@pass_session
def vcpupin(
    session: Session, domain: str, vcpu: int | None, cpulist: str | None, soft: bool, timeout: float
) -> None:
    """Show or set where a domain's virtual CPUs may run.

    CPULIST is as in "0-3,^2,5"; "r" means all that the host has.
    """
    connection = session.connection
    found = connection.lookup(domain)
    if vcpu is not None and cpulist is not None:
        available = connection.node_info().cpus or 0
        found.pin_vcpu(vcpu, parse_cpus(cpulist, available), soft=soft, timeout=timeout)
        output.done(session.json)
        return
    vcpus = [each for each in found.vcpus() if vcpu is None or each.number == vcpu]
    if not vcpus:
        raise click.UsageError(f"domain '{domain}' has no virtual CPU {vcpu}")
    pins = {each.number: each.soft_affinity if soft else each.hard_affinity for each in vcpus}
    if session.json:
        output.print_json(pins)
        return
    output.table(
        ("VCPU", "CPU affinity"),
        [(number, output.cpu_ranges(cpus)) for number, cpus in pins.items()],
        right=("VCPU",),
    )
