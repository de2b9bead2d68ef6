"""Which nodes anybody may see: an allow-list. What is not on it does not exist, for a client of the read-only store.

Shown are the nodes that a listing of domains and their devices needs:

    /local/domain/N/{name, domid, vm}                          who it is
    /local/domain/N/memory/{target, static-max, videoram}      what it was given
    /local/domain/N/cpu/M/availability                         its vCPUs
    /local/domain/N/control/feature-*                          what its kernel can be asked for
    /local/domain/N/device/KIND/ID/{backend, backend-id, state, …}           its frontends
    /local/domain/N/backend/KIND/M/ID/{frontend, frontend-id, online, state} what serves it, of any kind; and of disks
                                                               and interfaces what `domblklist` and `domiflist` show
    /vm/UUID/{name, uuid, start_time}                          (a UUID may have xend's suffix: UUID-1)
    /libxl/N/type, /libxl/N/device/KIND/ID/{frontend, backend} the toolstack's record

and the nodes on the way there, whose own values are not (they read as empty: a guest may have written anything into
those that it owns).

Never shown, for they can hold secrets or are nobody's business: control/shutdown and all of control but the features;
data, attr, drivers, console (pty names, VNC ports), image and device-model; of vfb and vkbd backends everything but
the states (vncpasswd lies there); /vm/UUID/… beyond the three; /tool; whatever a later Xen adds. A disk's `params`
may carry credentials where it names something in a network (rbd:…:key=…, http://user:password@…), so it is shown only
if it is the plain path of a file or device.

What may be watched: any node that is shown, unless a guest could make it fire at will for what is hidden below it: "/",
/local, /local/domain and /local/domain/N are refused. @introduceDomain and @releaseDomain may be watched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["SPECIAL", "Shown", "child_shown", "may_watch", "shown_as", "value_allowed"]

SPECIAL = (b"@introduceDomain", b"@releaseDomain")

_ANY_BACKEND = ("frontend", "frontend-id", "online", "state")
_DISK = ("dev", "params", "type", "device-type", "mode", "removable", "bootable", "hotplug-status")
_NIC = ("mac", "bridge", "script", "vifname", "model", "handle", "type", "hotplug-status")

# N: a domain id or another number; U: a UUID; K: a kind of device; F: a feature.
_PATTERNS: tuple[str, ...] = (
    *(f"/local/domain/N/{key}" for key in ("name", "domid", "vm")),
    *(f"/local/domain/N/memory/{key}" for key in ("target", "static-max", "videoram")),
    "/local/domain/N/cpu/N/availability",
    "/local/domain/N/control/F",
    *(f"/local/domain/N/device/K/N/{key}" for key in ("backend", "backend-id", "state")),
    *(f"/local/domain/N/device/vbd/N/{key}" for key in ("virtual-device", "device-type")),
    *(f"/local/domain/N/device/vif/N/{key}" for key in ("handle", "mac")),
    *(f"/local/domain/N/backend/K/N/N/{key}" for key in _ANY_BACKEND),
    *(f"/local/domain/N/backend/{kind}/N/N/{key}" for kind in ("vbd", "qdisk", "tap") for key in _DISK),
    *(f"/local/domain/N/backend/{kind}/N/N/{key}" for kind in ("vif", "qnic") for key in _NIC),
    *(f"/vm/U/{key}" for key in ("name", "uuid", "start_time")),
    "/libxl/N/type",
    *(f"/libxl/N/device/K/N/{key}" for key in ("frontend", "backend")),
)

_CLASSES = {
    "N": re.compile(rb"[0-9]{1,10}\Z"),
    "U": re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?:-[0-9]{1,4})?\Z"),
    "K": re.compile(rb"[a-z0-9]{1,16}\Z"),
    "F": re.compile(rb"feature-[a-z0-9-]{1,32}\Z"),
}
_PLAIN = re.compile(rb"(?:[a-z0-9]{1,10}:)?/[A-Za-z0-9_./+, -]*\Z")
_LONGEST_DEPTH = 12
_TOO_WIDE = re.compile(rb"/(?:local(?:/domain(?:/[0-9]+)?)?)?\Z")


class _Node:
    """A step of the allow-list."""

    __slots__ = ("literal", "value", "wild")

    def __init__(self) -> None:
        self.literal: dict[bytes, _Node] = {}
        self.wild: dict[str, _Node] = {}
        self.value = False

    def add(self, parts: Iterable[str]) -> None:
        at = self
        for part in parts:
            if part in _CLASSES:
                at = at.wild.setdefault(part, _Node())
            else:
                at = at.literal.setdefault(part.encode("ascii"), _Node())
        at.value = True

    def step(self, name: bytes) -> list[_Node]:
        """Every way on."""
        ways = [self.literal[name]] if name in self.literal else []
        return ways + [node for key, node in self.wild.items() if _CLASSES[key].match(name)]


_TOP = _Node()
for _pattern in _PATTERNS:
    _TOP.add(_pattern.split("/")[1:])


class Shown:
    """What of a node is shown: that it is there and its value; only that it is there; nothing."""

    VALUE, NODE, NOTHING = "value", "node", "nothing"


def _at(path: bytes) -> list[_Node]:
    if path == b"/":
        return [_TOP]
    parts = path.split(b"/")[1:]
    if path[:1] != b"/" or len(parts) > _LONGEST_DEPTH:
        return []
    nodes = [_TOP]
    for part in parts:
        nodes = [way for node in nodes for way in node.step(part)]
        if not nodes:
            break
    return nodes


def shown_as(path: bytes) -> str:
    """What of the node at an absolute path is shown (`Shown`)."""
    nodes = _at(path)
    if not nodes:
        return Shown.NOTHING
    return Shown.VALUE if any(node.value for node in nodes) else Shown.NODE


def child_shown(path: bytes, names: Iterable[bytes]) -> list[bytes]:
    """Those children of a node that are shown, in their order."""
    nodes = _at(path)
    return [name for name in names if any(node.step(name) for node in nodes)]


def value_allowed(path: bytes, value: bytes) -> bool:
    """Whether a value that is shown in general may be shown as it is."""
    return not path.endswith(b"/params") or not value or _PLAIN.match(value) is not None


def may_watch(path: bytes) -> bool:
    """Whether anybody may be told of changes at and below it."""
    if path in SPECIAL:
        return True
    return shown_as(path) != Shown.NOTHING and _TOO_WIDE.match(path) is None
