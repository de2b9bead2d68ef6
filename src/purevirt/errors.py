"""Everything that purevirt raises, in one tree.

The library prints nothing and returns no error codes: a situation is a class, and an instance carries what a
program needs to act on it (operation, domain, channel, path, errno).

    XenError
    ├── ConnectError            no host, no channel, or not allowed to open one
    ├── ChannelUnavailable      the channel that serves this operation is not open on this connection
    ├── Closed                  the connection, or the channel under it, is closed
    ├── Timeout                 the deadline passed before the answer came
    ├── ProtocolError           bytes that break the protocol
    │   ├── LocalProtocolError      … that we were asked to send (nothing was sent)
    │   └── RemoteProtocolError     … that the other side sent (the channel is closed)
    ├── ConfigError             a description that cannot be read: file, line, column
    ├── InvalidConfig           a description that can be read, and asks for what cannot be
    └── OperationError          the host understood, and the operation failed
        ├── NoSuchDomain            no domain has that id, name or UUID
        ├── NoSuchDevice            the domain has no such disk or interface
        ├── DomainExists            the name or UUID is taken
        ├── DomainAmbiguous         several active domains have that UUID (a migration to the same host)
        ├── WrongState              the domain is in a state in which this cannot be done
        ├── Conflict                somebody else has changed it meanwhile
        ├── Cancelled               the job was cancelled, and what it had begun was undone
        ├── Interrupted             the daemon ended in the middle of the job
        ├── ReadOnly                a changing call on a connection opened read-only (nothing was sent)
        ├── Denied                  the host refused for lack of rights
        ├── NoMemory                the host has not enough free memory
        ├── Unsupported             this host, or this version of it, cannot do that
        ├── HypercallError          the hypervisor answered another errno
        └── StoreError              the Xen Store answered another errno
            ├── NoSuchNode              the path does not exist
            ├── NodeExists              the path, or the watch, exists already
            ├── TransactionConflict     the transaction lost to another writer, more often than it may
            └── QuotaExceeded           the store refused for a quota or a size

Every class has `kind` (its name in JSON) and `exit_status` (what the command line ends with).
"""

from __future__ import annotations

import errno as _errno

from purevirt._typing import Any, ClassVar

__all__ = [
    "Cancelled",
    "ChannelUnavailable",
    "Closed",
    "ConfigError",
    "Conflict",
    "ConnectError",
    "Denied",
    "DomainAmbiguous",
    "DomainExists",
    "HypercallError",
    "Interrupted",
    "InvalidConfig",
    "LocalProtocolError",
    "NoMemory",
    "NoSuchDevice",
    "NoSuchDomain",
    "NoSuchNode",
    "NodeExists",
    "OperationError",
    "ProtocolError",
    "QuotaExceeded",
    "ReadOnly",
    "RemoteProtocolError",
    "StoreError",
    "Timeout",
    "TransactionConflict",
    "Unsupported",
    "WrongState",
    "XenError",
]


class XenError(Exception):
    """The root of the tree.

    `message` is one line for a person. The other attributes are None where they do not apply: `operation` is the
    name of the API call, `domain` a name, id or UUID as text, `channel` one of "hypervisor", "store", "daemon",
    "files", `path` a file or a store path, `errno` a number of the operating system, `detail` whatever else the
    other side said.
    """

    exit_status: ClassVar[int] = 1
    kind: ClassVar[str] = "XenError"

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        domain: str | None = None,
        channel: str | None = None,
        path: str | None = None,
        errno: int | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operation = operation
        self.domain = domain
        self.channel = channel
        self.path = path
        self.errno = errno
        self.detail = detail

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = cls.__name__

    def __str__(self) -> str:
        return self.message

    @property
    def errno_name(self) -> str | None:
        """The symbol of `errno` ("ENOENT"), or None."""
        return None if self.errno is None else _errno.errorcode.get(self.errno, str(self.errno))

    def as_dict(self) -> dict[str, object]:
        """The JSON shape of every error, without its outer {"error": …}."""
        detail: dict[str, object] = {}
        if self.path is not None:
            detail["path"] = self.path
        if self.errno is not None:
            detail["errno"] = self.errno_name
        if self.detail is not None:
            detail["text"] = self.detail
        return {
            "kind": self.kind,
            "message": self.message,
            "operation": self.operation,
            "domain": self.domain,
            "channel": self.channel,
            "detail": detail or None,
        }


class ConnectError(XenError):
    """No host or channel could be opened; the message names what is missing and what would help."""

    exit_status = 5


class ChannelUnavailable(XenError):
    """The channel that serves this operation is not open on this connection, or was lost since."""

    exit_status = 5


class Closed(XenError):
    """The connection is closed: by `close()`, by the other side, or because the process has forked."""

    exit_status = 5


class Timeout(XenError, TimeoutError):
    """The deadline passed before the answer came. Whether the request took effect is unknown."""

    exit_status = 7


class ProtocolError(XenError):
    """Bytes that break the protocol."""


class LocalProtocolError(ProtocolError):
    """What we were asked to send breaks the protocol; nothing was sent."""

    exit_status = 2


class RemoteProtocolError(ProtocolError):
    """What the other side sent breaks the protocol; the channel is closed."""


class ConfigError(XenError):
    """A description that cannot be read. `file`, `line` and `column` (from 1) say where."""

    exit_status = 2

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(message, **kwargs)
        self.file = file
        self.line = line
        self.column = column


class InvalidConfig(XenError):
    """A description that asks for what cannot be. `problems` lists every one found."""

    exit_status = 2

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.problems = problems


class OperationError(XenError):
    """The host understood, and the operation failed."""


class NoSuchDomain(OperationError):
    """No domain has that id, name or UUID (any more)."""

    exit_status = 3


class NoSuchDevice(OperationError):
    """The domain has no such disk or interface."""

    exit_status = 3


class DomainExists(OperationError):
    """The name or UUID is taken by another domain."""


class DomainAmbiguous(OperationError):
    """Several active domains have that UUID, as during a migration to the same host: use the id."""


class WrongState(OperationError):
    """The domain is in a state in which this cannot be done."""


class Conflict(OperationError):
    """What was to be changed is not as the caller knew it: somebody else has changed it meanwhile."""


class Cancelled(OperationError):
    """The job was cancelled. What it had begun was undone."""


class Interrupted(OperationError):
    """The daemon ended in the middle of the job; the message says what became of what it had begun."""


class ReadOnly(OperationError):
    """A changing call on a connection that was opened read-only. Not a byte was sent."""

    exit_status = 4


class Denied(OperationError):
    """The host refused for lack of rights."""

    exit_status = 4


class NoMemory(OperationError):
    """The host has not enough free memory for this."""


class Unsupported(OperationError):
    """This host, or this version of it, cannot do that."""

    exit_status = 6


class HypercallError(OperationError):
    """The hypervisor answered an errno that has no class of its own; see `errno`."""


class StoreError(OperationError):
    """The Xen Store answered an errno that has no class of its own; see `errno` and `path`."""


class NoSuchNode(StoreError):
    """The path does not exist in the Xen Store."""

    exit_status = 3


class NodeExists(StoreError):
    """The path, or the watch, exists already."""


class TransactionConflict(StoreError):
    """The transaction lost to another writer (EAGAIN) more often than its bound allows."""


class QuotaExceeded(StoreError):
    """The store refused for a quota or a size (ENOSPC, E2BIG)."""
