"""Descriptions in files: read whole, written whole or not at all; "-" is standard input and output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from purevirt.errors import XenError

__all__ = ["read", "shown", "write"]

_MOST = 64 * 1024 * 1024


def read(path: str) -> bytes:
    """What is in a file. XenError if it cannot be read, or is larger than any description."""
    try:
        if path == "-":
            data = sys.stdin.buffer.read(_MOST + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(_MOST + 1)
    except OSError as error:
        raise XenError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > _MOST:
        raise XenError(f"cannot read {path}: a description has at most {_MOST >> 20} MiB")
    return data


def shown(path: str) -> str:
    """A file's name in a message."""
    return "standard input" if path == "-" else path


def write(path: str, text: str, *, force: bool, secret: bool = False) -> None:
    """Write a file; it has its new content whole, or is as it was. Without `force` it must not be there.

    One that is replaced keeps its permissions; a new one with something `secret` in it is its owner's alone.
    """
    if path == "-":
        click.echo(text, nl=False)
        return
    if not force and os.path.lexists(path):
        raise XenError(f"{path} is there already; --force replaces it")
    target = Path(os.path.realpath(path))  # a link stays one
    beside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o666)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                if target.exists():
                    os.fchmod(file.fileno(), target.stat().st_mode & 0o777)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise XenError(f"cannot write {path}: {error.strerror}") from error
