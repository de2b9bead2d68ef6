"""domstats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from purevirt.cli import output
from purevirt.cli.context import json_option, pass_session
from purevirt.cli.session import Session
from purevirt.errors import NoSuchDomain

if TYPE_CHECKING:
    import purevirt


@click.command()
@click.option("--vcpu", "groups", flag_value="vcpu", multiple=True, help="Virtual CPUs.")
@click.option("--block", "groups", flag_value="block", multiple=True, help="Disks.")
@click.option("--interface", "groups", flag_value="interface", multiple=True, help="Network interfaces.")
@click.argument("domains", nargs=-1)
@json_option
@pass_session
def domstats(session: Session, domains: tuple[str, ...], groups: tuple[str, ...]) -> None:
    """Show the counters of all domains, or of some, in one pass over the host.

    Without an option, all groups are shown. State, memory and CPU time always are.
    """
    connection = session.connection
    found = connection.domain_stats(groups) if groups else connection.domain_stats()
    if domains:
        found = [_named(found, name) for name in domains]
    if session.json:
        output.print_json(found)
        return
    for index, stats in enumerate(found):
        if index:
            click.echo()
        click.echo(f"Domain: {output.text(stats.info.name)!s}")
        for key, value in flatten(stats):
            click.echo(f"  {key}={output.text(value)}")


def _named(found: list[purevirt.DomainStats], wanted: str) -> purevirt.DomainStats:
    for key in ("domid", "uuid", "name"):
        for stats in found:
            if str(getattr(stats.info, key)) == wanted:
                return stats
    raise NoSuchDomain(
        f"no active domain has the id, name or UUID {wanted!r}", operation="domain_stats", domain=wanted
    )


def flatten(stats: purevirt.DomainStats) -> list[tuple[str, object]]:
    """libvirt's names for the figures (`virsh domstats`), in its order; what is unknown is left out."""
    info = stats.info
    pairs: list[tuple[str, object]] = [
        ("state.state", int(info.state)),
        ("state.reason", info.reason.value),
        ("cpu.time", info.cpu_time_ns),
        ("balloon.current", info.memory_kib),
        ("balloon.target", info.memory_target_kib),
        ("balloon.maximum", info.max_memory_kib),
        ("vcpu.current", info.vcpus),
        ("vcpu.maximum", info.max_vcpus),
    ]
    for vcpu in stats.vcpus or ():
        pairs += [
            (f"vcpu.{vcpu.number}.state", int(vcpu.state)),
            (f"vcpu.{vcpu.number}.time", vcpu.cpu_time_ns),
        ]
    if stats.interfaces is not None:
        pairs.append(("net.count", len(stats.interfaces)))
    for index, (nic, counters) in enumerate(stats.interfaces or ()):
        pairs.append((f"net.{index}.name", nic.device))
        for key, value in _figures(counters):
            way, _, what = key.partition("_")
            short = {"packets": "pkts", "errors": "errs", "dropped": "drop"}.get(what, what)
            pairs.append((f"net.{index}.{way}.{short}", value))
    if stats.blocks is not None:
        pairs.append(("block.count", len(stats.blocks)))
    for index, (disk, counts) in enumerate(stats.blocks or ()):
        pairs += [(f"block.{index}.name", disk.target), (f"block.{index}.path", disk.source)]
        for key, value in _figures(counts):
            way, _, what = key.partition("_")
            name = f"{way}.{ {'req': 'reqs'}.get(what, what) }" if what else key
            pairs.append((f"block.{index}.{name}", value))
    return [(key, value) for key, value in pairs if value is not None]


def _figures(counters: purevirt.BlockStats | purevirt.InterfaceStats | None) -> list[tuple[str, object]]:
    if counters is None:
        return []
    return list(counters._asdict().items())
