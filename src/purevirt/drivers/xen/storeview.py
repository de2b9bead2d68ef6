"""A domain as the Xen Store alone tells it: what a connection without hypercalls can know.

The store holds intentions (targets, names, what exists), not measurements. So state is NOSTATE, CPU time, memory
and online vCPUs are None; the memory target, the maximum, the number of vCPUs and the identity are there.
"""

from __future__ import annotations

from collections.abc import Sequence

from purevirt.channels.xenstore.client import StoreClient
from purevirt.drivers.xen import storepaths as paths
from purevirt.errors import NoSuchNode
from purevirt.model import DomainInfo, DomainState, DomainType, StateReason

__all__ = ["decode_text", "domain_ids", "domain_infos", "handle_of", "parse_int"]

_ZERO = bytes(16)


def decode_text(value: bytes | None) -> str | None:
    """A value as text: UTF-8, and bytes that are none survive as surrogates."""
    return None if value is None else value.decode("utf-8", "surrogateescape")


def parse_int(value: bytes | None) -> int | None:
    """A decimal number, or None: a guest may have written anything."""
    if value is None or not value.isdigit() or len(value) > 20:
        return None
    return int(value)


def handle_of(vm: bytes | None, domid: int) -> bytes | None:
    """The handle, from the value of …/vm, "/vm/UUID". Domain 0 has none; its handle is zero."""
    if vm is not None:
        # A restarted domain of xend's time has a suffix: /vm/UUID-1.
        text = vm.rpartition(b"/")[2][:36]
        if len(text) == 36 and text[8:24:5] == b"----":
            try:
                return bytes.fromhex(text.replace(b"-", b"").decode("ascii"))
            except ValueError:
                pass
    return _ZERO if domid == 0 else None


async def domain_ids(store: StoreClient) -> list[int]:
    """The ids in /local/domain, ascending."""
    try:
        entries = await store.directory(paths.DOMAINS)
    except NoSuchNode:
        return []
    return sorted(int(entry) for entry in entries if entry.isdigit() and len(entry) <= 5)


async def domain_infos(store: StoreClient, domids: Sequence[int]) -> list[DomainInfo]:
    """What the store knows of these domains, in two exchanges however many there are.

    A domain that has vanished, or has no identity yet, is left out.
    """
    wanted: list[str] = []
    for domid in domids:
        wanted += (
            paths.vm(domid),
            paths.name(domid),
            paths.memory_target(domid),
            paths.memory_static_max(domid),
            paths.libxl_type(domid),
        )
    values = await store.read_many(wanted)
    cpus = await store.directory_many([paths.cpus(domid) for domid in domids])
    infos: list[DomainInfo] = []
    for index, domid in enumerate(domids):
        vm, name, target, static_max, kind = values[5 * index : 5 * index + 5]
        handle = handle_of(vm, domid)
        if handle is None or (vm is None and name is None):
            continue
        entries = cpus[index]
        infos.append(
            DomainInfo(
                domid=domid,
                handle=handle,
                name=decode_text(name),
                type=_type(kind),
                state=DomainState.NOSTATE,
                reason=StateReason.UNKNOWN,
                memory_kib=None,
                max_memory_kib=parse_int(static_max),
                vcpus=None,
                max_vcpus=None if not entries else len(entries),
                cpu_time_ns=None,
                memory_target_kib=parse_int(target),
            )
        )
    return infos


def _type(kind: bytes | None) -> DomainType | None:
    try:
        return None if kind is None else DomainType(kind.decode("ascii", "replace"))
    except ValueError:
        return None
