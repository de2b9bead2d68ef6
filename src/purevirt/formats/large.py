"""Reading large texts: a million small records that stay, and none that the collector of cycles could take away.

It looks at all of them again and again while they become more, which doubles the time of 10 MB; so it rests meanwhile.
"""

from __future__ import annotations

import gc

__all__ = ["Unhindered"]

_LARGE = 1 << 19


class Unhindered:
    """`with Unhindered(text):` the collector rests, if the text is large and it does not rest anyway."""

    __slots__ = ("_rests",)

    def __init__(self, text: str | bytes) -> None:
        self._rests = len(text) >= _LARGE and gc.isenabled()

    def __enter__(self) -> None:
        if self._rests:
            gc.disable()

    def __exit__(self, *raised: object) -> None:
        if self._rests:
            gc.enable()
