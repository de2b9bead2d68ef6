"""Payloads, operation by operation: what a request carries, and what its reply says.

    operation              request                        reply
     0 CONTROL             command| argument|*            text
     1 DIRECTORY           path|                          child|*
     2 READ                path|                          the value, any bytes
     3 GET_PERMS           path|                          permission|+
     4 WATCH               wpath| token| [depth|]         OK|
     5 UNWATCH             wpath| token|                  OK|
     6 TRANSACTION_START   |                              transaction id|
     7 TRANSACTION_END     T| or F|                       OK|
     8 INTRODUCE           domid| gfn| evtchn|            OK|
     9 RELEASE             domid|                         OK|
    10 GET_DOMAIN_PATH     domid|                         path|
    11 WRITE               path| and the value            OK|
    12 MKDIR               path|                          OK|
    13 RM                  path|                          OK|
    14 SET_PERMS           path| permission|+             OK|
    15 WATCH_EVENT         -                              path| token|      (comes unasked)
    16 ERROR               -                              ENAME|
    17 IS_DOMAIN_INTRODUCED domid|                        T| or F|
    18 RESUME              domid|                         OK|
    19 SET_TARGET          domid| target domid|           OK|
    20 RESTRICT            domid|                         OK|               (until Xen 4.8)
    21 RESET_WATCHES       |                              OK|
    22 DIRECTORY_PART      path| offset|                  generation| child|* , an empty child at the very end
    23 GET_FEATURE         [domid|]                       number|
    24 SET_FEATURE         domid| number|                 OK|
    25 GET_QUOTA           [[domid|] quota|]              number|, or names separated by blanks|
    26 SET_QUOTA           [domid|] quota| number|        OK|

where | is a NUL. The functions that build a request take the loose form (text or bytes) and raise
LocalProtocolError for what the protocol cannot carry; those that read a reply raise RemoteProtocolError.
Servers split requests with `split_fields` and answer with `OK`, `format_children` and their like.

Source: docs/misc/xenstore.txt of Xen 4.22.
"""

from __future__ import annotations

from collections.abc import Iterable

from purevirt._typing import NamedTuple
from purevirt.errors import LocalProtocolError, RemoteProtocolError
from purevirt.wire.xenstore.packets import MAX_PAYLOAD
from purevirt.wire.xenstore.paths import check_path, check_paths
from purevirt.wire.xenstore.permissions import Permission, format_permissions

__all__ = [
    "NOTHING",
    "OK",
    "DirectoryPart",
    "WatchEvent",
    "control_request",
    "directory_part_request",
    "domid_request",
    "expect_ok",
    "format_children",
    "format_watch_event",
    "get_feature_request",
    "get_quota_request",
    "introduce_request",
    "parse_bool",
    "parse_children",
    "parse_directory_part",
    "parse_number",
    "parse_string",
    "parse_watch_event",
    "path_request",
    "path_requests",
    "set_feature_request",
    "set_perms_request",
    "set_quota_request",
    "set_target_request",
    "split_fields",
    "transaction_end_request",
    "watch_request",
    "write_request",
]

OK = b"OK\0"
NOTHING = b"\0"  # the payload of TRANSACTION_START and RESET_WATCHES

_DOMID_END = 0x10000


class WatchEvent(NamedTuple):
    """What a WATCH_EVENT says: something happened at `path`, which the watch with `token` covers."""

    path: str
    token: str


class DirectoryPart(NamedTuple):
    """A chunk of a long list of children. `size`: how many bytes of the list it holds, the offset's step."""

    generation: bytes
    children: bytes
    size: int
    last: bool


# --- requests -----------------------------------------------------------------------------------------------


def _text(value: str | bytes, what: str) -> bytes:
    """A string inside a payload: it may be anything but hold a NUL."""
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if b"\0" in raw:
        raise LocalProtocolError(f"{what} cannot hold a NUL: {value!r}", channel="store")
    return raw


