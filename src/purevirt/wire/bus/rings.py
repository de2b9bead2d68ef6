"""Rings in a shared page: the Xen Store's and the console's, as both of their sides see them.

A page is any writable memoryview of 4096 bytes. Indices run freely, modulo 2**32: the producer adds to `prod`, the
consumer to `cons`, and an index's place is its low bits. So `prod - cons` is how much lies in the ring, and empty
and full are told apart.

**The other side may be hostile**: it can write any index at any time. Each call reads an index once, and goes by
what it read; a distance of more than the ring's size raises RingBroken before anything is touched.

Source: xen/include/public/io/xs_wire.h and io/console.h of Xen 4.22.
"""

from __future__ import annotations

import enum

__all__ = [
    "PAGE",
    "ByteRing",
    "ConsoleRing",
    "RingBroken",
    "RingConnection",
    "RingError",
    "StoreRing",
]

PAGE = 4096
_WORD = 1 << 32


class RingBroken(Exception):
    """The indices are further apart than the ring is long."""


class RingConnection(enum.IntEnum):
    """XENSTORE_CONNECTED and so on: the field `connection`."""

    CONNECTED = 0
    RECONNECT = 1  # the guest asks for a fresh start


class RingError(enum.IntEnum):
    """XENSTORE_ERROR_*: the field `error`, why the daemon ignores the guest."""

    NONE = 0
    COMM = 1
    RINGIDX = 2
    PROTO = 3


class ByteRing:
    """One direction of a ring. `start`, `size`: where its bytes are; `cons`, `prod`: where its indices are.

    Its producer calls `put`, its consumer `take`.
    """

    __slots__ = ("_bytes", "_cons", "_prod", "_words", "size")

    def __init__(self, page: memoryview, start: int, size: int, cons: int, prod: int) -> None:
        self._bytes = page[start : start + size]
        self._words = page.cast("I")
        self._cons = cons // 4
        self._prod = prod // 4
        self.size = size

    @property
    def used(self) -> int:
        """How many bytes lie in it. RingBroken."""
        used: int = (self._words[self._prod] - self._words[self._cons]) % _WORD
        if used > self.size:
            raise RingBroken
        return used

    def take(self) -> bytes:
        """All that lies in it, which is thereby consumed. RingBroken."""
        used = self.used
        if not used:
            return b""
        cons = self._words[self._cons]
        at = cons % self.size
        first = min(used, self.size - at)
        data = bytes(self._bytes[at : at + first])
        if first < used:
            data += bytes(self._bytes[: used - first])
        self._words[self._cons] = (cons + used) % _WORD
        return data

    def put(self, data: bytes | bytearray | memoryview) -> int:
        """Produce as much of `data` as there is room for; how many bytes. RingBroken."""
        count = min(len(data), self.size - self.used)
        if not count:
            return 0
        prod = self._words[self._prod]
        at = prod % self.size
        first = min(count, self.size - at)
        self._bytes[at : at + first] = data[:first]
        if first < count:
            self._bytes[: count - first] = data[first:count]
        self._words[self._prod] = (prod + count) % _WORD
        return count

    def reset(self) -> None:
        """Empty it: both indices are 0."""
        self._words[self._cons] = self._words[self._prod] = 0


class StoreRing:
    """The Xen Store's page: `requests` from the guest, `replies` and events to it, and what they say of themselves."""

    __slots__ = ("_words", "replies", "requests")

    def __init__(self, page: memoryview) -> None:
        self.requests = ByteRing(page, 0, 1024, 2048, 2052)
        self.replies = ByteRing(page, 1024, 1024, 2056, 2060)
        self._words = page.cast("I")

    @property
    def server_features(self) -> int:
        """XENSTORE_SERVER_FEATURE_* of the daemon."""
        return self._words[2064 // 4]

    @server_features.setter
    def server_features(self, value: int) -> None:
        self._words[2064 // 4] = value

    @property
    def connection(self) -> int:
        """A `RingConnection`, or whatever the other side has put there."""
        return self._words[2068 // 4]

    @connection.setter
    def connection(self, value: int) -> None:
        self._words[2068 // 4] = value

    @property
    def error(self) -> int:
        """A `RingError`: not NONE if the daemon ignores the guest."""
        return self._words[2072 // 4]

    @error.setter
    def error(self, value: int) -> None:
        self._words[2072 // 4] = value

    @property
    def port(self) -> int:
        """The guest's port of the event channel (Xen 4.22; before that, the guest is told otherwise)."""
        return self._words[2076 // 4]

    @port.setter
    def port(self, value: int) -> None:
        self._words[2076 // 4] = value


class ConsoleRing:
    """The console's page: `input` to the guest, `output` from it."""

    __slots__ = ("input", "output")

    def __init__(self, page: memoryview) -> None:
        self.input = ByteRing(page, 0, 1024, 3072, 3076)
        self.output = ByteRing(page, 1024, 2048, 3080, 3084)
