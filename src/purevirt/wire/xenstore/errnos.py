"""Error replies: the errno's name, NUL-terminated, and the exception it becomes.

A server may send any of `ERRNOS` (xs_wire.h, `xsd_errors`; EPERM since 4.17). Some situations have a class of
their own; the rest are StoreError with the errno kept.
"""

from __future__ import annotations

import errno

from purevirt import errors

__all__ = ["ERRNOS", "error_payload", "exception_of"]

ERRNOS: tuple[str, ...] = (
    "EINVAL",
    "EACCES",
    "EEXIST",
    "EISDIR",
    "ENOENT",
    "ENOMEM",
    "ENOSPC",
    "EIO",
    "ENOTEMPTY",
    "ENOSYS",
    "EROFS",
    "EBUSY",
    "EAGAIN",
    "EISCONN",
    "E2BIG",
    "EPERM",
)

_CLASSES: dict[str, tuple[type[errors.XenError], str]] = {
    "ENOENT": (errors.NoSuchNode, "does not exist in the Xen Store"),
    "EEXIST": (errors.NodeExists, "exists already in the Xen Store"),
    "EACCES": (errors.Denied, "may not be accessed by this connection"),
    "EPERM": (errors.Denied, "may not be accessed by this connection"),
    "EROFS": (errors.ReadOnly, "cannot be changed: the Xen Store is open read-only"),
    "EAGAIN": (errors.TransactionConflict, "was changed by another writer meanwhile"),
    "ENOSPC": (errors.QuotaExceeded, "exceeds a quota of the Xen Store"),
    "E2BIG": (errors.QuotaExceeded, "is too large for the Xen Store"),
    "ENOSYS": (errors.Unsupported, "is unknown to this Xen Store daemon"),
}


def error_payload(name: str) -> bytes:
    """The payload of an ERROR reply."""
    return name.encode("ascii") + b"\0"


def exception_of(payload: bytes, *, operation: str, path: str | None = None) -> errors.XenError:
    """The exception that an ERROR reply's payload means, not raised. RemoteProtocolError if it means none."""
    name = payload.rstrip(b"\0").decode("ascii", "backslashreplace")
    number = getattr(errno, name, None) if name in ERRNOS else None
    if number is None:
        return errors.RemoteProtocolError(
            f"the Xen Store answered {operation} with an unknown error {name[:40]!r}",
            operation=operation,
            channel="store",
            path=path,
        )
    subject = operation if path is None or name == "ENOSYS" else path
    cls, words = _CLASSES.get(name, (errors.StoreError, f"was refused by the Xen Store: {name}"))
    return cls(
        f"{subject} {words}", operation=operation, channel="store", path=path, errno=number, detail=name
    )
