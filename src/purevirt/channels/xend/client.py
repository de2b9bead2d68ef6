"""The Xen daemon's client: JSON calls to purevirt's own daemon.

What is in the objects is `formats.xend_json`'s business. The tree that every xend has served is `classic`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from purevirt._typing import TYPE_CHECKING
from purevirt.channels.xend import CALL_PATH
from purevirt.channels.xend.transport import CHANNEL, WHAT, Request, Transport, media_type
from purevirt.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from purevirt.channels.xend.classic import Fields, Reply

__all__ = ["GRACE", "XendClient"]

GRACE = 1.0
"""How many seconds longer than the call's own time limit its answer is waited for: the daemon keeps the limit as
well, and can say better than we what did not happen in time."""

_encode = json.JSONEncoder(allow_nan=False).encode  # made once: json.dumps makes one each time
_JSON = (("Content-Type", "application/json"), ("Accept", "application/json"))


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
            body = _encode(document).encode("ascii")
        except (TypeError, ValueError) as error:
            raise LocalProtocolError(f"JSON cannot carry that call: {error}", channel=CHANNEL) from None
        request = Request("POST", CALL_PATH, _JSON, body)
        limit = None if timeout is None else timeout + (GRACE if grace is None else grace)
        response = await self._transport.exchange(request, limit)
        if media_type(response) != "application/json":
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

    async def classic(
        self,
        method: str,
        path: str,
        *,
        query: Fields = (),
        form: Fields | None = None,
        timeout: float | None,
    ) -> Reply:
        """One request to the tree of S-expressions below /xend: see `classic.ask`."""
        from purevirt.channels.xend import classic

        return await classic.ask(self._transport, method, path, query, form, timeout)
