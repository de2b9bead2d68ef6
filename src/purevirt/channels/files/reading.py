"""Files as text and numbers."""

from __future__ import annotations

import errno
import os

from purevirt.errors import ChannelUnavailable, RemoteProtocolError

__all__ = ["CHANNEL", "read_bytes", "read_number", "read_text", "unreadable"]

CHANNEL = "files"

# The last two: a device that goes away between open and read.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO)
_LIMIT = 1 << 22  # no file here is longer; what is, is none of the kernel's


def read_bytes(path: str) -> bytes | None:
    """What is in a file; None if there is no such file.

    ChannelUnavailable: it is there and cannot be read (EACCES …). RemoteProtocolError: it is longer than any
    file here.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = []
            size = 0
            while data := os.read(fd, 65536):
                parts.append(data)
                size += len(data)
                if size > _LIMIT:
                    raise unreadable(path, "it is too long")
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise ChannelUnavailable(
            f"{path} cannot be read: {error.strerror}", channel=CHANNEL, path=path, errno=error.errno
        ) from error
    return b"".join(parts)


def read_text(path: str) -> str | None:
    """A file's text, without white space at its ends; None if there is no such file. As `read_bytes`.

    Bytes that are no UTF-8 are kept, escaped.
    """
    data = read_bytes(path)
    return None if data is None else data.decode("utf-8", "backslashreplace").strip()


def read_number(path: str) -> int | None:
    """A file that holds one non-negative decimal number. As `read_text`; RemoteProtocolError for anything else."""
    text = read_text(path)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise unreadable(path, f"it holds {text[:40]!r} instead of a number")
    return int(text)


def unreadable(path: str, reason: str) -> RemoteProtocolError:
    """The error for a file that does not read as it should, not raised."""
    return RemoteProtocolError(f"{path} makes no sense: {reason}", channel=CHANNEL, path=path)
