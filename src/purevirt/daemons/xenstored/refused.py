"""The one way in which a request fails: `Refused`, which becomes an ERROR reply.

It carries the errno's name as the protocol sends it (wire.xenstore.ERRNOS). It never leaves the server.
"""

from __future__ import annotations

__all__ = ["Refused"]


class Refused(Exception):
    """A request that is answered with an error; `errno` is its name, as in "ENOENT"."""

    def __init__(self, errno: str) -> None:
        super().__init__(errno)
        self.errno = errno
