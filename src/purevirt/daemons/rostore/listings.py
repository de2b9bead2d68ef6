"""Lists of children that are longer than a packet: fetched whole, cut down to what is shown, told in parts.

A client counts offsets in the list that it is told, which is not the list that xenstored has. So each part is cut
from the whole list anew. The generation, by which a client notices that a list has changed between two parts, is
xenstored's. oxenstored has neither parts nor generations: it tells a long list whole, and how that looks stands for a
generation.
"""

from __future__ import annotations

import zlib

from purevirt.daemons.rostore.allowed import child_shown
from purevirt.daemons.rostore.upstream import Upstream
from purevirt.wire.xenstore import messages
from purevirt.wire.xenstore.packets import MAX_PAYLOAD, Op

__all__ = ["Refused", "cut", "shown_children", "whole"]

_RESTARTS = 16  # how often a list is begun anew because it has changed between its parts
_NO_PARTS = (b"ENOSYS\0", b"EINVAL\0")


class Refused(Exception):
    """The name of an errno, to be answered."""


def shown_children(path: bytes, names: bytes) -> bytes:
    """Of a list as DIRECTORY tells it, what is shown."""
    return messages.format_children(child_shown(path, [name for name in names.split(b"\0") if name]))


async def whole(upstream: Upstream, path: bytes) -> tuple[bytes, bytes]:
    """A node's generation, and all of its children that are shown. Refused, with what xenstored says."""
    for _ in range(_RESTARTS):
        found = await _once(upstream, path)
        if found is not None:
            return found[0], shown_children(path, found[1])
    raise Refused("EBUSY")


async def _once(upstream: Upstream, path: bytes) -> tuple[bytes, bytes] | None:
    """The list as it is; None if it has changed meanwhile."""
    names, generation, offset = b"", None, 0
    while True:
        payload = path + b"\0%d\0" % offset
        (reply,) = await upstream.ask([(int(Op.DIRECTORY_PART), 0, payload)])
        if reply.op == Op.ERROR and reply.payload in _NO_PARTS:
            (reply,) = await upstream.ask([(int(Op.DIRECTORY), 0, path + b"\0")])
            if reply.op != Op.ERROR:
                return b"%d" % zlib.crc32(reply.payload), reply.payload
        if reply.op == Op.ERROR:
            raise Refused(reply.payload.rstrip(b"\0").decode("ascii", "replace"))
        part = messages.parse_directory_part(reply.payload)
        if generation not in (None, part.generation):
            return None
        generation = part.generation
        names += part.children
        offset += part.size
        if part.last:
            return generation, names


def cut(generation: bytes, names: bytes, start: int) -> bytes:
    """The payload of the part that begins at an offset; the last part ends with an empty name."""
    head = generation + b"\0"
    room = MAX_PAYLOAD - len(head) - 1
    part = names[start : start + room]
    if start + room < len(names):
        return head + part[: part.rfind(b"\0") + 1]
    return head + part + b"\0"
