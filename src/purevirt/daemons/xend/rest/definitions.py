"""Definitions: who changes one says which revision he has seen, so that the second of two editors is told.

A text's revision is its entity tag. `If-Match: "4"` changes revision 4 and no other, `If-None-Match: *` defines only
what is not defined yet; an existing definition is not changed without either (428). 412: it has changed meanwhile.
"""

from __future__ import annotations

import re
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from purevirt.daemons.xend.contract import Calls
from purevirt.daemons.xend.operations import OPERATIONS
from purevirt.daemons.xend.rest import answers
from purevirt.daemons.xend.rest.answers import Refused
from purevirt.daemons.xend.rest.requests import caller_of
from purevirt.daemons.xend.rest.routes import PREFIX
from purevirt.errors import Conflict, DomainExists, InvalidConfig, NoSuchDomain
from purevirt.formats import conversion
from purevirt.model import Definition, DefinitionText, DomainRef

__all__ = ["delete", "new", "put", "text"]

_TAG = re.compile(r'(W/)?"([^"]*)"')


def _tag(revision: int) -> dict[str, str]:
    return {"ETag": f'"{revision}"'}


def _matches(header: str, revision: int, *, weak: bool) -> bool:
    """Whether a header of tags names the revision; a weak tag only where weak ones count."""
    if header.strip() == "*":
        return True
    return any(found[2] == str(revision) and (weak or not found[1]) for found in _TAG.finditer(header))


async def text(calls: Calls, request: Request, ref: DomainRef, values: dict[str, object]) -> Response:
    """GET: 304 if the caller has this revision already."""
    found = await calls.call(caller_of(request), "definition_text", ref, values, None)
    assert isinstance(found, DefinitionText)
    seen = request.headers.get("if-none-match")
    if seen is not None and _matches(seen, found.revision, weak=True):
        return Response(status_code=304, headers=_tag(found.revision))
    return answers.value(200, found, _tag(found.revision))


async def new(calls: Calls, request: Request, values: dict[str, object]) -> Response:
    """POST: what is defined already stays as it is."""
    try:
        found = await calls.call(caller_of(request), "define", None, {**values, "revision": 0}, None)
    except Conflict as error:
        raise DomainExists(
            f"define: domain {error.domain} is defined already: change its text",
            operation="define",
            domain=error.domain,
        ) from None
    return _defined(201, found)


async def put(calls: Calls, request: Request, ref: DomainRef, values: dict[str, object]) -> Response:
    """PUT: a definition with this UUID, new or in place of a revision."""
    revision = await _expected(calls, request, ref)
    if caller_of(request).role >= OPERATIONS["define"].role and isinstance(values.get("text"), str):
        values = _for(ref, values)
    try:
        found = await calls.call(
            caller_of(request), "define", None, {**values, "revision": revision or 0}, None
        )
    except Conflict as error:
        raise Refused(412, error) from None
    return _defined(201 if revision is None else 200, found)


async def delete(calls: Calls, request: Request, ref: DomainRef, values: dict[str, object]) -> Response:
    """DELETE: with If-Match only that revision."""
    revision = await _expected(calls, request, ref) if "if-match" in request.headers else None
    try:
        await calls.call(caller_of(request), "undefine", ref, {**values, "revision": revision}, None)
    except Conflict as error:
        raise Refused(412, error) from None
    return answers.nothing()


def _defined(status: int, found: object) -> Response:
    assert isinstance(found, Definition)
    headers = _tag(found.revision)
    if status == 201:
        headers["Location"] = f"{PREFIX}/definitions/{found.uuid}/text"
    return answers.value(status, found, headers)


async def _expected(calls: Calls, request: Request, ref: DomainRef) -> int | None:
    """The revision that the caller means to change; None: there is to be none. Refused if that is not so now."""
    match, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
    if none_match is not None and (match is not None or none_match.strip() != "*"):
        raise InvalidConfig(
            "a change takes If-Match with the revision, or If-None-Match: *", channel="daemon"
        )
    try:
        now = await calls.call(caller_of(request), "definition", ref, {}, None)
    except NoSuchDomain as error:
        if match is None:
            return None
        raise Refused(412, Conflict(f"it is not defined: {error}", channel="daemon")) from None
    assert isinstance(now, Definition)
    name, revision = now.name, now.revision
    if match is not None and _matches(match, revision, weak=False):
        return revision
    if match is None and none_match is None:
        raise Refused(
            428, Conflict(f"domain {name} is defined: name the revision with If-Match", domain=name)
        )
    wanted = f"not {match[:40]}" if match is not None else "and was to be none"
    message = f"the definition of {name} has changed meanwhile: it is of revision {revision}, {wanted}"
    raise Refused(412, Conflict(message, domain=name, channel="daemon"))


def _for(ref: DomainRef, values: dict[str, object]) -> dict[str, object]:
    """With the text's UUID seen to be the path's, or put there if it has none."""
    source, format_, wanted = str(values["text"]), values.get("format"), UUID(bytes=ref.handle)
    if format_ is not None and not isinstance(format_, str):
        return values  # which is refused as every argument of a wrong type is
    format_ = format_ or conversion.recognise(source, file="description")
    document = conversion.parse(source, format_, file="description")
    found = document.description.uuid
    if found is None and conversion.FORMATS[format_][1]:
        source = document.updated(document.description._replace(uuid=wanted)).text()
        return {**values, "text": source, "format": format_}
    if found != wanted:
        said = "names no UUID" if found is None else f"is of domain {found}"
        message = f"uuid: the description {said}, and the path of {wanted}"
        raise InvalidConfig(f"define: {message}", problems=(message,), operation="define")
    return values
