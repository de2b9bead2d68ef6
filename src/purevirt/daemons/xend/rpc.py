"""The RPC of the library: `POST /purevirt/v1/call`, JSON in and JSON out.

    {"operation": "suspend", "domain": {"domid": 3, "uuid": "6695…", "name": "web"}, "arguments": {}, "timeout": 30.0}
    200 {"result": null}
    409 {"error": {"kind": "WrongState", "message": …, "operation": …, "domain": …, "channel": …, "detail": …}}

How the values look is in `formats.xend_json`, which both ends use. Whose call it is, the server knows from the
connection: nothing in the request can claim it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Coroutine

from purevirt.channels.xend import CALL_PATH
from purevirt.daemons.xend.http import Request, Response
from purevirt.daemons.xend.named_calls import NamedCalls
from purevirt.daemons.xend.supervisor import Supervisor
from purevirt.errors import Closed, InvalidConfig, XenError
from purevirt.formats import xend_json

__all__ = ["LONGEST_BODY", "Rpc"]

LONGEST_BODY = 1 << 18
"""Bytes of a request, less than the server takes of anybody; the longest that makes sense is a list of CPUs."""

HANG_UP_POLL = 1.0
"""How often it is looked whether somebody who waits for news is still there, in seconds."""

_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    507: "Insufficient Storage",
}

_log = logging.getLogger(__name__)

_encode = json.JSONEncoder(separators=(",", ":")).encode  # made once: json.dumps makes one each time


class Rpc:
    """Answers calls, through the supervisor."""

    def __init__(self, supervisor: Supervisor | NamedCalls) -> None:
        self._supervisor = supervisor

    async def handle(self, request: Request) -> Response:
        """One call. Whatever it is that goes wrong becomes an answer."""
        try:
            wrong = _misaddressed(request)
            if wrong is not None:
                return wrong
            call = xend_json.parse_call(_parse(request.body))
            answer = self._supervisor.call(
                request.caller,
                call.operation,
                call.domain,
                call.arguments,
                call.timeout,
                detached=False,  # the server cancels no request because its client is gone
            )
            value = await (_while_wanted(answer, request) if call.operation in ("journal", "job") else answer)
            return _NOTHING if value is None else _answer(200, {"result": xend_json.encode(value)})
        except XenError as error:
            return _answer(xend_json.status_of(error), xend_json.error_document(error))
        except Exception:
            _log.exception("a call could not be served")
            return _failure(500, "the Xen daemon met a fault of its own; its log says which")


async def _while_wanted(answer: Coroutine[object, object, object], request: Request) -> object:
    """The answer of what may wait for minutes, and changes nothing: given up when nobody is there to be told."""
    work = asyncio.ensure_future(answer)
    try:
        while not work.done():
            await asyncio.wait((work,), timeout=HANG_UP_POLL)
            if not work.done() and request.hung_up():
                raise Closed("the caller has gone", channel="daemon")
        return work.result()
    finally:
        work.cancel()


def _misaddressed(request: Request) -> Response | None:
    if request.method != "POST":
        return _failure(405, f"{CALL_PATH} takes POST, not {request.method[:20]}")
    if len(request.body) > LONGEST_BODY:
        return _failure(413, f"a call has at most {LONGEST_BODY} bytes")
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        return _failure(415, "a call is application/json")
    return None


def _parse(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidConfig(f"the request is no JSON: {error}", channel="daemon") from None


def _failure(status: int, message: str) -> Response:
    kind = XenError if status == 500 else InvalidConfig
    return _answer(status, xend_json.error_document(kind(message, channel="daemon")))


def _answer(status: int, document: object) -> Response:
    body = _encode(document).encode("ascii")
    return Response(status, _REASONS.get(status, "Error"), (("Content-Type", "application/json"),), body)


_NOTHING = _answer(200, {"result": None})  # what most changes answer
