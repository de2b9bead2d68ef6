"""The Xen daemon's client: JSON calls to purevirt's own daemon, and the classic tree that every xend has served.

`call` carries JSON objects; what is in them is `formats.xend_json`'s business. `classic` speaks S-expressions, and
finds the errors that xend hides: an operation that it answers late has its status sent before it fails, so `(xend.err
'text')` can come under 200, 201 and 202 as well as under 500.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from purevirt import errors
from purevirt._typing import TYPE_CHECKING, NamedTuple
from purevirt.channels.xend.transport import CHANNEL, WHAT, Request, Response, Transport
from purevirt.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from purevirt.wire import sxp

__all__ = ["CALL_PATH", "GRACE", "Reply", "XendClient"]

CALL_PATH = "/purevirt/v1/call"

GRACE = 1.0
"""How many seconds longer than the call's own time limit its answer is waited for: the daemon keeps the limit as
well, and can say better than we what did not happen in time."""

_JSON = (("Content-Type", "application/json"), ("Accept", "application/json"))
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


class XendClient:
    """Calls to one Xen daemon."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def close(self) -> None:
        """Close its connections. Whoever waits for an answer gets Closed."""
        await self._transport.close()

    # --- JSON

    async def call(
        self, document: Mapping[str, object], timeout: float | None, *, grace: float | None = None
    ) -> dict[str, object]:
        """One call: a JSON object there, a JSON object back, which holds "result" or "error".

        `timeout` is in seconds; None waits for ever; `grace` stands in for GRACE. ConnectError, Timeout, Closed as
        the transport raises them; RemoteProtocolError for an answer that is no such object.
        """
        try:
            body = json.dumps(document, allow_nan=False).encode("ascii")
        except (TypeError, ValueError) as error:
            raise LocalProtocolError(f"JSON cannot carry that call: {error}", channel=CHANNEL) from None
        request = Request("POST", CALL_PATH, _JSON, body)
        limit = None if timeout is None else timeout + (GRACE if grace is None else grace)
        response = await self._transport.exchange(request, limit)
        if _media_type(response) != "application/json":
            raise RemoteProtocolError(
                f"{WHAT} answers {response.status} {response.reason} to {CALL_PATH}: it is not purevirt's, or an "
                "older one",
                channel=CHANNEL,
            )
        try:
            answer = json.loads(response.body)
        except (ValueError, RecursionError) as error:
            raise RemoteProtocolError(f"{WHAT}'s answer is not JSON: {error}", channel=CHANNEL) from None
        if not isinstance(answer, dict) or ("result" in answer) == ("error" in answer):
            raise RemoteProtocolError(f"{WHAT}'s answer is neither a result nor an error", channel=CHANNEL)
        return answer

    # --- the classic tree

    async def classic(
        self,
        method: str,
        path: str,
        *,
        query: Fields = (),
        form: Fields | None = None,
        timeout: float | None,
    ) -> Reply:
        """One request to the tree below /xend, as its clients have made them since Xen 3.

        `query` goes into the address, `form` into the body of a POST (`{"op": "pause"}`). NoSuchDomain: 404 below
        /xend/domain. Unsupported: there is no such resource or operation. Denied: 401 or 403. OperationError:
        whatever else failed, in xend's own words.
        """
        from urllib.parse import quote, urlencode

        from purevirt.wire import sxp

        fields = urlencode(query)
        target = quote(path, safe="/:@~+,") + (f"?{fields}" if fields else "")
        headers = [("Accept", _SXP), ("User-Agent", "purevirt")]
        body = b""
        if form is not None:
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
            body = urlencode(form).encode("ascii")
        response = await self._transport.exchange(Request(method, target, tuple(headers), body), timeout)
        expressions: list[sxp.Node] = []
        text = None
        if _media_type(response) == _SXP:
            expressions = sxp.parse(response.body)
            if len(expressions) > 1 and expressions[-1] == "":
                expressions.pop()  # real xends end some answers with a stray ''
        else:
            text = response.body.decode("utf-8", "surrogateescape")
        if response.status >= 400 or any(sxp.head(found) == "xend.err" for found in expressions):
            raise _failed(method, path, response, expressions, text)
        return Reply(response.status, response.reason, expressions, text, response.headers.get("location"))


def _media_type(response: Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


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
