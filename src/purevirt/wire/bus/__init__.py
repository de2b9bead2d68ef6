"""What domains share on a host: rings in shared pages, and the messages that reach a simulated host's bus.

`rings`: the Xen Store's and the console's pages.  `frames`: how a daemon speaks to the bus of a simulated host.
`numbers`: the constants of event channels and grant tables.
"""

from purevirt.wire.bus.frames import (
    BusOp,
    DomainChange,
    Notice,
    NoticeDecoder,
    Request,
    RequestDecoder,
    encode_notice,
    encode_request,
)
from purevirt.wire.bus.numbers import ChannelStatus, GrantFlag, GrantStatus, ReservedGrant, Virq
from purevirt.wire.bus.rings import ByteRing, ConsoleRing, RingBroken, RingConnection, RingError, StoreRing

__all__ = [
    "BusOp",
    "ByteRing",
    "ChannelStatus",
    "ConsoleRing",
    "DomainChange",
    "GrantFlag",
    "GrantStatus",
    "Notice",
    "NoticeDecoder",
    "Request",
    "RequestDecoder",
    "ReservedGrant",
    "RingBroken",
    "RingConnection",
    "RingError",
    "StoreRing",
    "Virq",
    "encode_notice",
    "encode_request",
]
