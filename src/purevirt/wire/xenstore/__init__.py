"""The XenStore protocol, both ends, without I/O.

`packets`: the header, the operations, the decoder.  `paths`: what a path may be.  `permissions`: who may do
what with a node.  `errnos`: error replies and the exceptions they become.  `messages`: payloads, request by
request.

Source: docs/misc/xenstore.txt and xen/include/public/io/xs_wire.h of Xen 4.22.
"""

from purevirt.wire.xenstore.errnos import ERRNOS, error_payload, exception_of
from purevirt.wire.xenstore.packets import HEADER, MAX_PAYLOAD, Decoder, Feature, Op, Packet, encode
from purevirt.wire.xenstore.paths import MAX_ABSOLUTE, MAX_RELATIVE, check_path, is_special, is_valid_path
from purevirt.wire.xenstore.permissions import Permission, format_permissions, parse_permissions

__all__ = [
    "ERRNOS",
    "HEADER",
    "MAX_ABSOLUTE",
    "MAX_PAYLOAD",
    "MAX_RELATIVE",
    "Decoder",
    "Feature",
    "Op",
    "Packet",
    "Permission",
    "check_path",
    "encode",
    "error_payload",
    "exception_of",
    "format_permissions",
    "is_special",
    "is_valid_path",
    "parse_permissions",
]
