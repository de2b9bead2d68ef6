"""REST over its socket: resources, jobs, errors, and who may do what."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from purevirt import testing
from purevirt.daemons.xend import logs
from purevirt.daemons.xend import rest as rest_package
from purevirt.daemons.xend.operations import OPERATIONS
from purevirt.daemons.xend.rest import requests, server
from purevirt.daemons.xend.rest.parameters import names_in, parameters
from purevirt.daemons.xend.rest.requests import LONGEST_BODY
from purevirt.daemons.xend.rest.routes import ELSEWHERE, ROUTES, Route
from purevirt.errors import ConnectError
from purevirt.model import Role
from tests.daemons.xend.managed.machine import UUID_TEXT, WEB, daemon, there
from tests.daemons.xend.rest.client import DEFINITION, DOMAIN, Rest, on

# --- the table


def test_every_operation_has_a_route_or_a_reason() -> None:
    routed = {route.operation for route in ROUTES} - {""}
    assert routed | set(ELSEWHERE) == set(OPERATIONS)
    assert not routed & set(ELSEWHERE)
    assert set(ELSEWHERE.values()) <= routed


def test_the_routes_name_arguments_that_there_are() -> None:
    for route in ROUTES:
        named = set(names_in(route.path)) - {"uuid"}
        assert named <= {one.name for one in parameters(route)}
        if route.operation and route.how != "put":
            assert ("uuid" in names_in(route.path)) == OPERATIONS[route.operation].about_domain
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)


# --- resources


def test_a_domain_from_definition_to_end() -> None:
    async def work(rest: Rest) -> None:
        made = await rest.ask("POST", "/definitions", {"text": WEB})
        assert (made.status_code, made.headers["etag"]) == (201, '"1"')
        assert made.headers["location"] == f"/api/v1{DEFINITION}/text"
        assert (await rest.get(DOMAIN))["state"] == "shutoff"
        job = await rest.done(f"{DOMAIN}/actions/start")
        assert (job["state"], job["kind"], job["progress"]) == ("done", "start", 1.0)
        info = await rest.get(DOMAIN)
        assert (info["state"], info["domid"], info["uuid"]) == ("running", job["domid"], UUID_TEXT)
        assert [one["number"] for one in await rest.get(f"{DOMAIN}/vcpus")] == [0]
        assert [disk["target"] for disk in await rest.get(f"{DOMAIN}/block-devices")] == ["xvda"]
        counters = await rest.get(f"{DOMAIN}/block-devices/xvda/stats")
        assert counters["rd_req"] >= 0
        assert (await rest.get(f"{DOMAIN}/description"))["description"]["name"] == "web"
        paused = await rest.ask("POST", f"{DOMAIN}/actions/suspend")
        assert (paused.status_code, paused.content) == (204, b"")
        assert (await rest.get(DOMAIN))["state"] == "paused"
        again = await rest.ask("PUT", f"{DOMAIN}/max-memory", {"kib": 131072})
        assert again.status_code == 204
        assert (await rest.get(DOMAIN))["max_memory_kib"] >= 131072
        pinned = await rest.ask("PUT", f"{DOMAIN}/vcpus/0/affinity", {"cpus": [1]})
        assert pinned.status_code == 204
        assert (await rest.get(f"{DOMAIN}/vcpus"))[0]["hard_affinity"] == [1]
        assert (await rest.ask("POST", f"{DOMAIN}/actions/destroy", {})).status_code == 204
        refused = await rest.ask("GET", f"{DOMAIN}/vcpus")
        assert refused.status_code == 409
        assert refused.json()["error"]["kind"] == "WrongState"
        assert (await rest.ask("DELETE", DEFINITION)).status_code == 204
        gone = await rest.ask("GET", DOMAIN)
        assert (gone.status_code, gone.json()["error"]["kind"]) == (404, "NoSuchDomain")

    on(work)


def test_domains_are_found_by_name() -> None:
    async def work(rest: Rest) -> None:
        await rest.define()
        assert [info["name"] for info in await rest.get("/domains")] == ["Domain-0", "test", "web"]
        assert [info["name"] for info in await rest.get("/domains?active=true")] == ["Domain-0", "test"]
        (found,) = await rest.get("/domains?name=web")
        assert UUID(found["uuid"]) == UUID(UUID_TEXT)
        assert await rest.get("/domains?name=web&active=true") == []
        wrong = await rest.ask("GET", "/domains?active=1")
        assert wrong.json()["error"]["detail"]["problems"] == ["active must be true or false, not '1'"]
        (stats,) = [one for one in await rest.get("/domains/stats?groups=vcpu,block") if one["info"]["domid"]]
        assert (stats["vcpus"] is None, stats["interfaces"]) == (False, None)

    on(work)


def test_a_job_is_a_resource() -> None:
    async def work(rest: Rest) -> None:
        await rest.define()
        job = await rest.done(f"{DOMAIN}/actions/start", {"paused": True})
        assert (await rest.get(DOMAIN))["state"] == "paused"
        assert [one["id"] for one in await rest.get("/jobs")] == [job["id"]]
        assert await rest.get("/jobs?active=true") == []
        assert await rest.get(f"/jobs/{job['id']}") == job
        assert (await rest.get(f"/jobs/{job['id']}/log"))[0].endswith(" checking")
        late = await rest.ask("POST", f"/jobs/{job['id']}/actions/cancel")
        assert late.status_code == 409
        none = await rest.ask("GET", "/jobs/99")
        assert none.status_code in (400, 404)
        failed = await rest.done(f"{DOMAIN}/actions/save", {"path": "/no/such/directory/web"})
        assert failed["state"] == "failed"
        assert failed["message"]

    on(work)


# --- requests that are wrong


@pytest.mark.parametrize(
    ("method", "path", "status", "says"),
    [
        ("GET", "/nothing", 404, "there is no /api/v1/nothing"),
        ("GET", "/domains/", 404, "there is no /api/v1/domains/"),
        ("PATCH", "/jobs", 405, "takes GET, HEAD, not PATCH"),
        ("OPTIONS", "/definitions", 405, "takes GET, HEAD, POST, not OPTIONS"),
        ("GET", "/domains/web", 400, "'web' is no UUID"),
        ("GET", "/jobs/x", 400, "id must be a whole number, not 'x'"),
        ("GET", "/jobs?since=1", 400, "the query has since, which it cannot have"),
        ("GET", "/jobs?active=true&active=false", 400, "active is given twice"),
        ("GET", "/journal?since=1&wait=-3", 400, "wait must be 0 to 3600 seconds"),
        ("GET", "/saved-description", 400, "path is missing"),
    ],
)
def test_what_is_wrong_is_said(method: str, path: str, status: int, says: str) -> None:
    async def work(rest: Rest) -> None:
        answer = await rest.ask(method, path)
        assert answer.status_code == status
        assert says in answer.json()["error"]["message"]
        if status == 405:
            assert answer.headers["allow"] in answer.json()["error"]["message"]

    on(work)


def test_bodies_that_are_wrong() -> None:
    async def work(rest: Rest) -> None:
        async def post(content: bytes, kind: str = "application/json") -> tuple[int, str]:
            answer = await rest.client.post("/definitions", content=content, headers={"content-type": kind})
            return answer.status_code, answer.json()["error"]["message"]

        assert await post(b"{") == (400, AnyText("the body is no JSON: "))
        assert await post(b"[" * 100000) == (400, AnyText("the body is no JSON: "))
        assert await post(b'"x"') == (400, "the body is no JSON object")
        assert await post(b'{"text": 5}') == (400, AnyText("define: text must be text"))
        assert await post(b'{"text": "x", "revision": 3}') == (400, AnyText("the body has revision, which"))
        assert await post(b'{"text": "x"}', "text/plain") == (415, AnyText("a body is application/json"))
        assert await post(b" " * (LONGEST_BODY + 1)) == (413, f"a body has at most {LONGEST_BODY} bytes")

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(LONGEST_BODY // 4096 + 2):
                yield b" " * 4096

        long = await rest.client.post(
            "/definitions", content=chunks(), headers={"content-type": "application/json"}
        )
        assert long.status_code == 413
        assert (await rest.get("/whoami"))["role"] == "admin"

    on(work)


class AnyText(str):
    """Equal to whatever begins so."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and other.startswith(str(self))


