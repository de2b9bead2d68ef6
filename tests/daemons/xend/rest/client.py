"""REST over its real socket: a simulated host, a daemon in the test's own event loop, and httpx."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import httpx

from purevirt import testing
from purevirt.daemons.xend import access
from purevirt.model import Caller, Role
from tests.daemons.xend.managed.machine import UUID_TEXT, WEB, Daemon, daemon

DEFINITION = f"/definitions/{UUID_TEXT}"
DOMAIN = f"/domains/{UUID_TEXT}"


class Rest:
    """A daemon, and a client of its REST interface."""

    def __init__(self, xend: Daemon, client: httpx.AsyncClient, path: str) -> None:
        self.xend = xend
        self.client = client
        self.path = path

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        """One request; names of headers with underscores."""
        fields = {name.replace("_", "-"): text for name, text in headers.items()}
        if body is None:
            return await self.client.request(method, path, headers=fields)
        return await self.client.request(method, path, json=body, headers=fields)

    async def get(self, path: str, **headers: str) -> Any:
        """The document of a path."""
        answer = await self.ask("GET", path, **headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def define(self) -> None:
        answer = await self.ask("POST", "/definitions", {"text": WEB})
        assert answer.status_code == 201, answer.text

    async def done(self, path: str, body: object = None) -> dict[str, Any]:
        """Have a job done, and wait for its end as a client does."""
        answer = await self.ask("POST", path, body)
        assert answer.status_code == 202, answer.text
        where = answer.headers["location"].removeprefix("/api/v1")
        job: dict[str, Any] = answer.json()
        while job["state"] == "running":
            job = await self.get(f"{where}?since={job['revision']}&wait=20")
        return job


@asynccontextmanager
async def rest(host: testing.Host, **settings: Any) -> AsyncIterator[Rest]:
    """A life of the daemon, with a client of its socket."""
    async with asyncio.timeout(50), daemon(host, **settings) as xend:
        path = f"{host.root}/run/purevirt/rest.sock"
        async with client_of(path) as client:
            yield Rest(xend, client, path)


def client_of(path: str) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=path)
    return httpx.AsyncClient(transport=transport, base_url="http://xend/api/v1", timeout=30)


def on(work: Callable[[Rest], Awaitable[None]], *, role: Role = Role.ADMIN, **settings: Any) -> None:
    """Do some work with a daemon on a host of its own, as a caller of that role."""

    async def main() -> None:
        with testing.Host(xend=False) as host:
            async with rest(host, **settings) as made:
                await work(made)

    if role is Role.ADMIN:
        asyncio.run(main())
        return
    caller = Caller(1001, 1001, 1, role)
    with patch.object(access.Doorman, "caller_of", lambda self, sock: caller):
        asyncio.run(main())
