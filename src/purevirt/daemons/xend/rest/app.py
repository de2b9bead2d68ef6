"""The table of routes as a Starlette application.

Every request passes `Face.__call__`: it gets an id, a date and, where the connection asks for that, a look at its Host;
whatever goes wrong below becomes an answer there.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable
from email.utils import formatdate
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Path
from starlette.types import Message, Receive, Scope, Send

from purevirt.daemons.xend.arguments import read_arguments
from purevirt.daemons.xend.contract import Calls
from purevirt.daemons.xend.journal import Journal
from purevirt.daemons.xend.logs import about
from purevirt.daemons.xend.rest import answers, definitions
from purevirt.daemons.xend.rest.answers import Refused
from purevirt.daemons.xend.rest.events import events
from purevirt.daemons.xend.rest.openapi import document
from purevirt.daemons.xend.rest.parameters import EXTRA, Parameter, parameters
from purevirt.daemons.xend.rest.requests import arguments_of, caller_of, disconnected, target_of
from purevirt.daemons.xend.rest.routes import PREFIX, ROUTES, Route
from purevirt.drivers.xen.inactive import info_of
from purevirt.errors import Closed, XenError
from purevirt.model import DomainInfo, DomainRef, Job

__all__ = ["Face"]

_log = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Face:
    """An ASGI application; `close` ends the streams of events."""

    def __init__(self, calls: Calls, journal: Journal) -> None:
        self._calls = calls
        self._journal = journal
        self._closing = asyncio.Event()
        self._document: dict[str, object] | None = None
        paths: dict[str, dict[str, tuple[Route, tuple[Parameter, ...]]]] = {}
        for route in ROUTES:
            paths.setdefault(route.path, {})[route.method] = route, parameters(route)
        self._app = Starlette(
            routes=[
                Path(PREFIX + path, self._endpoint(methods), methods=list(methods))
                for path, methods in paths.items()
            ],
            exception_handlers={HTTPException: _not_routed},
        )
        self._app.router.redirect_slashes = False

    def close(self) -> None:
        """No stream goes on from now."""
        self._closing.set()

    # --- around every request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        number = given if _ID.fullmatch(given) else uuid.uuid4().hex
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = number
                headers["Date"] = formatdate(usegmt=True)
            await send(message)

        with about(request=number):
            try:
                hosts = scope["state"].get("hosts")
                if hosts is not None and _host(scope) not in hosts:
                    wrong = Refused(421, f"this is no host that is served here: {_host(scope)[:80]!r}")
                    await answers.error(wrong)(scope, receive, answer)
                    return
                await self._app(scope, receive, answer)
            except Exception:
                _log.exception("a request could not be served")
                if started:
                    raise
                await answers.fault()(scope, receive, answer)

    def _endpoint(self, methods: dict[str, tuple[Route, tuple[Parameter, ...]]]) -> Any:
        async def endpoint(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            try:
                return await self._serve(request, *methods[method])
            except (XenError, Refused) as wrong:
                return answers.error(wrong)

        return endpoint

    # --- one route

    async def _serve(self, request: Request, route: Route, known: tuple[Parameter, ...]) -> Response:
        answers.accepts(request, "text/event-stream" if route.how == "events" else "application/json")
        ref = target_of(request)
        values = await arguments_of(request, known)
        match route.how:
            case "index":
                return answers.value(200, _index())
            case "document":
                self._document = self._document or document()
                return answers.value(200, self._document)
            case "domains":
                return answers.value(200, await self._domains(request, values))
            case "new":
                return await definitions.new(self._calls, request, values)
            case "events":
                return await events(self._calls, self._journal, self._closing, request, values)
        if route.how in ("text", "put", "delete"):
            assert ref is not None
            serve = {"text": definitions.text, "put": definitions.put, "delete": definitions.delete}[
                route.how
            ]
            return await serve(self._calls, request, ref, values)
        found = self._call(request, route.operation, ref, values)
        value = await (_while_wanted(found, request) if route.waits else found)
        if route.how == "job":
            assert isinstance(value, Job)
            return answers.value(202, value, {"Location": f"{PREFIX}/jobs/{value.id}"})
        return answers.nothing() if route.answers is None else answers.value(200, value)

    async def _call(
        self, request: Request, operation: str, ref: DomainRef | None, values: dict[str, object]
    ) -> object:
        return await self._calls.call(caller_of(request), operation, ref, values, None)

    async def _domains(self, request: Request, values: dict[str, object]) -> list[DomainInfo]:
        """Those that run, and those that are defined, by name if one is given."""
        read = read_arguments("list_domains", EXTRA["domains"], values)
        name, active = read["name"], read["active"]
        found: Any = await self._call(request, "list_domains", None, {})
        if not active:
            running = {info.handle for info in found}
            defined: Any = await self._call(request, "list_definitions", None, {})
            found = [*found, *(info_of(one) for one in defined if one.handle not in running)]
        return [info for info in found if name is None or info.name == name]


async def _while_wanted(answer: Awaitable[object], request: Request) -> object:
    """The answer of what may wait for minutes, and changes nothing: given up when nobody is there to be told."""
    work, gone = asyncio.ensure_future(answer), asyncio.create_task(disconnected(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Closed("the caller has gone", channel="daemon")
        return work.result()
    finally:
        work.cancel()
        gone.cancel()


def _host(scope: Scope) -> str:
    """The host that the caller believes to speak to, without a port."""
    named = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
    return re.sub(r":[0-9]*$", "", named)


def _index() -> dict[str, str]:
    return {
        route.path: PREFIX + route.path for route in ROUTES if route.method == "GET" and "{" not in route.path
    }


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:100]
    if error.status_code == 405:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        return answers.error(
            Refused(405, f"{path} takes {allowed}, not {request.method[:20]}", Allow=allowed)
        )
    return answers.error(Refused(error.status_code, f"there is no {path}; {PREFIX}/ says what there is"))
