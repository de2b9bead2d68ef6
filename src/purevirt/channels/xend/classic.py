"""The classic tree: what every xend has served over HTTP, in S-expressions.

xend hides errors: an operation that it answers late has its status sent before it fails, so `(xend.err 'text')` can
come under 200, 201 and 202 as well as under 500. Here it is found wherever it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from purevirt import errors
from purevirt._typing import NamedTuple
from purevirt.channels.xend.transport import CHANNEL, WHAT, Request, Response, Transport, media_type
from purevirt.wire import sxp

__all__ = ["Fields", "Reply", "ask"]

_SXP = "application/sxp"

Fields = Mapping[str, str] | Sequence[tuple[str, str]]


class Reply(NamedTuple):
    """What the classic tree answered: its S-expressions, or text where it serves text; `location` as after
    creation."""

    status: int
    reason: str
    expressions: list[sxp.Node]
    text: str | None
    location: str | None


async def ask(
    transport: Transport, method: str, path: str, query: Fields, form: Fields | None, timeout: float | None
) -> Reply:
    """One request to the tree below /xend, as its clients have made them since Xen 3.

    `query` goes into the address, `form` into the body of a POST (`{"op": "pause"}`). NoSuchDomain: 404 below
    /xend/domain. Unsupported: there is no such resource or operation. Denied: 401 or 403. OperationError:
    whatever else failed, in xend's own words.
    """
    fields = urlencode(query)
    target = quote(path, safe="/:@~+,") + (f"?{fields}" if fields else "")
    headers = [("Accept", _SXP), ("User-Agent", "purevirt")]
    body = b""
    if form is not None:
        headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        body = urlencode(form).encode("ascii")
    response = await transport.exchange(Request(method, target, tuple(headers), body), timeout)
    expressions: list[sxp.Node] = []
    text = None
    if media_type(response) == _SXP:
        expressions = sxp.parse(response.body)
        if len(expressions) > 1 and expressions[-1] == "":
            expressions.pop()  # real xends end some answers with a stray ''
    else:
        text = response.body.decode("utf-8", "surrogateescape")
    if response.status >= 400 or any(sxp.head(found) == "xend.err" for found in expressions):
        raise _failed(method, path, response, expressions, text)
    return Reply(response.status, response.reason, expressions, text, response.headers.get("location"))


def _failed(
    method: str, path: str, response: Response, expressions: list[sxp.Node], text: str | None
) -> errors.XenError:
    """What an error of the classic tree means."""
    words = next(
        (
            str(found[1])
            for found in expressions
            if isinstance(found, list) and len(found) > 1 and found[0] == "xend.err"
        ),
        (text or "").strip() or response.reason,
    )
    detail = f"{method} {path}: {response.status} {response.reason}"
    if response.status == 404 and path.startswith("/xend/domain/"):
        name = path.split("/")[3]
        return errors.NoSuchDomain(
            f"{WHAT} knows no domain {name!r}", domain=name, channel=CHANNEL, detail=detail
        )
    if response.status in (404, 501):
        return errors.Unsupported(f"{WHAT} cannot do that: {words}", channel=CHANNEL, detail=detail)
    if response.status in (401, 403):
        return errors.Denied(f"{WHAT} refused: {words}", channel=CHANNEL, detail=detail)
    return errors.OperationError(f"{WHAT}: {words}", channel=CHANNEL, detail=detail)
