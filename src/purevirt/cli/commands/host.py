"""host: a simulated Xen host, served in a directory until it is stopped."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

import click

from purevirt.cli.context import json_option, pass_session
from purevirt.cli.session import Session

if TYPE_CHECKING:
    from purevirt import testing


@click.command()
@click.option(
    "--dir", "directory", required=True, type=click.Path(file_okay=False), help="Where its sockets are."
)
@click.option("--xen", "release", default="4.17", metavar="VERSION", help="Which Xen it plays: 4.14 to 4.22.")
@click.option("--domains", default=1, type=click.IntRange(0, 2000), help="How many domains it starts with.")
@click.option("--cpus", default=4, type=click.IntRange(1, 256), help="Physical CPUs.")
@click.option(
    "--memory", "memory_mib", default=16384, type=click.IntRange(64), metavar="MIB", help="Physical memory."
)
@click.option("--no-xend", is_flag=True, help="Leave the Xen daemon out.")
@json_option
@pass_session
def host(
    session: Session, directory: str, release: str, domains: int, cpus: int, memory_mib: int, no_xend: bool
) -> None:
    """Serve a simulated Xen host in a directory.

    Prints the URI that reaches it, then serves until it gets SIGINT or SIGTERM.
    """
    from purevirt import testing

    try:
        testing.parse_release(release)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--xen") from None
    stops = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, stops
    )  # for the host's thread as well: sigwait takes them
    try:
        memory_kib = memory_mib * 1024
        empty = domains != 1
        with testing.Host(
            directory, empty=empty, xen=release, cpus=cpus, memory_kib=memory_kib, xend=False
        ) as served:
            if empty:
                _populate(served, domains, min(262144, memory_kib // (2 * max(domains, 1))))
            if not no_xend:
                served.restart("xend")  # now: it looks at the whole host for each domain that comes
            if session.json:
                click.echo(json.dumps({"uri": served.uri, "domains": domains, "xen": release}))
            else:
                click.echo(served.uri)
                click.echo(f"purevirt: serving Xen {release}, domains: {domains}; Ctrl-C stops it", err=True)
            sys.stdout.flush()
            signal.sigwait(stops)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _populate(served: testing.Host, domains: int, memory_kib: int) -> None:
    from purevirt.testing import Disk, Interface

    for number in range(1, domains + 1):
        served.create_domain(
            f"test{number}",
            memory_kib=memory_kib,
            disks=[Disk("xvda", f"/var/lib/xen/images/test{number}.img")],
            interfaces=[Interface(f"00:16:3e:7e:{number >> 8:02x}:{number & 255:02x}")],
        )
