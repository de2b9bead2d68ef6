"""list, dominfo, domstate, domid, domname, domuuid."""

from __future__ import annotations

import click

import purevirt
from purevirt.cli import listing, output
from purevirt.cli.context import domain_argument, json_option, pass_session
from purevirt.cli.session import Session


@click.command("list")
@click.option("--all", "everything", is_flag=True, help="Inactive domains as well, where they are known.")
@click.option("--inactive", is_flag=True, help="Inactive domains only.")
@click.option("--persistent", is_flag=True, help="Only those that are defined.")
@click.option("--transient", is_flag=True, help="Only those that are not defined.")
@click.option("--autostart", is_flag=True, help="Only those that are started with the host.")
@click.option("--with-managed-save", is_flag=True, help="Only those with a saved state.")
@click.option("--name", "only", flag_value="name", help="Only the names, one a line.")
@click.option("--uuid", "only", flag_value="uuid", help="Only the UUIDs, one a line.")
@click.option("--id", "only", flag_value="id", help="Only the ids, one a line.")
@json_option
@pass_session
def list_(
    session: Session,
    everything: bool,
    inactive: bool,
    persistent: bool,
    transient: bool,
    autostart: bool,
    with_managed_save: bool,
    only: str | None,
) -> None:
    """List the domains.

    State, memory, vCPUs and CPU time are the hypervisor's; with -r they are unknown ("-").
    """
    if not (persistent or transient or autostart or with_managed_save):
        listing.show(session, everything=everything, inactive=inactive, only=only)
        return
    known = {found.handle: found for found in session.connection.definitions()}

    def keep(info: purevirt.DomainInfo) -> bool:
        found = known.get(info.handle)
        if found is None:
            return not (persistent or autostart or with_managed_save)
        return (
            not transient
            and (found.autostart or not autostart)
            and (found.managed_save or not with_managed_save)
        )

    listing.show(session, everything=everything, inactive=inactive, only=only, keep=keep)


@click.command()
@domain_argument
@json_option
@pass_session
def dominfo(session: Session, domain: str) -> None:
    """Show what a domain is and what it uses.

    DOMAIN is an id, a name or a UUID.
    """
    found = session.connection.lookup(domain)
    info = found.info()
    if session.json:
        output.print_json(info)
        return
    pairs: list[tuple[str, object]] = [
        ("Id", info.domid),
        ("Name", info.name),
        ("UUID", info.uuid),
        ("Type", None if info.type is None else info.type.name),
        ("State", listing.state_word(info)),
        ("Reason", info.reason),
        ("CPU(s)", info.vcpus),
        ("Max CPU(s)", info.max_vcpus),
        ("CPU time", output.seconds(info.cpu_time_ns)),
        ("Max memory", output.kib(info.max_memory_kib)),
        ("Used memory", output.kib(info.memory_kib)),
    ]
    if info.memory_target_kib is not None:
        pairs.append(("Memory target", output.kib(info.memory_target_kib)))
    pairs.append(("CPU pool", info.cpupool))
    if session.connection.has_daemon:
        from purevirt.cli.commands.definitions import facts

        pairs += facts(found)
    output.block(pairs)


@click.command()
@click.option("--reason", is_flag=True, help="Also why, as far as the hypervisor tells.")
@domain_argument
@json_option
@pass_session
def domstate(session: Session, domain: str, reason: bool) -> None:
    """Show a domain's state."""
    info = session.connection.lookup(domain).info()
    if session.json:
        output.print_json({"state": info.state, "reason": info.reason, "flags": info.flags})
    else:
        click.echo(listing.state_word(info) + (f" ({info.reason.value})" if reason else ""))


@click.command()
@domain_argument
@json_option
@pass_session
def domid(session: Session, domain: str) -> None:
    """Show a domain's id."""
    _print_one(session, "domid", session.connection.lookup(domain).id())


@click.command()
@domain_argument
@json_option
@pass_session
def domname(session: Session, domain: str) -> None:
    """Show a domain's name."""
    _print_one(session, "name", session.connection.lookup(domain).name())


@click.command()
@domain_argument
@json_option
@pass_session
def domuuid(session: Session, domain: str) -> None:
    """Show a domain's UUID."""
    _print_one(session, "uuid", session.connection.lookup(domain).uuid)


def _print_one(session: Session, key: str, value: object) -> None:
    if session.json:
        output.print_json({key: value})
    else:
        click.echo(output.text(value))
