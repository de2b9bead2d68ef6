"""What the REST interface says back: JSON, and one shape for everything that went wrong.

    {"error": {"kind": "WrongState", "message": …, "operation": …, "domain": …, "channel": …, "detail": …}}

The same as the RPC's (`formats.xend_json`), with the statuses of HTTP where REST has one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from purevirt.errors import InvalidConfig, XenError
from purevirt.formats import xend_json

__all__ = ["Refused", "accepts", "error", "fault", "nothing", "value"]

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Refused(Exception):
    """An error whose status is not that of its class."""

    def __init__(self, status: int, error: XenError | str, **headers: str) -> None:
        super().__init__(status, error)
        self.status = status
        self.error = InvalidConfig(error, channel="daemon") if isinstance(error, str) else error
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}


def value(status: int, found: object, headers: Mapping[str, str] | None = None) -> Response:
    """A value of the model."""
    return _json(status, xend_json.encode(found), headers)


def nothing(headers: Mapping[str, str] | None = None) -> Response:
    """It is done, and there is nothing to tell."""
    return Response(status_code=204, headers=headers)


def error(wrong: XenError | Refused) -> Response:
    """What went wrong."""
    if isinstance(wrong, Refused):
        return _json(wrong.status, xend_json.error_document(wrong.error), wrong.headers)
    return _json(xend_json.status_of(wrong), xend_json.error_document(wrong), None)


def fault() -> Response:
    """The daemon's own fault: its log says more."""
    wrong = XenError("the Xen daemon met a fault of its own; its log says which", channel="daemon")
    return _json(500, xend_json.error_document(wrong), None)


def _json(status: int, document: object, headers: Mapping[str, str] | None) -> Response:
    body = _encode(document).encode("ascii")
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")


def accepts(request: Request, kind: str) -> None:
    """Refused, with 406, if the caller does not take answers of this kind."""
    given = request.headers.getlist("accept")
    if not given:
        return
    wanted = {"*/*", kind, kind.partition("/")[0] + "/*"}
    for item in ",".join(given).split(","):
        name, *options = (part.strip().lower() for part in item.split(";"))
        if name in wanted and not any(option.replace(" ", "") in ("q=0", "q=0.0") for option in options):
            return
    raise Refused(406, f"the answer is {kind}, which Accept leaves out")
