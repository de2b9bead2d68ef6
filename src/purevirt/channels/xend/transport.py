"""What carries an HTTP request to the Xen daemon and its answer back, whether it blocks or runs under asyncio.

HTTP/1.1 without pipelining carries one request at a time on a connection. A call to the daemon can take long (a guest
is asked to shut down, and takes its time), and one stuck guest must not delay a call about another. So a transport is
not one connection but a few: a call takes an idle one, or opens another, up to `CONNECTIONS`; whoever comes then
waits, no longer than its deadline. A few that carried whole answers are kept for the next calls.

An answer that was cut off, came too late, or cannot be read closes its connection, since nobody could say where the
next answer begins; the next call connects anew. A request is never sent twice: when a connection breaks after the
request went out, whether it took effect is for the caller to find out. Only a connection that was already closed by
the other side while it lay idle is replaced without a word, before anything is sent on it.
"""

from __future__ import annotations

import os
import time

from purevirt._typing import NamedTuple, Protocol
from purevirt.channels.unix import StrPath, fork_generation
from purevirt.errors import Closed, ConnectError, Timeout

__all__ = [
    "CHANNEL",
    "CONNECTIONS",
    "HINT",
    "IDLE",
    "WHAT",
    "Address",
    "Request",
    "Response",
    "Transport",
    "check",
    "lost",
    "media_type",
    "shown",
    "time_left",
    "timed_out",
    "unreachable",
]

CHANNEL = "daemon"
WHAT = "the Xen daemon"
HINT = "its socket is meant to be open to all, and the daemon itself to tell who may do what"

CONNECTIONS = 32
"""How many calls one transport carries at once."""

IDLE = 4
"""How many connections it keeps when nobody calls."""

Address = StrPath | tuple[str, int]
"""A socket file, or a host and a port."""


class Request(NamedTuple):
    """An HTTP request. Host and Content-Length are added where it is framed."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Response(NamedTuple):
    """An HTTP answer, whole. The headers' names are in lower case."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


class Transport(Protocol):
    """A way to one Xen daemon."""

    async def exchange(self, request: Request, timeout: float | None) -> Response:
        """Send the request and return its answer, whatever its status.

        `timeout` is in seconds; None waits for ever. ConnectError: nobody listens, nothing was sent. Timeout: the
        answer did not come in time. Closed: the connection was lost before the answer was whole, or the transport is
        closed, or was made before a fork. RemoteProtocolError: the answer is not HTTP.
        """

    async def close(self) -> None:
        """Close all connections. Whoever waits on one gets Closed. Closing twice is fine."""


def time_left(deadline: float | None) -> float | None:
    """Seconds until a moment of the monotonic clock, 0.0 if it has passed; None if there is no limit."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def shown(address: Address) -> str:
    """An address in a message."""
    if isinstance(address, tuple):
        return f"{address[0]}:{address[1]}"
    return address.decode("utf-8", "surrogateescape") if isinstance(address, bytes) else str(address)


def media_type(response: Response) -> str:
    """The type of an answer's body, without its parameters."""
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def check(closed: bool, generation: int) -> None:
    """Closed, if the transport may not be used (any more)."""
    if generation != fork_generation():
        raise Closed(
            f"this connection to {WHAT} was made before a fork: open another one in the child",
            channel=CHANNEL,
        )
    if closed:
        raise Closed(f"the connection to {WHAT} is closed", channel=CHANNEL)


def unreachable(address: Address, error: OSError | None) -> ConnectError:
    """A host and a port to which no connection can be made."""
    number = None if error is None else error.errno
    if error is None:
        reason = "it has no address"
    elif number and number > 0:
        reason = os.strerror(number).lower()  # not asyncio's words, which name the address once more
    else:
        reason = error.strerror or str(error)
    return ConnectError(
        f"cannot reach {WHAT} at {shown(address)}: {reason}",
        operation="connect",
        channel=CHANNEL,
        errno=number,
    )


def lost(error: OSError | None, closed: bool) -> Closed:
    """The connection broke before the answer was whole."""
    if closed:
        reason = "it was closed meanwhile"
    elif error is None:
        reason = f"{WHAT} closed it"
    else:
        reason = error.strerror or str(error)
    return Closed(
        f"the connection to {WHAT} was lost before the answer came: {reason}; "
        "whether the call took effect is unknown",
        channel=CHANNEL,
        errno=None if error is None else error.errno,
    )


def timed_out(timeout: float | None, sent: bool) -> Timeout:
    """The deadline has passed, before or after the request went out."""
    if not sent:
        return Timeout(
            f"{WHAT} could not be asked within {timeout or 0:g} s: nothing was sent", channel=CHANNEL
        )
    return Timeout(
        f"{WHAT} did not answer within {timeout or 0:g} s; whether the call took effect is unknown",
        channel=CHANNEL,
    )
