"""The expression of a domain, back into the model: for clients of a xend, ours or an old one.

Everything but the UUID may be missing. Numbers may be quoted. What has no field of its own in `XendDomain` is dropped.
"""

from __future__ import annotations

from uuid import UUID

import purevirt.wire.sxp as sxp
from purevirt.errors import RemoteProtocolError
from purevirt.formats.xend_sxpr.domain import Image, XendDevice, XendDomain
from purevirt.model import DomainInfo, DomainState, DomainType, StateReason
from purevirt.wire.sxp import Node

__all__ = ["read_domain", "read_domains"]

_LETTERS = "rbpscd"

# By the letter that counts, the most telling first; then by xend's number.
_BY_LETTER = (
    ("d", DomainState.SHUTDOWN, StateReason.DYING),
    ("c", DomainState.CRASHED, StateReason.CRASH),
    ("s", DomainState.SHUTDOWN, StateReason.UNKNOWN),
    ("p", DomainState.PAUSED, StateReason.UNKNOWN),
    ("b", DomainState.BLOCKED, StateReason.UNKNOWN),
    ("r", DomainState.RUNNING, StateReason.UNKNOWN),
)
_BY_STATUS = {
    0: (DomainState.SHUTOFF, StateReason.UNKNOWN),
    1: (DomainState.PAUSED, StateReason.UNKNOWN),
    2: (DomainState.RUNNING, StateReason.UNKNOWN),
    3: (DomainState.PAUSED, StateReason.SUSPEND),
    4: (DomainState.SHUTDOWN, StateReason.UNKNOWN),
    5: (DomainState.CRASHED, StateReason.CRASH),
}


def read_domains(expression: Node) -> list[XendDomain]:
    """The answer to `/xend/domain?detail=1`: a list of domains. RemoteProtocolError if it is none."""
    if not isinstance(expression, list):
        raise RemoteProtocolError("xend's list of domains is no list", channel="daemon")
    return [read_domain(one) for one in expression]


def read_domain(expression: Node) -> XendDomain:
    """One domain. RemoteProtocolError if this is no domain's expression, or has no UUID in it."""
    if sxp.head(expression) != "domain":
        raise RemoteProtocolError("xend did not answer with the expression of a domain", channel="daemon")

    def text(key: str) -> str | None:
        return sxp.value(expression, key)

    domid = whole(expression, "domid")
    image = _image(expression)
    state, reason, flags = _state(expression)
    info = DomainInfo(
        domid,
        _handle(text("uuid")),
        text("name"),
        None if image is None else (DomainType.HVM if image.kind == "hvm" else DomainType.PV),
        state,
        reason,
        _kib(whole(expression, "memory")),
        _kib(whole(expression, "maxmem")),
        whole(expression, "online_vcpus"),
        whole(expression, "vcpus"),
        _nanoseconds(sxp.number(expression, "cpu_time")),
        None,
        flags,
    )
    start = sxp.number(expression, "start_time")
    return XendDomain(
        info,
        whole(expression, "cpu_weight"),
        whole(expression, "cpu_cap"),
        text("pool_name"),
        _cpus(expression),
        text("on_poweroff"),
        text("on_reboot"),
        text("on_crash"),
        text("description"),
        text("bootloader"),
        text("bootloader_args"),
        whole(expression, "shadow_memory"),
        whole(expression, "vcpu_avail"),
        text("features"),
        text("on_xend_start"),
        text("on_xend_stop"),
        None if start is None else float(start),
        image,
        whole(expression, "store_mfn"),
        whole(expression, "console_mfn"),
        tuple(_device(device) for device in sxp.children(expression, "device")),
        text("security_label"),
    )


def whole(expression: Node, *keys: str) -> int | None:
    """A number that must be whole to count; None if it is missing or is none."""
    number = sxp.number(expression, *keys)
    return number if isinstance(number, int) else None


def _handle(text: str | None) -> bytes:
    try:
        return UUID(text or "").bytes
    except ValueError:
        raise RemoteProtocolError(f"xend shows a domain whose UUID is {text!r}", channel="daemon") from None


def _state(expression: Node) -> tuple[DomainState, StateReason, str | None]:
    number = whole(expression, "status")
    by_status = _BY_STATUS.get(-1 if number is None else number, (DomainState.NOSTATE, StateReason.UNKNOWN))
    flags = sxp.value(expression, "state")
    if flags is None or len(flags) != len(_LETTERS):
        return *by_status, None
    if not all(mark in (letter, "-") for mark, letter in zip(flags, _LETTERS, strict=True)):
        return *by_status, None
    for letter, state, reason in _BY_LETTER:
        if letter in flags:
            if state is DomainState.SHUTDOWN and letter == "s" and number == 3:
                return DomainState.PAUSED, StateReason.SUSPEND, flags
            return state, reason, flags
    return *by_status, flags


def _kib(mib: int | None) -> int | None:
    return None if mib is None else mib * 1024


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None or abs(seconds) > 1e12 else round(seconds * 1e9)


def _cpus(expression: Node) -> tuple[tuple[int, ...], ...] | None:
    pair = sxp.child(expression, "cpus")
    if pair is None or len(pair) < 2 or not isinstance(pair[1], list):
        return None
    found: list[tuple[int, ...]] = []
    for one in pair[1]:
        if not isinstance(one, list) or not all(isinstance(cpu, str) and _plain(cpu) for cpu in one):
            return None
        found.append(tuple(int(cpu) for cpu in one if isinstance(cpu, str)))
    return tuple(found)


def _plain(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _image(expression: Node) -> Image | None:
    pair = sxp.child(expression, "image")
    kind = sxp.head(pair[1]) if pair is not None and len(pair) > 1 else None
    if pair is None or kind is None:
        return None
    return Image(kind, _settings(pair[1]))


def _device(pair: list[Node]) -> XendDevice:
    kind = sxp.head(pair[1]) if len(pair) > 1 else None
    if kind is None:
        raise RemoteProtocolError("xend shows a device of no kind", channel="daemon")
    return XendDevice(kind, _settings(pair[1]))


def _settings(expression: Node) -> tuple[tuple[str, sxp.Value], ...]:
    """Every (key value) of a list, as tuples all the way down."""
    found: list[tuple[str, sxp.Value]] = []
    for pair in expression[1:] if isinstance(expression, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
            found.append((pair[0], _frozen(pair[1])))
    return tuple(found)


def _frozen(value: Node) -> sxp.Value:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
