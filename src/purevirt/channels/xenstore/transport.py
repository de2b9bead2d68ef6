"""What a transport of XenStore packets offers, whether it blocks or runs under asyncio.

Clients and drivers are written once, as `async def`, and await nothing but these methods; a blocking
transport never suspends in them (see `purevirt._run`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from purevirt._typing import TYPE_CHECKING, Protocol
from purevirt.wire.xenstore.packets import Packet

if TYPE_CHECKING:
    from purevirt.channels.xenstore.lanes import Lane

__all__ = ["CHANNEL", "WHAT", "Connector", "Request", "Transport"]

CHANNEL = "store"
WHAT = "the Xen Store"

Request = tuple[int, int, bytes]
"""One request: operation, transaction id, payload. The transport chooses the request id."""


class Transport(Protocol):
    """One connection to a Xen Store."""

    on_event: Callable[[bytes], None] | None
    """Called with the payload of each WATCH_EVENT that is received; it must not call back. None: dropped."""

    @property
    def closed(self) -> bool:
        """Whether the connection is over: by `close()`, by the other side, or because the stream broke."""

    async def exchange(self, requests: Sequence[Request], timeout: float | None) -> list[Packet]:
        """Send the requests in one go and return their replies, in the requests' order.

        `timeout` is in seconds; None waits for ever. Timeout: not all replies came (the connection stays
        usable, late replies are dropped). LocalProtocolError: nothing was sent. RemoteProtocolError: the
        other side broke the protocol, and the connection is closed. Closed: it was closed before, or
        meanwhile.
        """

    async def wait_events(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Receive until `ready()` says so (True) or the time is up (False). Closed if the connection ends."""

    async def poll_events(self) -> None:
        """Receive what has already arrived, without waiting: one system call when there is nothing."""

    async def pause(self, seconds: float) -> None:
        """Let time pass: between attempts."""

    async def close(self) -> None:
        """Close the connection. Whoever waits on it gets Closed. Closing twice is fine."""


class Connector(Protocol):
    """How to make a transport, and make it again."""

    async def connect(self, timeout: float | None) -> Transport:
        """A new connection. ConnectError says what is wrong; Timeout that nobody took it in time."""

    async def connect_lane(self, timeout: float | None) -> Lane | None:
        """A new connection for `lanes`; raises as `connect` does. None where there can be only one."""

    async def pause(self, seconds: float) -> None:
        """Let time pass: between attempts."""