def test_kinds_of_answers() -> None:
    async def work(rest: Rest) -> None:
        for accept in ("application/json", "*/*", "text/html, application/*;q=0.5"):
            answer = await rest.ask("GET", "/host", Accept=accept)
            assert answer.headers["content-type"] == "application/json"
        for accept in ("text/html", "application/json;q=0", ""):
            assert (await rest.ask("GET", "/host", Accept=accept)).status_code == 406
        head = await rest.ask("HEAD", "/host")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 10
        assert "date" in head.headers

    on(work)


def test_requests_have_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's or a new one, in the answer and in every line of the log."""

    async def work(rest: Rest) -> None:
        call, logged = rest.xend.supervisor.call, []

        async def told(*given: Any, **named: Any) -> object:
            logged.append(logs._about.get())
            return await call(*given, **named)

        monkeypatch.setattr(rest.xend.supervisor, "call", told)
        given = await rest.ask("GET", "/host", X_Request_Id="from-me.1")
        assert given.headers["x-request-id"] == "from-me.1"
        assert [line["request"] for line in logged] == ["from-me.1"]
        made = {(await rest.ask("GET", "/nothing")).headers["x-request-id"] for _ in range(2)}
        assert len(made) == 2
        odd = await rest.ask("GET", "/host", X_Request_Id="a b\tc" * 40)
        assert len(odd.headers["x-request-id"]) == 32

    on(work)


