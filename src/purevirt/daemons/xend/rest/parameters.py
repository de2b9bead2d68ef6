"""Where a route's arguments come from, and how text of a path or a query becomes what an operation reads.

A query says `true` and `false`, numbers as JSON does, and lists with commas. What does not fit is left as it is: the
operation's own reader then says what it should have been.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple
from uuid import UUID

from purevirt.daemons.xend import arguments as args
from purevirt.daemons.xend.arguments import Argument
from purevirt.daemons.xend.operations import OPERATIONS
from purevirt.daemons.xend.rest.routes import Route
from purevirt.errors import InvalidConfig
from purevirt.model import DomainRef

__all__ = ["EXTRA", "Parameter", "domain_of", "from_text", "names_in", "parameters"]

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")

Place = Literal["path", "query", "body"]


class Parameter(NamedTuple):
    """An argument of a route's operation, and where it comes from."""

    name: str
    place: Place
    argument: Argument


EXTRA: Mapping[str, Mapping[str, Argument]] = {
    "domains": {"name": Argument(args.text, None), "active": Argument(args.flag, False)},
}
"""What routes with a function of their own take beside the operation's arguments."""

_HEADERS: Mapping[str, frozenset[str]] = {
    "put": frozenset({"revision"}),
    "new": frozenset({"revision"}),
    "delete": frozenset({"revision"}),
    "events": frozenset({"wait"}),
}
"""Arguments that the face gives itself."""


def names_in(path: str) -> tuple[str, ...]:
    """The names in braces."""
    return tuple(re.findall(r"\{(\w+)\}", path))


def parameters(route: Route) -> tuple[Parameter, ...]:
    """All of a route's but `{uuid}`."""
    known = {**(OPERATIONS[route.operation].arguments if route.operation else {}), **EXTRA.get(route.how, {})}
    named = names_in(route.path)
    rest: Place = "query" if route.method in ("GET", "DELETE") else "body"
    given = _HEADERS.get(route.how, frozenset())
    return tuple(
        Parameter(name, "path" if name in named else rest, argument)
        for name, argument in known.items()
        if name not in given
    )


def domain_of(text: str) -> DomainRef:
    """The domain of a path."""
    if _UUID.fullmatch(text) is None:
        raise InvalidConfig(f"{text[:60]!r} is no UUID", problems=("uuid: must be a UUID",), channel="daemon")
    return DomainRef(UUID(text).bytes, None, None)


def _flag(text: str) -> object:
    return {"true": True, "false": False}.get(text, text)


def _integer(text: str) -> object:
    return int(text) if _INTEGER.fullmatch(text) else text


def _number(text: str) -> object:
    return float(text) if _NUMBER.fullmatch(text) else text


def _list(text: str) -> object:
    return text.split(",")


_FROM_TEXT: dict[Callable[[Any], object], Callable[[str], object]] = {
    args.flag: _flag,
    args.integer: _integer,
    args.seconds: _number,
    args.groups: _list,
}


def from_text(argument: Argument, text: str) -> object:
    """Text of a path or a query, as the argument's reader takes it."""
    convert = _FROM_TEXT.get(argument.read)
    return text if convert is None else convert(text)
