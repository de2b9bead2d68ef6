"""The operations that change nothing: the drivers' contract, and what only the daemon or the hypervisor can tell.

They go to the driver without any lock: a domain that is being changed can be looked at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from purevirt.daemons.xend import arguments as args
from purevirt.daemons.xend.arguments import Argument
from purevirt.daemons.xend.work import Operation, Work
from purevirt.drivers.xen.inactive import info_of
from purevirt.errors import Denied, NoSuchDomain
from purevirt.model import STATS_GROUPS, Caller, DomainInfo, DomainRef, Event, Role
from purevirt.model.description import ActiveDescription, LiveDescription
from purevirt.model.description.secrets import without_secrets

__all__ = ["LONGEST_WAIT", "READS"]

LONGEST_WAIT = 300.0
"""How long a call that waits for news (`journal`, `job`) may wait, in seconds."""


def _driver(method: str, /, **arguments: Argument) -> Operation:
    """A method of the driver that is about the host, called with the arguments in their order."""

    async def handler(work: Work) -> object:
        return await getattr(work.driver, method)(*[work.arguments[key] for key in arguments])

    return Operation(Role.READER, handler, False, arguments)


def _about(method: str, /, **arguments: Argument) -> Operation:
    """A method of the driver that is about one domain, which comes first."""

    async def handler(work: Work) -> object:
        return await getattr(work.driver, method)(work.ref, *[work.arguments[key] for key in arguments])

    return Operation(Role.READER, handler, True, arguments)


def _known(field: str) -> Callable[[Work], Awaitable[object]]:
    """What is known of a domain that does not run, from its definition."""

    async def handler(work: Work) -> object:
        info = info_of(work.manager.catalogue.find(work.ref))
        return (info.state, info.reason) if field == "state" else getattr(info, field)

    return handler


async def _known_info(work: Work) -> DomainInfo:
    return info_of(work.manager.catalogue.find(work.ref))


async def _no_id(work: Work) -> None:
    return None


async def _lookup_name(work: Work) -> DomainRef:
    try:
        return await work.driver.lookup_name(work.arguments["name"])
    except NoSuchDomain:
        if (known := work.manager.catalogue.named(work.arguments["name"])) is None:
            raise
        return known.ref


async def _lookup_uuid(work: Work) -> DomainRef:
    try:
        return await work.driver.lookup_uuid(work.arguments["handle"])
    except NoSuchDomain:
        if (known := work.manager.catalogue.get(work.arguments["handle"])) is None:
            raise
        return known.ref


async def _journal(work: Work) -> list[Event]:
    wait = min(work.arguments["wait"], LONGEST_WAIT, work.left)
    return await work.journal.after(work.arguments["since"], wait)


async def _whoami(work: Work) -> Caller:
    return work.caller


def _no_passwords(work: Work) -> Denied:
    return Denied(
        f"description: passwords are told to administrators only, and user {work.caller.uid} is none",
        operation="description",
        channel="daemon",
    )


async def _description(work: Work) -> object:
    """Passwords are an administrator's to see, and only if he asks."""
    secrets = work.arguments["security_info"]
    if secrets and work.caller.role < Role.ADMIN:
        raise _no_passwords(work)
    return await work.driver.description(work.ref, work.arguments["live"], secrets)


async def _defined_description(work: Work) -> ActiveDescription:
    """Of a domain that does not run: its definition."""
    secrets = work.arguments["security_info"]
    if secrets and work.caller.role < Role.ADMIN:
        raise _no_passwords(work)
    described, _ = await work.manager.defined(work.ref.handle)
    found = described.description if secrets else without_secrets(described.description)
    return ActiveDescription(found, LiveDescription(None))


READS: Mapping[str, Operation] = {
    # The host
    "version": _driver("version"),
    "hostname": _driver("hostname"),
    "node_info": _driver("node_info"),
    "free_memory": _driver("free_memory"),
    "numa_cells": _driver("numa_cells"),
    "scheduler": _driver("scheduler"),
    "cpupools": _driver("cpupools"),
    "dmesg": _driver("dmesg"),
    "capabilities": _driver("capabilities"),
    "domain_capabilities": _driver(
        "domain_capabilities", kind=Argument(args.domain_type, None), arch=Argument(args.text, None)
    ),
    "journal": Operation(
        Role.READER,
        _journal,
        False,
        {"since": Argument(args.integer, 0), "wait": Argument(args.seconds, 0.0)},
        needs_host=False,
    ),
    "whoami": Operation(Role.NONE, _whoami, False, needs_host=False),
    # Domains
    "list_domains": _driver("list_domains"),
    "count_domains": _driver("count_domains"),
    "lookup_id": _driver("lookup_id", domid=Argument(args.integer)),
    "lookup_name": Operation(Role.READER, _lookup_name, False, {"name": Argument(args.text)}),
    "lookup_uuid": Operation(Role.READER, _lookup_uuid, False, {"handle": Argument(args.handle)}),
    "domain_stats": _driver("domain_stats", groups=Argument(args.groups, STATS_GROUPS)),
    # One domain
    "domid": _about("domid")._replace(inactive=_no_id),
    "domain_name": _about("domain_name")._replace(inactive=_known("name")),
    "domain_type": _about("domain_type")._replace(inactive=_known("type")),
    "domain_state": _about("domain_state")._replace(inactive=_known("state")),
    "domain_info": _about("domain_info")._replace(inactive=_known_info),
    "max_memory": _about("max_memory")._replace(inactive=_known("max_memory_kib")),
    "vcpus": _about("vcpus"),
    "description": Operation(
        Role.READER,
        _description,
        True,
        {"live": Argument(args.flag, True), "security_info": Argument(args.flag, False)},
        inactive=_defined_description,
    ),
    "block_devices": _about("block_devices"),
    "block_stats": _about("block_stats", target=Argument(args.text)),
    "interfaces": _about("interfaces"),
    "interface_stats": _about("interface_stats", device=Argument(args.text)),
    "scheduler_parameters": _about("scheduler_parameters"),
}
