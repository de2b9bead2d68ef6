"""Where a host's Xen daemon listens, and whether it does: asked at every opening, so without loading what speaks to
it.

The socket is ROOT/run/purevirt/xend.sock ("" for ROOT on a real host).
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.channels.unix import try_connect
from purevirt.errors import ConnectError

if TYPE_CHECKING:
    from purevirt.channels.xend.client import XendClient
    from purevirt.channels.xend.transport import Address

__all__ = ["SOCKET", "absence", "client", "socket_path"]

SOCKET = "/run/purevirt/xend.sock"


def socket_path(root: str) -> str:
    """The socket of the host below `root`."""
    return root + SOCKET


def absence(root: str) -> ConnectError | None:
    """Why nobody listens there; None if somebody does. It takes no time: nothing is sent, and nothing waited for."""
    try:
        sock = try_connect(socket_path(root), what="the Xen daemon", channel="daemon")
    except ConnectError as error:
        return error
    if sock is not None:  # else so many want to talk to it that we would have to wait: so it is there
        sock.close()
    return None


def client(address: Address, mode: str) -> XendClient:
    """A client of the daemon at an address, which connects when it is first called. `mode`: "blocking" or "aio"."""
    from purevirt.channels.xend.client import XendClient

    if mode == "aio":
        from purevirt.channels.xend.aio import AsyncioTransport

        return XendClient(AsyncioTransport(address))
    from purevirt.channels.xend.blocking import BlockingTransport

    return XendClient(BlockingTransport(address))
