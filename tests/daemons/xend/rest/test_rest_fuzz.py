"""Whatever is sent, the answer is HTTP of the one shape, no fault of the daemon's, and the next request is served."""

from __future__ import annotations

import contextlib
import json
import socket
import string
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purevirt import testing
from purevirt.daemons.xend.rest.parameters import parameters
from purevirt.daemons.xend.rest.routes import PREFIX, ROUTES
from tests.daemons.xend.managed.machine import UUID_TEXT, WEB

BOUNDED = settings(max_examples=60, deadline=None, derandomize=True, database=None)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
CHANGING = [
    route for route in ROUTES if route.method in ("POST", "PUT", "PATCH") and route.operation != "migrate"
]
READING = [route for route in ROUTES if route.method == "GET" and route.how != "events" and not route.waits]


@pytest.fixture(scope="module")
def host() -> Iterator[testing.Host]:
    with testing.Host() as made:
        yield made


@pytest.fixture(scope="module")
def client(host: testing.Host) -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(uds=f"{host.root}/run/purevirt/rest.sock")
    with httpx.Client(transport=transport, base_url=f"http://xend{PREFIX}", timeout=30) as made:
        made.post("/definitions", json={"text": WEB}).raise_for_status()
        yield made


def _is_an_answer(answer: httpx.Response) -> None:
    assert answer.status_code != 500, answer.text
    if answer.status_code >= 400:
        assert set(answer.json()) == {"error"}
        assert answer.json()["error"]["message"]


@BOUNDED
@given(data=st.data())
def test_any_json(client: httpx.Client, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from(CHANGING))
    known = [one.name for one in parameters(route) if one.place == "body"]
    names = st.sampled_from(known) if known else st.text(max_size=4)
    body = data.draw(st.dictionaries(names | st.text(max_size=4), JSON, max_size=4) | JSON)
    path = route.path.replace("{uuid}", UUID_TEXT).replace("{vcpu}", "0").replace("{id}", "1")
    content = json.dumps(body).encode()
    _is_an_answer(
        client.request(route.method, path, content=content, headers={"Content-Type": "application/json"})
    )


@BOUNDED
@given(data=st.data())
def test_any_body(client: httpx.Client, data: st.DataObject) -> None:
    content = data.draw(
        st.binary(max_size=64) | st.binary(max_size=32).map(lambda tail: b'{"text": "' + tail)
    )
    _is_an_answer(client.post("/definitions", content=content, headers={"Content-Type": "application/json"}))


@BOUNDED
@given(data=st.data())
def test_any_query_and_headers(client: httpx.Client, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from(READING))
    known = [one.name for one in parameters(route) if one.place == "query"]
    names = st.sampled_from([*known, "x"])
    query = data.draw(st.dictionaries(names, st.text(st.characters(codec="utf-8"), max_size=12), max_size=3))
    letters = st.text(string.printable.strip() + " ", max_size=12).map(str.strip)
    headers = data.draw(
        st.dictionaries(st.sampled_from(["If-Match", "If-None-Match", "X-Request-Id", "Host"]), letters)
    )
    path = route.path.replace("{uuid}", UUID_TEXT).replace("{id}", "1")
    path = path.replace("{target}", "xvda").replace("{device}", "vif1.0")
    _is_an_answer(client.get(path, params=query, headers=headers))


PIECES = st.sampled_from(
    [
        b"GET /api/v1/host HTTP/1.1\r\n",
        b"POST /api/v1/definitions HTTP/1.1\r\n",
        b"GET /api/v1/%00%ff HTTP/1.1\r\n",
        b"Host: x\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Upgrade: websocket\r\nConnection: upgrade\r\n",
        b"Content-Type: application/json\r\n",
        b"\r\n",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"{}",
    ]
)


NONSENSE = b"\0\1\r\n\r\n" * 4
"""Ends every head, and is none."""


@BOUNDED
@given(pieces=st.lists(PIECES | st.binary(max_size=24), max_size=9))
def test_any_bytes(host: testing.Host, client: httpx.Client, pieces: list[bytes]) -> None:
    said = b""
    with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(ConnectionError):
        sock.settimeout(20)
        sock.connect(f"{host.root}/run/purevirt/rest.sock")
        sock.sendall(b"".join(pieces) + NONSENSE)
        said = sock.recv(65536)  # there is an answer, whatever that was
        sock.shutdown(socket.SHUT_WR)
        while data := sock.recv(65536):
            said += data
    assert said.startswith(b"HTTP/1.1 ")
    assert b"HTTP/1.1 500" not in said
    assert client.get("/whoami").status_code == 200
