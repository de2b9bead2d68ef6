"""The journal as server-sent events: whoever was cut off goes on from the number that he saw last.

    retry: 2000

    id: 17
    data: {"seq":17,"time":…,"kind":"started","domid":3,"uuid":…,"name":"web",…}

    : still here

`id` is the journal's sequence number. `Last-Event-ID`, which browsers send by themselves, counts before `?since=`;
without either the stream begins with the next event. What is no longer kept is told by a "lost" event, as in the
journal. A stream ends with the daemon, or with its reader.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from purevirt.daemons.xend.contract import Calls
from purevirt.daemons.xend.journal import Journal
from purevirt.daemons.xend.rest.requests import caller_of, disconnected
from purevirt.errors import InvalidConfig, XenError
from purevirt.formats import xend_json
from purevirt.model import Caller

__all__ = ["KEEP_ALIVE", "events"]

KEEP_ALIVE = 15.0
"""After how many seconds without an event a comment is sent."""

_NUMBER = re.compile(r"[0-9]{1,18}")


async def events(
    calls: Calls, journal: Journal, closing: asyncio.Event, request: Request, values: dict[str, object]
) -> Response:
    """The stream, once it is clear that the caller may have it."""
    since = values.get("since")
    last = request.headers.get("last-event-id")
    if last is not None:
        if _NUMBER.fullmatch(last) is None:
            raise InvalidConfig(f"Last-Event-ID: {last[:40]!r} is no number of an event", channel="daemon")
        since = int(last)
    if since is None:
        since = journal.last
    first = await calls.call(caller_of(request), "journal", None, {"since": since, "wait": 0.0}, None)
    return _Stream(calls, closing, caller_of(request), since, first)


class _Stream(Response):
    """Sends events for as long as there is somebody to read them."""

    media_type = "text/event-stream"

    def __init__(self, calls: Calls, closing: asyncio.Event, caller: Caller, since: Any, first: Any) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._calls = calls
        self._closing = closing
        self._caller = caller
        self._since = since
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            async with asyncio.TaskGroup() as group:
                ends = [
                    group.create_task(disconnected(Request(scope, receive))),
                    group.create_task(self._wait_for_the_end()),
                ]
                try:
                    await self._send_all(send, ends)
                finally:
                    for task in ends:
                        task.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _wait_for_the_end(self) -> None:
        await self._closing.wait()

    async def _send_all(self, send: Send, ends: list[asyncio.Task[None]]) -> None:
        await _send(send, b"retry: 2000\n\n" + self._text(self._first))
        while not any(task.done() for task in ends):
            news = asyncio.create_task(self._next())
            try:
                await asyncio.wait((news, *ends), return_when=asyncio.FIRST_COMPLETED)
                if not news.done() or self._closing.is_set():
                    return
                found = news.result()
            except XenError:
                return  # the reader comes again, and is told what is wrong
            finally:
                news.cancel()
            await _send(send, self._text(found) or b": still here\n\n")

    async def _next(self) -> Any:
        values = {"since": self._since, "wait": KEEP_ALIVE}
        return await self._calls.call(self._caller, "journal", None, values, None)

    def _text(self, found: Iterable[Any]) -> bytes:
        lines = []
        for event in found:
            self._since = event.seq
            data = json.dumps(xend_json.encode(event), separators=(",", ":"))
            lines.append(f"id: {event.seq}\ndata: {data}\n\n")
        return "".join(lines).encode("ascii")


async def _send(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})
