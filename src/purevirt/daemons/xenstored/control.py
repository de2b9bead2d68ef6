"""The operations on domains, quotas, features and the daemon itself. See `operations` for their form.

INTRODUCE records the domain and lets it connect: at once to a server of its own (`Server.domain_connection`), on a
host with rings when the domain's is mapped, so its answer is None, and comes later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from purevirt.daemons.xenstored import upkeep
from purevirt.daemons.xenstored.access import View
from purevirt.daemons.xenstored.domains import DOMID_MAX, FEATURES
from purevirt.daemons.xenstored.operations import OK, one, strings
from purevirt.daemons.xenstored.refused import Refused
from purevirt.wire.xenstore import Feature

if TYPE_CHECKING:
    from purevirt.daemons.xenstored.connection import Connection
    from purevirt.daemons.xenstored.server import Server

__all__ = ["COMMANDS"]

DOMID_SELF = 0x7FF0


def _number(text: bytes, limit: int) -> int:
    """A decimal number. Refused EINVAL for anything else: C xenstored takes what `atoi` makes of it."""
    if not text.isdigit() or len(text) > 20 or int(text) > limit:
        raise Refused("EINVAL")
    return int(text)


def _domid(text: bytes) -> int:
    return _number(text, DOMID_MAX)


def _guest(payload: bytes) -> int:
    """The one domid of a payload; it must not be domain 0's."""
    return _domid(one(payload)) or _invalid()


def _invalid() -> int:
    raise Refused("EINVAL")


# Domains.


def introduce(server: Server, connection: Connection, view: View, payload: bytes) -> bytes | None:
    arguments = strings(payload)
    if len(arguments) < 3:
        raise Refused("EINVAL")
    gfn = arguments[1]
    sign = -1 if gfn[:1] == b"-" else 1  # it is sent as a signed number, of 64 bits
    evtchn = _number(arguments[2], 0xFFFFFFFF) or _invalid()
    domid, frame = _domid(arguments[0]), sign * _number(gfn[sign < 0 :], 1 << 64)
    if server.guests is not None and domid:
        server.introduce_later(connection, domid, frame, evtchn)
        return None
    server.introduce(domid, frame, evtchn)
    return OK


def release(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    server.release(server.introduced(_guest(payload)).domid)
    return OK


def get_domain_path(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    return b"/local/domain/%d\0" % _number(one(payload), 0xFFFF)


def is_domain_introduced(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    domid = _number(one(payload), 0xFFFF)
    return b"T\0" if domid == DOMID_SELF or server.is_introduced(domid) else b"F\0"


def resume(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    server.introduced(_guest(payload)).shutdown = False
    return OK


def set_target(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    arguments = strings(payload)
    if len(arguments) < 2:
        raise Refused("EINVAL")
    domid, target = map(_domid, arguments[:2])
    domain = server.introduced(domid)
    domain.target = server.introduced(target).domid
    return OK


# Quotas and features.


def get_feature(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    arguments = strings(payload)
    if len(arguments) > 1:
        raise Refused("EINVAL")
    if not arguments or not arguments[0]:
        return b"%d\0" % connection.domain.features
    if not connection.privileged:
        raise Refused("EACCES")
    return b"%d\0" % server.domain(_domid(arguments[0])).features


def set_feature(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    """Only before the domain is introduced, and only features that there are."""
    arguments = strings(payload)
    if len(arguments) != 2:
        raise Refused("EINVAL")
    domid = _domid(arguments[0])
    value = _number(arguments[1], sum(Feature))
    if value & ~FEATURES:
        raise Refused("EINVAL")
    if server.is_introduced(domid):
        raise Refused("EBUSY")
    server.domain(domid).features = value
    return OK


def _quota(name: bytes, quotas: dict[str, int]) -> str:
    text = name.decode("ascii", "replace")
    if text not in quotas:
        raise Refused("EINVAL")
    return text


def get_quota(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    """The names, with no argument; else one value, of the defaults or of a domain."""
    arguments = strings(payload)
    if len(arguments) > 2:
        raise Refused("EINVAL")
    if not arguments or arguments == [b""]:
        return " ".join(server.quotas).encode() + b"\0"
    name = _quota(arguments[-1], server.quotas)
    value = server.quotas[name] if len(arguments) == 1 else server.domain(_domid(arguments[0])).limit(name)
    return b"%d\0" % value


def set_quota(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    arguments = strings(payload)
    if len(arguments) not in (2, 3):
        raise Refused("EINVAL")
    name = _quota(arguments[-2], server.quotas)
    value = _number(arguments[-1], 0xFFFFFFFF)
    if len(arguments) == 2:
        server.quotas[name] = value
    else:
        server.domain(_domid(arguments[0])).limits[name] = value
    return OK


# CONTROL: a few commands. Which there are is each implementation's own affair.


def _help(server: Server, arguments: list[bytes]) -> str:
    return "supported commands:\n" + "".join(f"\t{name.decode()}\n" for name in sorted(COMMANDS))


def _print(server: Server, arguments: list[bytes]) -> str:
    return "".join(f"{name:<17}: {count}\n" for name, count in upkeep.counts(server).items())


def _check(server: Server, arguments: list[bytes]) -> str:
    problems = upkeep.check(server)
    return "".join(f"{problem}\n" for problem in problems) or "OK"


def _show_quota(server: Server, arguments: list[bytes]) -> str:
    """`quota`, `quota|DOMID`, `quota|set|NAME|VALUE`."""
    if len(arguments) == 3 and arguments[0] == b"set":
        server.quotas[_quota(arguments[1], server.quotas)] = _number(arguments[2], 0xFFFFFFFF)
        return "OK"
    if len(arguments) > 1:
        raise Refused("EINVAL")
    if not arguments:
        return "".join(f"{name:<17}: {limit:8}\n" for name, limit in server.quotas.items())
    domain = server.domain(_domid(arguments[0]))
    used = {
        "nodes": server.tree.count_owned(domain.domid),
        "watches": domain.watches,
        "transactions": domain.transactions,
    }
    rows = (f"{name:<17}: {used.get(name, 0):8} (max {domain.limit(name):8})\n" for name in server.quotas)
    return f"Domain {domain.domid}:\n" + "".join(rows)


COMMANDS: dict[bytes, Callable[[Server, list[bytes]], str]] = {
    b"check": _check,
    b"help": _help,
    b"print": _print,
    b"quota": _show_quota,
}


def control(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    arguments = strings(payload)
    command = COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        raise Refused("EINVAL")
    return command(server, arguments[1:]).encode() + b"\0"