def test_what_is_no_http_gets_the_shape_of_all_errors() -> None:
    async def work(rest: Rest) -> None:
        reader, writer = await asyncio.open_unix_connection(rest.path)
        writer.write(b"\0\1\2 nonsense\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert json.loads(body)["error"]["kind"] == "InvalidConfig"
        writer.close()

    on(work)


# --- who may


def _example(route: Route) -> tuple[str, dict[str, object] | None]:
    """A request that is all right but for who sends it."""
    values: dict[str, object] = {"kib": 65536, "count": 1, "vcpu": 0, "id": 1, "cpus": [0], "autostart": True}
    path, query = route.path.replace("{uuid}", UUID_TEXT), []
    body: dict[str, object] = {}
    for name, place, argument in parameters(route):
        value = values.get(name, {"text": WEB, "trigger": "nmi"}.get(name, "/x"))
        if place == "path":
            path = path.replace("{" + name + "}", "xvda" if value == "/x" else str(value))
        elif argument.required and place == "query":
            query.append(f"{name}={value}")
        elif argument.required:
            body[name] = value
    return path + ("?" + "&".join(query) if query else ""), body or None


@pytest.mark.parametrize("role", [Role.NONE, Role.READER, Role.OPERATOR])
def test_each_route_is_denied_to_whoever_lacks_the_role(role: Role) -> None:
    async def work(rest: Rest) -> None:
        for route in ROUTES:
            if not route.operation or OPERATIONS[route.operation].role <= role:
                continue
            path, body = _example(route)
            answer = await rest.ask(route.method, path, body)
            error = answer.json()["error"]
            assert (answer.status_code, error["kind"]) == (403, "Denied"), (route, error)
            assert "takes the role" in error["message"]
        assert (await rest.get("/whoami"))["role"] == role.name.lower()

    on(work, role=role)


# --- the sockets


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_the_socket_is_for_everybody_and_goes_with_the_daemon() -> None:
    async def main() -> None:
        with testing.Host(xend=False) as host:
            path = f"{host.root}/run/purevirt/rest.sock"
            async with daemon(host):
                assert mode_of(path) == 0o666
            assert not there(path)
            async with daemon(host, rest_socket=""):
                assert not there(path)

    asyncio.run(main())


def test_over_tcp_there_are_only_readers_and_known_hosts() -> None:
    async def work(rest: Rest) -> None:
        served = rest.xend.service.rest
        assert served is not None
        host, port = served.addresses[1]
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}/api/v1") as client:
            assert (await client.get("/whoami")).json()["role"] == "reader"
            assert (await client.post(f"{DOMAIN}/actions/destroy")).status_code == 403
            for name, status in (("localhost:1", 200), ("[::1]", 200), ("evil.example", 421)):
                answer = await client.get("/host", headers={"Host": name})
                assert answer.status_code == status
            assert "access-control-allow-origin" not in answer.headers

    on(work, rest="127.0.0.1:0")


