"""Makes clients of the Xen daemon, for either half of the API."""

from __future__ import annotations

from purevirt.channels.xend.client import XendClient
from purevirt.channels.xend.transport import Address

__all__ = ["client"]


def client(address: Address, mode: str) -> XendClient:
    """A client of the daemon at an address, which connects when it is first called. `mode`: "blocking" or "aio"."""
    if mode == "aio":
        from purevirt.channels.xend.aio import AsyncioTransport

        return XendClient(AsyncioTransport(address))
    from purevirt.channels.xend.blocking import BlockingTransport

    return XendClient(BlockingTransport(address))
