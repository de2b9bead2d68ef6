"""Names: what may be one, and giving a domain another.

The name is in two nodes, which change in one transaction. That transaction reads every other domain's name, so that it
conflicts with whoever gives the same name meanwhile: two domains never end up with one name.
"""

from __future__ import annotations

import re

from purevirt.channels.xenstore.client import Transaction
from purevirt.daemons.xend.toolstack import records
from purevirt.daemons.xend.toolstack.base import Host, living, not_domain_0, shown
from purevirt.errors import DomainExists, InvalidConfig, NoSuchDomain
from purevirt.model import DomainInfo
from purevirt.model.domain import uuid_of

__all__ = ["check_name", "rename"]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_LONGEST = 256  # bytes; nodes take some 2000, but names are shown in tables


def check_name(name: str) -> None:
    """InvalidConfig says why a name cannot be one: whoever reads it must be able to tell it from an id or a path."""
    if not name:
        reason = "it is empty"
    elif len(name.encode("utf-8", "surrogateescape")) > _LONGEST:
        reason = f"it is longer than {_LONGEST} bytes"
    elif "/" in name:
        reason = "it holds a slash"
    elif name.isdigit():
        reason = "digits alone are an id"
    elif _UUID.fullmatch(name):
        reason = "it is a UUID"
    elif not name.isprintable() or name != name.strip():
        reason = "it holds what cannot be printed, or blanks at its ends"
    else:
        return
    raise InvalidConfig(f"{name[:40]!r} is no name for a domain: {reason}", operation="rename")


async def rename(host: Host, domain: DomainInfo, name: str) -> None:
    """Give it another name. DomainExists: it is taken."""
    not_domain_0(domain, "rename", "renamed: tools find it by its name")
    check_name(name)
    living(domain, "rename")
    assert domain.domid is not None
    home = f"/local/domain/{domain.domid}"

    async def body(tx: Transaction) -> None:
        entries = [entry for entry in await tx.directory("/local/domain") if entry.isdigit()]
        names = await tx.read_many([f"/local/domain/{entry}/name" for entry in entries])
        taken = dict(zip(entries, names, strict=True))
        if taken.pop(str(domain.domid), None) is None:
            raise NoSuchDomain(
                f"domain {shown(domain)} has no name in the Xen Store: it is being built or ending",
                operation="rename",
                domain=shown(domain),
            )
        for entry, other in taken.items():
            if other == name.encode("utf-8", "surrogateescape"):
                raise DomainExists(
                    f"domain {entry} is named {name!r} already", operation="rename", domain=name
                )
        values: list[tuple[str | bytes, str | bytes]] = [(f"{home}/name", name)]
        (vm,) = await tx.read_many([f"{home}/vm"])
        if vm is not None and vm.startswith(b"/vm/"):
            values.append((vm + b"/name", name))
        await tx.write_many(values)

    await host.store.transaction(body)


async def set_aside(host: Host, domain: DomainInfo, name: str, handle: bytes) -> None:
    """Give a domain that has stopped another name and another handle, so that its own can be made again.

    Source: libxl_domain_preserve of libxl.
    """
    assert domain.domid is not None
    home, vm = f"/local/domain/{domain.domid}", f"/vm/{uuid_of(handle)}"
    await host.hypercalls.set_domain_handle(domain.domid, handle)

    async def body(tx: Transaction) -> None:
        await tx.write_many(
            [
                (f"{home}/name", name),
                (f"{home}/vm", vm),
                (f"{vm}/name", name),
                (f"{vm}/uuid", str(uuid_of(handle))),
            ]
        )

    await host.store.transaction(body)
    records.move(domain, handle, host.root)
