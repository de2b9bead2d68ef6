"""A request, read: whose it is, the domain and the arguments that it names, and whether its sender still waits."""

from __future__ import annotations

import asyncio
import json

from starlette.requests import ClientDisconnect, Request

from purevirt.daemons.xend.rest.answers import Refused
from purevirt.daemons.xend.rest.parameters import Parameter, domain_of, from_text
from purevirt.errors import Closed, InvalidConfig
from purevirt.model import Caller, DomainRef

__all__ = ["LONGEST_BODY", "arguments_of", "caller_of", "disconnected", "target_of"]

LONGEST_BODY = 1 << 19
"""Bytes of a request's body: the longest text, with every letter of it escaped."""

BODY_TIMEOUT = 30.0
"""Seconds for a request's body."""


def caller_of(request: Request) -> Caller:
    """Who is at the other end: the connection knows, and nothing in the request can say otherwise."""
    found: Caller = request.scope["state"]["caller"]
    return found


def target_of(request: Request) -> DomainRef | None:
    """The domain that the path names."""
    text = request.path_params.get("uuid")
    return None if text is None else domain_of(text)


async def arguments_of(request: Request, parameters: tuple[Parameter, ...]) -> dict[str, object]:
    """The arguments, each from its place. InvalidConfig names what belongs nowhere."""
    found: dict[str, object] = {}
    body: dict[str, object] = {}
    if request.method in ("POST", "PUT", "PATCH"):
        body = await _body(request)
    query: dict[str, str] = {}
    for name, text in request.query_params.multi_items():
        if name in query:
            raise _wrong(f"{name[:40]} is given twice")
        query[name] = text
    for parameter in parameters:
        name, place, argument = parameter
        if place == "path":
            found[name] = from_text(argument, request.path_params[name])
        elif place == "query" and name in query:
            found[name] = from_text(argument, query.pop(name))
        elif place == "body" and name in body:
            found[name] = body.pop(name)
    for place, rest in (("query", query), ("body", body)):
        if rest:
            raise _wrong(
                f"the {place} has {', '.join(name[:40] for name in list(rest)[:5])}, which it cannot have"
            )
    return found


def _wrong(message: str) -> InvalidConfig:
    return InvalidConfig(message, problems=(message,), channel="daemon")


async def _body(request: Request) -> dict[str, object]:
    """The JSON object in the body; nothing is an empty one."""
    length = request.headers.get("content-length", "0")
    if len(length) > 12 or int(length) > LONGEST_BODY:
        raise _too_long()
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                data += chunk
                if len(data) > LONGEST_BODY:
                    raise _too_long()
    except TimeoutError:
        raise Refused(408, f"the body did not come within {BODY_TIMEOUT:g} s", Connection="close") from None
    except ClientDisconnect:
        raise Closed("the caller has gone", channel="daemon") from None
    if not data:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, f"a body is application/json, not {kind[:60] or 'of no type'}")
    try:
        document = json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise _wrong(f"the body is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise _wrong("the body is no JSON object")
    return document


def _too_long() -> Refused:
    return Refused(413, f"a body has at most {LONGEST_BODY} bytes", Connection="close")


async def disconnected(request: Request) -> None:
    """Return when the sender has gone; the body was read before, or there is none."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
