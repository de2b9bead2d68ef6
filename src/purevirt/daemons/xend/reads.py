"""The operations that change nothing: the drivers' contract, and what only the daemon or the hypervisor can tell.

They go to the driver without any lock: a domain that is being changed can be looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

from purevirt.daemons.xend import arguments as args
from purevirt.daemons.xend.arguments import Argument
from purevirt.daemons.xend.work import Operation, Work
from purevirt.errors import Denied
from purevirt.model import STATS_GROUPS, Caller, Event, Role

__all__ = ["LONGEST_WAIT", "READS"]

LONGEST_WAIT = 300.0
"""How long a `journal` call may wait for news, in seconds."""


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


async def _journal(work: Work) -> list[Event]:
    wait = min(work.arguments["wait"], LONGEST_WAIT, work.left)
    return await work.journal.after(work.arguments["since"], wait)


async def _whoami(work: Work) -> Caller:
    return work.caller


async def _description(work: Work) -> object:
    """Passwords are an administrator's to see, and only if he asks."""
    secrets = work.arguments["security_info"]
    if secrets and work.caller.role < Role.ADMIN:
        raise Denied(
            f"description: passwords are told to administrators only, and user {work.caller.uid} is none",
            operation="description",
            channel="daemon",
        )
    return await work.driver.description(work.ref, work.arguments["live"], secrets)


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
    "lookup_name": _driver("lookup_name", name=Argument(args.text)),
    "lookup_uuid": _driver("lookup_uuid", handle=Argument(args.handle)),
    "domain_stats": _driver("domain_stats", groups=Argument(args.groups, STATS_GROUPS)),
    # One domain
    "domid": _about("domid"),
    "domain_name": _about("domain_name"),
    "domain_type": _about("domain_type"),
    "domain_state": _about("domain_state"),
    "domain_info": _about("domain_info"),
    "max_memory": _about("max_memory"),
    "vcpus": _about("vcpus"),
    "description": Operation(
        Role.READER,
        _description,
        True,
        {"live": Argument(args.flag, True), "security_info": Argument(args.flag, False)},
    ),
    "block_devices": _about("block_devices"),
    "block_stats": _about("block_stats", target=Argument(args.text)),
    "interfaces": _about("interfaces"),
    "interface_stats": _about("interface_stats", device=Argument(args.text)),
    "scheduler_parameters": _about("scheduler_parameters"),
}