def _domid(domid: int) -> bytes:
    if not 0 <= domid < _DOMID_END:
        raise LocalProtocolError(f"{domid} is no domain id", channel="store")
    return b"%d\0" % domid


def path_request(path: str | bytes) -> bytes:
    """READ, DIRECTORY, GET_PERMS, MKDIR, RM."""
    return check_path(path) + b"\0"


def path_requests(paths: Iterable[str | bytes]) -> list[bytes]:
    """The same for many paths, at a fraction of the cost of each alone."""
    return [path + b"\0" for path in check_paths(paths)]


def write_request(path: str | bytes, value: str | bytes) -> bytes:
    """WRITE. A value of text goes out as UTF-8."""
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    payload = check_path(path) + b"\0" + raw
    if len(payload) > MAX_PAYLOAD:
        room = MAX_PAYLOAD - (len(payload) - len(raw))
        raise LocalProtocolError(
            f"a value of {len(raw)} bytes is too long for this path: at most {room} fit",
            channel="store",
            path=payload[: payload.index(0)].decode("ascii"),
        )
    return payload


def set_perms_request(path: str | bytes, permissions: Iterable[Permission]) -> bytes:
    """SET_PERMS."""
    return check_path(path) + b"\0" + format_permissions(permissions)


def watch_request(path: str | bytes, token: str | bytes, depth: int | None = None) -> bytes:
    """WATCH and UNWATCH. `depth` (WATCH only, Xen 4.22) limits how far below the path changes are told."""
    payload = check_path(path) + b"\0" + _text(token, "a watch's token") + b"\0"
    if depth is None:
        return payload
    if depth < 0:
        raise LocalProtocolError(f"a watch's depth is at least 0, not {depth}", channel="store")
    return payload + b"%d\0" % depth


def transaction_end_request(commit: bool) -> bytes:
    """TRANSACTION_END."""
    return b"T\0" if commit else b"F\0"


def domid_request(domid: int) -> bytes:
    """RELEASE, GET_DOMAIN_PATH, IS_DOMAIN_INTRODUCED, RESUME (and RESTRICT)."""
    return _domid(domid)


def introduce_request(domid: int, gfn: int, evtchn: int) -> bytes:
    """INTRODUCE. `gfn` is signed on the wire: one with the highest bit of 64 set goes out negative."""
    if not -(1 << 63) <= gfn < 1 << 64:
        raise LocalProtocolError(f"{gfn} is no frame number", channel="store")
    if not 0 <= evtchn < 1 << 32:
        raise LocalProtocolError(f"{evtchn} is no event channel port", channel="store")
    signed = gfn - (1 << 64) if gfn >= 1 << 63 else gfn
    return _domid(domid) + b"%d\0%d\0" % (signed, evtchn)


def set_target_request(domid: int, target: int) -> bytes:
    """SET_TARGET: `domid` gets the rights of `target`."""
    return _domid(domid) + _domid(target)


def directory_part_request(path: str | bytes, offset: int) -> bytes:
    """DIRECTORY_PART."""
    return check_path(path) + b"\0%d\0" % offset


def control_request(command: str | bytes, *arguments: str | bytes) -> bytes:
    """CONTROL."""
    return b"".join(_text(part, "a control command") + b"\0" for part in (command, *arguments))


def get_feature_request(domid: int | None = None) -> bytes:
    """GET_FEATURE: of a domain, or (nothing at all in the packet) what the server supports."""
    return b"" if domid is None else _domid(domid)


def set_feature_request(domid: int, features: int) -> bytes:
    """SET_FEATURE."""
    return _domid(domid) + b"%d\0" % features


def get_quota_request(quota: str | None = None, domid: int | None = None) -> bytes:
    """GET_QUOTA: of a domain, of new domains, or (nothing at all in the packet) the names of all quotas."""
    if quota is None:
        if domid is not None:
            raise LocalProtocolError("a domain's quotas are asked for by name", channel="store")
        return b""
    return (b"" if domid is None else _domid(domid)) + _quota(quota)


