"""Making a simulated domain: what is refused, the steps, and how they are undone.

The order is libxl's: the hypervisor's part (the domain, vCPUs, memory, ports), its rings, its nodes in one transaction,
libxl's record, and at last xenstored is told. The domain is paused all the while, as Xen makes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar
from uuid import uuid4

from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.xenstore.client import Transaction
from purevirt.daemons.xend.toolstack import records
from purevirt.daemons.xend.toolstack.base import Host
from purevirt.daemons.xend.toolstack.builder import Report
from purevirt.daemons.xend.toolstack.destroy import destroy
from purevirt.daemons.xend.toolstack.simulated import rings
from purevirt.errors import InvalidConfig, NoMemory, OperationError, XenError
from purevirt.formats.libxl_json.writing import written
from purevirt.model import DomainInfo, DomainState, DomainType, StateReason
from purevirt.model.description import DomainDescription, Interface
from purevirt.model.description.rules import problems
from purevirt.wire.hypercall.building import HVM_EMULATION, NewDomain
from purevirt.wire.hypercall.subops import CreateFlag, EmulationFlag, HvmParam
from purevirt.wire.xenstore import domainnodes
from purevirt.wire.xenstore.disknames import disk_number
from purevirt.wire.xenstore.domainnodes import Node, domain_nodes

__all__ = ["check", "create", "ended"]

T = TypeVar("T")

STORE_GFN, CONSOLE_GFN = 0x80, 0x81
"""Where the rings are: within the smallest domain, which has 256 pages."""

_HVM = CreateFlag.HVM | CreateFlag.HAP
_KINDS = {
    DomainType.PV: (CreateFlag(0), 0),
    DomainType.PVH: (_HVM, int(EmulationFlag.LAPIC)),
    DomainType.HVM: (_HVM, int(HVM_EMULATION)),
}
_ORDERS = (18, 9, 0)  # pieces of 1 GiB, 2 MiB, 4 KiB


async def check(host: Host, description: DomainDescription) -> None:
    """InvalidConfig, NoMemory."""
    found = [f"{path}: {message}" for path, message in problems(description)]
    numbers: dict[int, str] = {}
    for disk in description.disks:
        try:
            other = numbers.setdefault(disk_number(disk.target), disk.target)
        except ValueError as error:
            found.append(f"disks[{disk.target}].target: {error}")
            continue
        if other != disk.target:
            found.append(f"disks[{disk.target}].target: it is the same device as {other}")
    if found:
        raise InvalidConfig(
            "; ".join(found), operation="create", domain=description.name, problems=tuple(found)
        )
    free = (await host.hypercalls.physinfo()).free_pages * 4
    if description.memory.kib > free:
        raise NoMemory(
            f"domain {description.name} needs {description.memory.kib} KiB of memory, and the host has {free} KiB free",
            operation="create",
            domain=description.name,
        )


async def create(host: Host, description: DomainDescription, report: Report, patience: float) -> int:
    """The id of the new domain, which is complete and paused. `check` has passed."""
    complete = _completed(description)
    report("making the domain", 0.0)
    domid = await _begin(host, complete)
    try:
        await _build(host, domid, complete, report)
    except BaseException:
        # Whoever cancels this waits until nothing is left.
        await ended(asyncio.create_task(_undo(host, domid, complete, patience)))
        raise
    report("complete", 1.0)
    return domid


async def _begin(host: Host, description: DomainDescription) -> int:
    """Make the domain. Where this is cancelled the answer is awaited: else nobody would know its id."""
    flags, emulation = _KINDS[description.type]
    assert description.uuid is not None
    memory = description.memory
    new = NewDomain(
        description.uuid.bytes,
        flags,
        emulation,
        _most_vcpus(description),
        1023 if memory.max_event_channels is None else memory.max_event_channels,
        -1 if memory.max_grant_frames is None else memory.max_grant_frames,
        -1 if memory.max_maptrack_frames is None else memory.max_maptrack_frames,
    )
    task = asyncio.create_task(host.hypercalls.create_domain(new))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(XenError):
            domid = await ended(task)
            await host.hypercalls.destroy_domain(domid)
        raise


async def ended(task: asyncio.Task[T]) -> T:
    """Wait for a task to end, however often we are cancelled meanwhile; its result."""
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    return task.result()


async def _build(host: Host, domid: int, description: DomainDescription, report: Report) -> None:
    hypercalls, memory = host.hypercalls, description.memory
    most = memory.kib if memory.max_kib is None else memory.max_kib
    await hypercalls.make_vcpus(domid, _most_vcpus(description))
    await hypercalls.set_max_memory(domid, most)
    await _populate(hypercalls, domid, memory.kib // 4)
    store = STORE_GFN, await hypercalls.allocate_port(domid)
    console = CONSOLE_GFN, await hypercalls.allocate_port(domid)
    if description.type is not DomainType.PV:
        for index, value in (
            (HvmParam.STORE_PFN, store[0]),
            (HvmParam.STORE_EVTCHN, store[1]),
            (HvmParam.CONSOLE_PFN, console[0]),
            (HvmParam.CONSOLE_EVTCHN, console[1]),
        ):
            await hypercalls.set_hvm_param(domid, index, value)
    scheduling = description.scheduling
    if scheduling.weight is not None or scheduling.cap is not None:
        await hypercalls.set_sched_parameters(domid, weight=scheduling.weight or 256, cap=scheduling.cap or 0)
    await rings.give(host.root, domid, store, console)
    report("writing its nodes", 0.4)
    await _write(host, list(_nodes(domid, description, most, store, console)))
    try:
        records.write(host.root, domid, str(description.uuid), written(description))
    except OSError as error:
        raise OperationError(
            f"libxl's record of domain {description.name} cannot be written: {error.strerror}",
            operation="create",
            domain=description.name,
            path=error.filename,
            errno=error.errno,
        ) from error
    report("telling the Xen Store", 0.8)
    await host.store.introduce(domid, *store)


async def _populate(hypercalls: HypercallClient, domid: int, pages: int) -> None:
    """All of its memory from guest frame 0 on, in the largest pieces that fit."""
    first = 0
    for order in _ORDERS:
        size = 1 << order
        frames = range(first, pages - size + 1, size)
        if frames:
            await hypercalls.populate(domid, frames, order)
            first = frames[-1] + size


def _nodes(
    domid: int, description: DomainDescription, most: int, store: rings.Ring, console: rings.Ring
) -> Sequence[Node]:
    assert description.uuid is not None
    disks = [
        domainnodes.Disk(
            disk.target,
            disk.source or "",
            disk.read_only,
            "cdrom" if disk.device.value == "cdrom" else "disk",
        )
        for disk in description.disks
    ]
    interfaces = [
        domainnodes.Interface(interface.mac or "", interface.bridge or "xenbr0")
        for interface in description.interfaces
    ]
    return list(
        domain_nodes(
            domid,
            description.uuid,
            description.name,
            description.type.value,
            memory_kib=description.memory.kib,
            max_memory_kib=most,
            vcpus=_most_vcpus(description),
            online_vcpus=description.cpus.online,
            disks=tuple(disks),
            interfaces=tuple(interfaces),
            store=store,
            console=console,
        )
    )


async def _write(host: Host, nodes: Sequence[Node]) -> None:
    """All of them at once, in one transaction: nobody sees half a domain."""
    own = [node for node in nodes if node.permissions]

    async def body(tx: Transaction) -> None:
        # Each node's permissions before what is below it, which takes them over, directories between the two as well.
        # The tasks send when they first run, in this order, all in one exchange.
        steps: list[Coroutine[Any, Any, None]] = []
        for node in own:
            steps += (tx.write(node.path, node.value), tx.set_perms(node.path, node.permissions))
        steps.append(tx.write_many([(node.path, node.value) for node in nodes if not node.permissions]))
        await asyncio.gather(*steps)

    await host.store.transaction(body)


async def _undo(host: Host, domid: int, description: DomainDescription, patience: float) -> None:
    """Leave nothing of it; where a channel is lost, as little as can be."""
    assert description.uuid is not None
    domain = DomainInfo(
        domid,
        description.uuid.bytes,
        description.name,
        description.type,
        DomainState.PAUSED,
        StateReason.UNKNOWN,
        *[None] * 5,
    )
    try:
        with contextlib.suppress(XenError):
            await destroy(host, domain, patience)
    finally:
        records.forget(domain, host.root)


def _completed(description: DomainDescription) -> DomainDescription:
    """With what it has to have, and nobody said: a UUID, and addresses."""
    interfaces: list[Interface] = []
    for interface in description.interfaces:
        mac = interface.mac or _new_mac([*description.interfaces, *interfaces])
        interfaces.append(interface._replace(mac=mac))
    return description._replace(uuid=description.uuid or uuid4(), interfaces=tuple(interfaces))


def _new_mac(others: Sequence[Interface]) -> str:
    """One of Xen's own (00:16:3e), that none of the others has."""
    taken = {(other.mac or "").lower() for other in others}
    while True:
        number = random.randrange(1 << 23)
        mac = f"00:16:3e:{number >> 16:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}"
        if mac not in taken:
            return mac


def _most_vcpus(description: DomainDescription) -> int:
    cpus = description.cpus
    return cpus.online if cpus.maximum is None else cpus.maximum
