"""The model as JSON and back: what travels between the library and the Xen daemon (`POST /purevirt/v1/call`).

Both ends use this module. `call`/`parse_call` are the request, `encode` the value of an answer, `result` the value at
the other end, by the table of `xend_results`: an operation that is not in it does not exist. `error_document` and
`error_from` carry an exception across, class and all.

How a value looks: a named tuple is an object with its field names; a handle (16 bytes) is the field "uuid", as text;
an enum is its name in lower case; a set is a sorted list; a pair is a list of two. Unknown fields are ignored and
fields with a default may be missing, so that either end may be the newer one. Text keeps bytes that are no UTF-8 as
lone surrogates, which JSON can carry (as \\udcXX).
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Mapping

from purevirt import errors
from purevirt._typing import Any, NamedTuple, NoReturn
from purevirt.errors import InvalidConfig, RemoteProtocolError, XenError
from purevirt.formats import json_values as read
from purevirt.model import DomainRef

__all__ = [
    "STATUS",
    "Call",
    "call",
    "encode",
    "error_document",
    "error_from",
    "parse_call",
    "raise_error",
    "result",
    "status_of",
    "uuid_text",
]


_PLAIN = frozenset(
    {type(None), bool, int, float, str}
)  # by exact type: an enum may be an int or a str as well


def encode(value: object) -> object:
    """A value of the model as `json.dumps` takes it."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, enum.Enum):
        return value._name_.lower()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {
            ("uuid" if name == "handle" else name): item if type(item) in _PLAIN else encode(item)
            for name, item in zip(value._fields, value, strict=True)
        }
    if isinstance(value, bytes):
        return uuid_text(value)
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return [encode(item) for item in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return str(value)  # a UUID


def uuid_text(handle: bytes) -> str | None:
    """A handle as a UUID is written; None for an empty one, which stands for "not known"."""
    if not handle:
        return None
    text = handle.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def result(operation: str, value: object) -> Any:
    """The model's value of an answer. RemoteProtocolError if it is not what the operation answers."""
    # All of the model comes with it, and most changes have no value to read.
    from purevirt.formats.xend_results import RESULTS

    try:
        return RESULTS[operation](value)
    except read.Unfit as unfit:
        raise RemoteProtocolError(
            f"the Xen daemon's answer to {operation} makes no sense: {unfit}",
            operation=operation,
            channel="daemon",
        ) from None


# --- calls --------------------------------------------------------------------------------------------------


class Call(NamedTuple):
    """A request. `domain` is None where the operation concerns none; its handle is empty where the caller knows only
    an id or a name. `timeout` is in seconds; None: the operation's own."""

    operation: str
    domain: DomainRef | None
    arguments: dict[str, object]
    timeout: float | None


def call(
    operation: str, domain: DomainRef | None, arguments: Mapping[str, object], timeout: float | None
) -> dict[str, object]:
    """The JSON object of a request."""
    return {
        "operation": operation,
        "domain": None
        if domain is None
        else {"uuid": uuid_text(domain.handle), "domid": domain.domid, "name": domain.name},
        "arguments": {key: encode(value) for key, value in arguments.items()},
        "timeout": timeout,
    }


def parse_call(document: object) -> Call:
    """A request, read in the daemon. InvalidConfig says what is wrong with it.

    The arguments stay as JSON has them, but for "handle" (of lookup_uuid) and "groups" (of domain_stats), which
    become bytes and a frozenset; their types are the operation's business.
    """
    try:
        return _parse_call(document)
    except read.Unfit as unfit:
        raise InvalidConfig(f"the request makes no sense: {unfit}", channel="daemon") from None


def _parse_call(document: object) -> Call:
    from purevirt.formats.xend_results import RESULTS

    if not isinstance(document, dict):
        raise read.Unfit(f"{read.shown(document)} is not an object")
    operation = read.text(document.get("operation"))
    if operation not in RESULTS:
        raise read.Unfit(f"there is no operation {read.shown(operation)}")
    arguments = document.get("arguments") or {}
    if not isinstance(arguments, dict):
        raise read.Unfit(f"arguments: {read.shown(arguments)} is not an object")
    arguments = dict(arguments)
    if operation == "lookup_uuid":
        arguments["handle"] = read.handle(arguments.get("handle"))
    if operation == "domain_stats" and arguments.get("groups") is not None:
        arguments["groups"] = read.many(read.text, frozenset)(arguments["groups"])
    timeout = read.optional(read.number)(document.get("timeout"))
    if timeout is not None and not 0 <= timeout < 1e9:  # not for infinity and NaN either
        raise read.Unfit(f"timeout: {read.shown(timeout)} is no number of seconds")
    return Call(operation, _target(document.get("domain")), arguments, timeout)


def _target(value: object) -> DomainRef | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise read.Unfit(f"domain: {read.shown(value)} is not an object")
    try:
        uuid = value.get("uuid")
        ref = DomainRef(
            b"" if uuid is None else read.handle(uuid),
            read.optional(read.integer)(value.get("domid")),
            read.optional(read.text)(value.get("name")),
        )
    except read.Unfit as unfit:
        raise read.Unfit(f"domain: {unfit}") from None
    if not ref.handle and ref.domid is None and ref.name is None:
        raise read.Unfit("domain: it names none: uuid, domid and name are all null")
    return ref


# --- errors -------------------------------------------------------------------------------------------------

STATUS: dict[type[XenError], int] = {
    errors.InvalidConfig: 400,
    errors.ConfigError: 400,
    errors.ProtocolError: 400,
    errors.Denied: 403,
    errors.ReadOnly: 403,
    errors.NoSuchDomain: 404,
    errors.NoSuchDevice: 404,
    errors.WrongState: 409,
    errors.Conflict: 409,
    errors.Cancelled: 409,
    errors.DomainExists: 409,
    errors.DomainAmbiguous: 409,
    errors.Unsupported: 501,
    errors.ChannelUnavailable: 503,
    errors.Closed: 503,
    errors.ConnectError: 503,
    errors.Timeout: 504,
    errors.NoMemory: 507,
}
"""The HTTP status of an error, by its class or the nearest above; 500 for any other."""


def status_of(error: XenError) -> int:
    """The HTTP status that goes with an error."""
    return next((STATUS[base] for base in type(error).__mro__ if base in STATUS), 500)


def error_document(error: XenError) -> dict[str, object]:
    """The JSON object of an answer that is an error."""
    fields = error.as_dict()
    if isinstance(error, InvalidConfig) and error.problems:
        detail = fields["detail"]
        fields["detail"] = {**(detail if isinstance(detail, dict) else {}), "problems": list(error.problems)}
    return {"error": fields}


def error_from(document: object) -> XenError:
    """The exception in such an answer: of the same class, or, of a class unknown here, an OperationError.

    RemoteProtocolError if there is none in it.
    """
    fields = document.get("error") if isinstance(document, dict) else None
    if not isinstance(fields, dict) or not isinstance(fields.get("message"), str):
        return RemoteProtocolError(
            "the Xen daemon answered an error that cannot be read",
            channel="daemon",
            detail=read.shown(document),
        )
    kind = fields.get("kind")
    found = getattr(errors, kind, None) if isinstance(kind, str) and kind in errors.__all__ else None
    detail = fields.get("detail")
    extra = detail if isinstance(detail, dict) else {}
    number = extra.get("errno")
    named: dict[str, Any] = {
        "operation": _text_or_none(fields.get("operation")),
        "domain": _text_or_none(fields.get("domain")),
        "channel": _text_or_none(fields.get("channel")),
        "path": _text_or_none(extra.get("path")),
        "errno": _errno(number),
        "detail": _text_or_none(extra.get("text")),
    }
    if found is InvalidConfig and isinstance(extra.get("problems"), list):
        named["problems"] = tuple(str(problem) for problem in extra["problems"])
    made: XenError = (found or errors.OperationError)(fields["message"], **named)
    return made


def raise_error(document: object) -> NoReturn:
    """Raise the exception in an answer that is an error."""
    raise error_from(document)


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _errno(name: object) -> int | None:
    if not isinstance(name, str):
        return None
    if name.isascii() and name.isdigit() and len(name) < 6:
        return int(name)
    number = getattr(errno, name, None) if name.startswith("E") else None
    return number if isinstance(number, int) else None
