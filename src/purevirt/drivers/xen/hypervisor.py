"""A domain, as the hypervisor tells it: wire structs in, model out. Pure.

How Xen's flags become libvirt's states: dying before shut down before paused before blocked; a domain with none of
them is runnable and merely waits for a CPU, so it is running, as `xl` users know from "------". A guest that shut
down with code "suspend" has stopped itself in order to be saved or migrated: it is paused, with that reason.
"""

from __future__ import annotations

from purevirt.model import (
    DomainInfo,
    DomainState,
    DomainType,
    StateReason,
    Vcpu,
    VcpuState,
)
from purevirt.wire.hypercall import messages as wire
from purevirt.wire.hypercall.numbers import PAGE_SIZE, DomainFlag

__all__ = ["domain_info", "domain_state", "domain_type", "stop_reason", "vcpu"]

KIB_PER_PAGE = PAGE_SIZE // 1024

_DYING = int(DomainFlag.DYING)
_SHUTDOWN = int(DomainFlag.SHUTDOWN)
_PAUSED = int(DomainFlag.PAUSED)
_BLOCKED = int(DomainFlag.BLOCKED)
_RUNNING = int(DomainFlag.RUNNING)

_REASONS = {
    0: StateReason.POWEROFF,
    1: StateReason.REBOOT,
    2: StateReason.SUSPEND,
    3: StateReason.CRASH,
    4: StateReason.WATCHDOG,
    5: StateReason.SOFT_RESET,
}

_TYPES = {kind.value: kind for kind in DomainType}

_STATE = 0xFF003F  # the flags that make a state, and the shutdown code

# Made once for each combination of flags that is ever seen, since a listing asks for every domain again.
_states: dict[int, tuple[DomainState, StateReason, str]] = {}


def _decode_flags(flags: int) -> tuple[DomainState, StateReason, str]:
    code = _REASONS.get(flags >> 16 & 0xFF, StateReason.UNKNOWN)
    crashed = bool(flags & _SHUTDOWN) and code in (StateReason.CRASH, StateReason.WATCHDOG)
    letters = "".join(
        letter if on else "-"
        for letter, on in (
            ("r", flags & _RUNNING),
            ("b", flags & _BLOCKED),
            ("p", flags & _PAUSED),
            ("s", flags & _SHUTDOWN),
            ("c", flags & _SHUTDOWN and code is StateReason.CRASH),
            ("d", flags & _DYING),
        )
    )
    if flags & _DYING:
        return DomainState.SHUTDOWN, StateReason.DYING, letters
    if crashed:
        return DomainState.CRASHED, code, letters
    if flags & _SHUTDOWN:
        state = DomainState.PAUSED if code is StateReason.SUSPEND else DomainState.SHUTDOWN
        return state, code, letters
    if flags & _PAUSED:
        return DomainState.PAUSED, StateReason.UNKNOWN, letters
    if flags & _BLOCKED:
        return DomainState.BLOCKED, StateReason.UNKNOWN, letters
    return DomainState.RUNNING, StateReason.UNKNOWN, letters


def _state(flags: int) -> tuple[DomainState, StateReason, str]:
    flags &= _STATE
    known = _states.get(flags)
    if known is None:
        known = _states[flags] = _decode_flags(flags)
    return known


def domain_state(info: wire.DomainInfo) -> tuple[DomainState, StateReason]:
    """State and reason of getdomaininfo's flags."""
    return _state(info.flags)[:2]


def stop_reason(info: wire.DomainInfo) -> str | None:
    """Why its kernel has stopped, as a word; None while it has not."""
    code = info.shutdown_code
    return None if code is None else _REASONS.get(code, StateReason.UNKNOWN).value


def domain_type(info: wire.DomainInfo) -> DomainType:
    """PV, or which kind of hardware-assisted domain. On ARM every guest is what x86 calls PVH."""
    return _TYPES[info.kind]


def domain_info(info: wire.DomainInfo, name: str | None) -> DomainInfo:
    """One domain of a listing."""
    (
        domid,
        flags,
        pages,
        max_pages,
        outstanding,
        _,
        _,
        _,
        cpu_time,
        vcpus,
        last_vcpu,
        _,
        handle,
        pool,
        _,
        _,
    ) = info
    state, reason, letters = _states.get(flags & _STATE) or _state(flags)
    return DomainInfo(
        domid,
        handle,
        name,
        _TYPES[info.kind],
        state,
        reason,
        pages * KIB_PER_PAGE,
        # A domain without a limit, as Domain 0 may be, has a max_pages near 2^32 or 2^64: no maximum is known.
        None if max_pages >= 0xFFFFFFFF else max_pages * KIB_PER_PAGE,
        vcpus,
        None if last_vcpu is None else last_vcpu + 1,
        cpu_time,
        pool,
        letters,
        None,
        outstanding * KIB_PER_PAGE,
    )


def vcpu(number: int, info: wire.VcpuInfo, affinity: wire.VcpuAffinity) -> Vcpu:
    """One vCPU."""
    if not info.online:
        state = VcpuState.OFFLINE
    elif info.blocked:
        state = VcpuState.BLOCKED
    else:
        state = VcpuState.RUNNING
    return Vcpu(
        number,
        state,
        info.cpu_time,
        info.cpu if info.online else None,
        affinity.hard,
        affinity.soft,
    )
