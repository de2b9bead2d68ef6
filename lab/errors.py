"""The one exception of the lab, in a module of its own so that every other module may raise it."""

from __future__ import annotations

import sys


class LabError(Exception):
    """The lab could not do what was asked. The message says what, why and, where it helps, what to do."""


def say(text: str) -> None:
    """Print a line of progress on stderr, where it does not mix with a command's output."""
    print(f"lab: {text}", file=sys.stderr, flush=True)
