"""attach-disk, attach-interface, attach-device, detach-disk, detach-interface, detach-device, update-device,
change-media."""

from __future__ import annotations

import click

from purevirt.cli import files, output
from purevirt.cli.context import domain_argument, json_option, pass_session
from purevirt.cli.parameters import Scope, scope_options, timeout_option
from purevirt.cli.session import Session
from purevirt.errors import ConfigError

_FORMATS = ("xml", "xl-disk", "xl-vif")


_force_option = click.option("--force", is_flag=True, help="Without asking the guest.")
_format_option = click.option(
    "--format", "form", type=click.Choice(_FORMATS), help="What is in FILE. Default: XML."
)


def _done(session: Session, found: object, words: str) -> None:
    if session.json:
        output.print_json(found)
    else:
        output.done(False, words)


def _device(path: str) -> str:
    try:
        return files.read(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{files.shown(path)}: no text in UTF-8", file=path) from error


@click.command()
@click.option(
    "--driver",
    type=click.Choice(("phy", "qemu", "tap")),
    help="What serves it. Default: phy for raw disks, else qemu.",
)
@click.option("--subdriver", "form", default="raw", metavar="FORMAT", help="raw, qcow2 … Default: raw.")
@click.option("--targetbus", type=click.Choice(("xen",)), help="The only choice, for virsh's sake.")
@click.option(
    "--type", "kind", type=click.Choice(("disk", "cdrom")), default="disk", help="What the guest sees."
)
@click.option("--mode", type=click.Choice(("readonly",)), help="The guest may only read it.")
@click.option(
    "--sourcetype", type=click.Choice(("file", "block")), help="For virsh's sake: the host looks for itself."
)
@click.option("--script", help="The hotplug script, of /etc/xen/scripts, or a path.")
@scope_options
@timeout_option
@domain_argument
@click.argument("source")
@click.argument("target")
@json_option
@pass_session
def attach_disk(
    session: Session,
    domain: str,
    source: str,
    target: str,
    form: str,
    driver: str | None,
    targetbus: str | None,
    kind: str,
    mode: str | None,
    sourcetype: str | None,
    script: str | None,
    scope: Scope,
    timeout: float,
) -> None:
    """Add a disk to a domain.

    SOURCE is a file or a block device of the host, TARGET what the guest is to call it: xvdb. Ends when the guest has
    the disk; with status 7, and without the disk, when the guest does not take it.
    """
    where = session.connection.lookup(domain)
    try:
        found = where.attach_disk(
            source,
            target,
            format=form,
            read_only=mode is not None,
            device=kind,
            backend="qdisk" if driver == "qemu" else driver,
            script=script,
            timeout=timeout,
            **scope.of(where),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    _done(session, found, "Disk attached successfully")


@click.command()
@click.option("--target", "name", help="What Domain 0 calls its end. Default: vifDOMID.NUMBER.")
@click.option("--mac", help="Its address. Default: one of Xen's range.")
@click.option("--script", help="The hotplug script, of /etc/xen/scripts, or a path. Default: vif-bridge.")
@click.option("--model", help="Kept for the domain's next start; the card added now is para-virtual.")
@click.option("--mtu", type=click.IntRange(68, 65535), help="Its MTU. Default: the bridge's.")
@click.option("--outbound", "rate", metavar="RATE", help="The most that the guest may send: 10Mb/s.")
@scope_options
@timeout_option
@domain_argument
@click.argument("kind", metavar="TYPE", type=click.Choice(("bridge",)))
@click.argument("source")
@json_option
@pass_session
def attach_interface(
    session: Session,
    domain: str,
    kind: str,
    source: str,
    name: str | None,
    mac: str | None,
    script: str | None,
    model: str | None,
    mtu: int | None,
    rate: str | None,
    scope: Scope,
    timeout: float,
) -> None:
    """Add a network interface to a domain.

    TYPE is bridge, SOURCE the name of one. Ends when the guest has the interface; with status 7, and without the
    interface, when the guest does not take it.
    """
    where = session.connection.lookup(domain)
    try:
        found = where.attach_interface(
            source,
            mac=mac,
            name=name,
            model=model,
            mtu=mtu,
            rate=rate,
            script=script,
            timeout=timeout,
            **scope.of(where),
        )
    except ValueError as error:
        raise click.BadParameter(f"{rate!r} is none, expected {error}", param_hint="--outbound") from error
    _done(session, found, "Interface attached successfully")


@click.command()
@_format_option
@scope_options
@timeout_option
@domain_argument
@click.argument("file")
@json_option
@pass_session
def attach_device(
    session: Session, domain: str, file: str, form: str | None, scope: Scope, timeout: float
) -> None:
    """Add a device, described in a file, to a domain.

    FILE may be - for standard input.
    """
    text = _device(file)
    where = session.connection.lookup(domain)
    found = where.attach_device(text, format=form, timeout=timeout, **scope.of(where))
    _done(session, found, "Device attached successfully")


@click.command()
@_force_option
@scope_options
@timeout_option
@domain_argument
@click.argument("target")
@json_option
@pass_session
def detach_disk(
    session: Session, domain: str, target: str, force: bool, scope: Scope, timeout: float
) -> None:
    """Take a disk from a domain.

    TARGET is what the guest calls it. Ends when the guest has let go; with status 7 when it does not.
    """
    where = session.connection.lookup(domain)
    found = where.detach_disk(target, force=force, timeout=timeout, **scope.of(where))
    _done(session, found, "Disk detached successfully")


@click.command()
@click.option("--mac", help="Its address; needed where there are several.")
@_force_option
@scope_options
@timeout_option
@domain_argument
@click.argument("kind", metavar="TYPE", type=click.Choice(("bridge", "network", "ethernet")))
@json_option
@pass_session
def detach_interface(
    session: Session, domain: str, kind: str, mac: str | None, force: bool, scope: Scope, timeout: float
) -> None:
    """Take a network interface from a domain.

    TYPE is bridge. Ends when the guest has let go; with status 7 when it does not.
    """
    where = session.connection.lookup(domain)
    if mac is None:
        there = [nic for nic in where.interfaces() if nic.type == kind or kind == "network"]
        if len(there) != 1:
            raise click.UsageError(
                f"domain '{domain}' has {len(there)} interfaces of type {kind}: say which with --mac"
            )
        detached = where.detach_interface(there[0].number, force=force, timeout=timeout, **scope.of(where))
    else:
        detached = where.detach_interface(mac, force=force, timeout=timeout, **scope.of(where))
    _done(session, detached, "Interface detached successfully")


@click.command()
@_format_option
@_force_option
@scope_options
@timeout_option
@domain_argument
@click.argument("file")
@json_option
@pass_session
def detach_device(
    session: Session, domain: str, file: str, form: str | None, force: bool, scope: Scope, timeout: float
) -> None:
    """Take a device, described in a file, from a domain.

    FILE may be - for standard input. A disk is found by its target, an interface by its address.
    """
    text = _device(file)
    where = session.connection.lookup(domain)
    found = where.detach_device(text, format=form, force=force, timeout=timeout, **scope.of(where))
    _done(session, found, "Device detached successfully")


@click.command()
@_format_option
@scope_options
@timeout_option
@domain_argument
@click.argument("file")
@json_option
@pass_session
def update_device(
    session: Session, domain: str, file: str, form: str | None, scope: Scope, timeout: float
) -> None:
    """Change a device of a domain to what a file describes.

    FILE may be - for standard input. An interface's bridge and its rate can be changed.
    """
    text = _device(file)
    where = session.connection.lookup(domain)
    found = where.update_device(text, format=form, timeout=timeout, **scope.of(where))
    _done(session, found, "Device updated successfully")


@click.command()
@click.option("--eject", "action", flag_value="eject", help="Leave the drive empty.")
@click.option("--insert", "action", flag_value="insert", help="Put SOURCE into an empty drive.")
@click.option(
    "--update", "action", flag_value="update", help="Put SOURCE in the place of what there is. The default."
)
@scope_options
@timeout_option
@domain_argument
@click.argument("path", metavar="TARGET")
@click.argument("source", required=False)
@json_option
@pass_session
def change_media(
    session: Session,
    domain: str,
    path: str,
    source: str | None,
    action: str | None,
    scope: Scope,
    timeout: float,
) -> None:
    """Exchange the medium of a CD-ROM drive.

    TARGET is what the guest calls the drive, SOURCE a file or a block device of the host.
    """
    if (source is None) is not (action == "eject"):
        raise click.UsageError("give the new medium, or --eject")
    where = session.connection.lookup(domain)
    found = where.change_media(path, source, timeout=timeout, **scope.of(where))
    _done(session, found, f"Successfully {'ejected' if action == 'eject' else 'updated'} media.")