def test_without_the_extra_all_else_works(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("purevirt.daemons.xend.rest.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette.applications", None)

    async def main() -> None:
        with testing.Host(xend=False) as host:
            async with daemon(host) as xend:
                assert (await xend.call("whoami")).role is Role.ADMIN
                assert not there(f"{host.root}/run/purevirt/rest.sock")
            with pytest.raises(ConnectError, match=r"pip install 'purevirt\[daemon\]'"):
                async with daemon(host, rest=":0"):
                    pass

    asyncio.run(main())


def test_starlette_is_loaded_only_for_rest() -> None:
    """Its table, its document and everything else do without."""
    code = """
import sys
import purevirt.daemons.xend.service, purevirt.daemons.xend.process, purevirt.daemons.xend.rest.openapi
print(*{"starlette", "uvicorn", "anyio"} & set(sys.modules))
"""
    sources = str(Path(rest_package.__file__).parents[4])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": sources, "PATH": "/usr/bin:/bin"},
    )
    assert done.stdout.strip() == ""


def test_slow_clients_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(rest: Rest) -> None:
        monkeypatch.setattr(server, "HEAD_TIMEOUT", 0.01)
        reader, writer = await asyncio.open_unix_connection(rest.path)
        writer.write(b"GET /api/v1/host HTT")
        assert await reader.read() == b""
        writer.close()
        monkeypatch.undo()
        monkeypatch.setattr(requests, "BODY_TIMEOUT", 0.01)
        reader, writer = await asyncio.open_unix_connection(rest.path)
        writer.write(b"POST /api/v1/definitions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 9\r\n\r\n{")
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()

    on(work)


def test_nobody_opens_too_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 4)

    async def work(rest: Rest) -> None:
        writers = [(await asyncio.open_unix_connection(rest.path))[1] for _ in range(2)]
        reader, writer = await asyncio.open_unix_connection(rest.path)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert json.loads(body)["error"]["message"] == "too many connections are open"
        served = rest.xend.service.rest
        assert served is not None
        for one in (*writers, writer):
            one.close()
        while served.connections:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
        assert (await rest.get("/whoami"))["role"] == "operator"

    on(work, role=Role.OPERATOR)


def test_clients_that_go_away_are_forgotten() -> None:
    async def work(rest: Rest) -> None:
        served = rest.xend.service.rest
        assert served is not None
        seq = rest.xend.supervisor.journal.last
        for path in (f"/journal?since={seq}&wait=60", f"/events?since={seq}"):
            _, writer = await asyncio.open_unix_connection(rest.path)
            writer.write(f"GET /api/v1{path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            while not rest.xend.supervisor.journal.waiting:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)
            writer.close()
            while rest.xend.supervisor.journal.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0)
        while served.connections:  # noqa: ASYNC110
            await asyncio.sleep(0)

    on(work)
