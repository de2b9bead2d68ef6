"""The Xen daemon: HTTP over a Unix socket, or TCP.

`client` has a method for the JSON calls, and one for the classic tree of S-expressions (`classic`); it works over the
blocking and the asyncio transport alike (`dial` chooses). `http` is the framing (h11). Nothing here is imported
before the daemon is first called; the places, which the daemon takes from here as well, are all that is in this file.
"""

from __future__ import annotations

__all__ = ["CALL_PATH", "CLASSIC_SOCKET", "SOCKET"]

SOCKET = "/run/purevirt/xend.sock"
"""Where the Xen daemon listens, below a host's root."""

CLASSIC_SOCKET = "/var/lib/xend/xend-socket"
"""Where it listens for clients of the xend of old."""

CALL_PATH = "/purevirt/v1/call"
"""The JSON calls; everything else on these sockets is the classic tree."""
