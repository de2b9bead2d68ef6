"""What `purevirt list` prints, for both ways that lead to it (`quick` and `commands.domains`)."""

from __future__ import annotations

import sys
from collections.abc import Callable

from purevirt._typing import TYPE_CHECKING
from purevirt.cli import output

if TYPE_CHECKING:
    import purevirt
    from purevirt.cli.session import Session

__all__ = ["show", "state_word"]

_STATES = {"NOSTATE": "no state", "BLOCKED": "idle", "SHUTDOWN": "in shutdown", "SHUTOFF": "shut off"}


def state_word(info: purevirt.DomainInfo) -> str:
    """A state as virsh writes it; "no state" where it cannot be known."""
    return _STATES.get(info.state.name, info.state.name.lower())


def show(
    session: Session,
    *,
    everything: bool = False,
    inactive: bool = False,
    only: str | None = None,
    keep: Callable[[purevirt.DomainInfo], bool] | None = None,
) -> None:
    """List the domains; of those that are meant, the ones that `keep` says."""
    connection = session.connection
    known = (everything or inactive) and connection.has_daemon
    infos = connection.domain_infos(inactive=known)
    if inactive:
        infos = [info for info in infos if info.state.name == "SHUTOFF"]
    if keep is not None:
        infos = [info for info in infos if keep(info)]
    if (everything or inactive) and not known:
        print(
            "purevirt: inactive domains are not known: no Xen daemon answered on this host",
            file=sys.stderr,
        )
    if session.json:
        output.print_json(infos)
    elif only is not None:
        for info in infos:
            print(output.text({"name": info.name, "uuid": info.uuid, "id": info.domid}[only]))
    else:
        output.table(
            ("Id", "Name", "State", "Type", "Memory", "vCPUs", "CPU time"),
            [
                (
                    info.domid,
                    info.name,
                    state_word(info),
                    None if info.type is None else info.type.name,
                    output.kib(info.memory_kib),
                    info.vcpus,
                    output.seconds(info.cpu_time_ns),
                )
                for info in infos
            ],
            right=("Memory", "vCPUs", "CPU time"),
        )