def set_quota_request(quota: str, value: int, domid: int | None = None) -> bytes:
    """SET_QUOTA: of a domain, or of new domains. 0 means no limit."""
    if not 0 <= value < 1 << 32:
        raise LocalProtocolError(f"{value} is no quota: 0 to {(1 << 32) - 1}", channel="store")
    return (b"" if domid is None else _domid(domid)) + _quota(quota) + b"%d\0" % value


def _quota(quota: str) -> bytes:
    raw = _text(quota, "a quota's name")
    if not raw:
        raise LocalProtocolError("a quota has a name", channel="store")
    return raw + b"\0"


# --- replies ------------------------------------------------------------------------------------------------


def _wrong(payload: bytes, what: str) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"the Xen Store answered {payload[:80]!r} where {what} belongs", channel="store"
    )


def expect_ok(payload: bytes) -> None:
    """The reply of every operation that returns nothing."""
    if payload != OK:
        raise _wrong(payload, "OK")


def parse_bool(payload: bytes) -> bool:
    """IS_DOMAIN_INTRODUCED."""
    if payload in (b"T\0", b"F\0"):
        return payload == b"T\0"
    raise _wrong(payload, "T or F")


def parse_number(payload: bytes) -> int:
    """TRANSACTION_START, GET_FEATURE, GET_QUOTA: a decimal number of 32 bits."""
    digits = payload[:-1]
    if payload[-1:] == b"\0" and digits.isdigit() and len(digits) <= 10 and int(digits) < 1 << 32:
        return int(digits)
    raise _wrong(payload, "a number")


def parse_string(payload: bytes) -> str:
    """GET_DOMAIN_PATH, CONTROL, the names of quotas. The last NUL is optional: servers differ."""
    return payload.removesuffix(b"\0").decode("utf-8", "surrogateescape")


def parse_children(payload: bytes) -> list[str]:
    """DIRECTORY: the children's names, in the server's order."""
    if not payload:
        return []
    if payload[-1:] != b"\0" or b"\0\0" in payload or payload[:1] == b"\0":
        raise _wrong(payload, "a list of names")
    return payload[:-1].decode("ascii", "surrogateescape").split("\0")


def parse_directory_part(payload: bytes) -> DirectoryPart:
    """DIRECTORY_PART: a generation count, then a chunk of the list; the last one ends with an empty name."""
    generation, _, chunk = payload.partition(b"\0")
    if not generation.isdigit() or not chunk:
        raise _wrong(payload, "a part of a directory")
    last = chunk == b"\0" or chunk.endswith(b"\0\0")
    return DirectoryPart(generation, chunk[:-1] if last else chunk, len(chunk), last)


def parse_watch_event(payload: bytes) -> WatchEvent:
    """WATCH_EVENT. Fields after the token (an idea of old kernels) are ignored."""
    fields = payload.split(b"\0")
    if len(fields) < 3 or not fields[0]:
        raise _wrong(payload, "a watch event")
    return WatchEvent(
        fields[0].decode("ascii", "surrogateescape"), fields[1].decode("utf-8", "surrogateescape")
    )


# --- the server's side --------------------------------------------------------------------------------------


def split_fields(payload: bytes) -> list[bytes] | None:
    """The NUL-terminated strings of a request; None if the last one is unterminated. No bytes: no strings."""
    if not payload:
        return []
    if payload[-1:] != b"\0":
        return None
    return payload[:-1].split(b"\0")


def format_children(names: Iterable[bytes]) -> bytes:
    """The reply to DIRECTORY. It may be longer than a packet: the server then answers E2BIG."""
    return b"".join(name + b"\0" for name in names)


def format_watch_event(path: bytes, token: bytes) -> bytes:
    """The payload of a WATCH_EVENT."""
    return path + b"\0" + token + b"\0"
