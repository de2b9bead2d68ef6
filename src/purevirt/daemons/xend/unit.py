"""The unit that has systemd run the daemon: `purevirt-xend.service`, beside this file, and how it is made to fit.

The file is good as it stands for a command in /usr/bin; `text` puts the command of another installation in its place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from purevirt.errors import Unsupported

__all__ = ["COMMAND", "command", "text"]

COMMAND = "/usr/bin/purevirt"
"""What the file names."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:,=@")


def command(program: str) -> tuple[str, ...]:
    """How this installation is started: the program itself if it is an executable, else as a module of its Python."""
    path = os.path.abspath(program)
    if os.path.basename(path) == "purevirt" and os.path.isfile(path) and os.access(path, os.X_OK):
        return (path,)
    return (sys.executable, "-m", "purevirt")


def text(words: Sequence[str] = (COMMAND,)) -> str:
    """The unit, with the command that starts `purevirt`. Unsupported: systemd would not run a program at that path."""
    unit = Path(__file__).with_name("purevirt-xend.service").read_text(encoding="utf-8")
    before = f"ExecStart={COMMAND} "
    assert unit.count(before) == 1
    return unit.replace(before, f"ExecStart={' '.join(_quoted(word) for word in words)} ")


def _quoted(word: str) -> str:
    """As systemd reads it again. It takes no quotes, backslashes or control characters in the path of a program, and a
    $ there is one, but elsewhere begins a variable: so nothing but plain paths, and those with spaces."""
    if set(word) <= _PLAIN:
        return word
    if set(word) <= _PLAIN | {" "}:
        return f'"{word}"'
    raise Unsupported(
        f"systemd cannot be told to run {word!r}: install it at a path of letters, digits and ./_-+:,=@",
        operation="xend",
        path=word,
    )
