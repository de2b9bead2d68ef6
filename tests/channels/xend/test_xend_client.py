"""What the client makes of the daemon's answers: JSON, and the classic tree with its hidden errors."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt import errors
from purevirt.channels.xend.client import XendClient
from purevirt.channels.xend.framing import Reader
from purevirt.channels.xend.http import Http
from purevirt.channels.xend.transport import Request
from tests.support.http_peer import Answer, HttpPeer, Received, answer

Play = Callable[[Callable[[XendClient], Coroutine[Any, Any, None]], "str | tuple[str, int]"], None]


def always(made: Answer) -> Callable[[Received], Answer]:
    return lambda _: made


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (answer(b"{"), "is not JSON"),
        (answer(b"[" * 100_000), "is not JSON"),
        (answer(b"\xff\xfe"), "is not JSON"),
        (answer(b"[]"), "neither a result nor an error"),
        (answer(b"{}"), "neither a result nor an error"),
        (answer(b'{"result": 1, "error": {}}'), "neither a result nor an error"),
        (
            answer(b"Not found", status=404, kind="text/plain", reason="Not found"),
            "answers 404 Not found to /purevirt/v1/call: it is not purevirt's",
        ),
    ],
)
def test_an_answer_that_is_no_answer_is_an_error(play: Play, path: str, made: Answer, told: str) -> None:
    with HttpPeer(path, always(made)):

        async def scenario(client: XendClient) -> None:
            with pytest.raises(errors.RemoteProtocolError) as caught:
                await client.call({"operation": "hostname"}, 5.0)
            assert told in str(caught.value)
            assert caught.value.channel == "daemon"

        play(scenario, path)


def test_an_error_is_handed_on_whatever_its_status(play: Play, path: str) -> None:
    body = json.dumps({"error": {"kind": "NoSuchDomain", "message": "gone"}}).encode()
    with HttpPeer(path, always(answer(body, status=404, reason="Not Found"))):

        async def scenario(client: XendClient) -> None:
            assert await client.call({"operation": "suspend"}, 5.0) == json.loads(body)

        play(scenario, path)


@pytest.mark.parametrize("document", [{"timeout": float("inf")}, {"arguments": {"kib": b"1"}}])
def test_what_json_cannot_carry_is_not_sent(play: Play, path: str, document: dict[str, object]) -> None:
    async def scenario(client: XendClient) -> None:
        with pytest.raises(errors.LocalProtocolError, match="JSON cannot carry that call"):
            await client.call(document, 5.0)

    play(scenario, path)


# --- the classic tree

SXP = "application/sxp"


def test_the_tree_answers_expressions_or_text(play: Play, path: str) -> None:
    def tree(received: Received) -> Answer:
        if received[1] == "/xend/node/dmesg":
            return answer(b"(XEN) hello\n", kind="text/plain")
        return answer(b"(Domain-0 web)''", kind=SXP)  # with the stray '' of a real one

    with HttpPeer(path, tree) as peer:

        async def scenario(client: XendClient) -> None:
            listed = await client.classic("GET", "/xend/domain", query={"state": "all"}, timeout=5.0)
            assert listed.expressions == [["Domain-0", "web"]]
            assert listed.text is None
            dmesg = await client.classic("GET", "/xend/node/dmesg", timeout=5.0)
            assert (dmesg.text, dmesg.expressions) == ("(XEN) hello\n", [])

        play(scenario, path)
        method, target, headers, _ = peer.received[0]
        assert (method, target) == ("GET", "/xend/domain?state=all")
        assert headers["accept"] == SXP


def test_an_operation_is_a_form(play: Play, path: str) -> None:
    made = (202, "Accepted", [("Location", "http://h/xend/domain/.."), ("Content-Length", "0")], b"")
    with HttpPeer(path, always(made)) as peer:

        async def scenario(client: XendClient) -> None:
            form = {"op": "shutdown", "reason": "power off"}
            done = await client.classic("POST", "/xend/domain/my web", form=form, timeout=5.0)
            assert (done.status, done.reason, done.location) == (202, "Accepted", "http://h/xend/domain/..")

        play(scenario, path)
        _, target, headers, body = peer.received[0]
        assert target == "/xend/domain/my%20web"
        assert body == b"op=shutdown&reason=power+off"
        assert headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("made", "kind", "told"),
    [
        # Hidden below a status that says all is well
        (answer(b"(xend.err 'no such file')", status=202, kind=SXP), errors.OperationError, "no such file"),
        (answer(b"(xend.err 'no such file')", status=200, kind=SXP), errors.OperationError, "no such file"),
        (answer(b"(xend.err 'no such file')''", status=201, kind=SXP), errors.OperationError, "no such file"),
        # and in the open
        (
            answer(
                b"(xend.err 'Missing parameter: name')", status=500, kind=SXP, reason="Request failed: rename"
            ),
            errors.OperationError,
            "the Xen daemon: Missing parameter: name",
        ),
        (answer(b"", status=500, kind=SXP, reason="Internal"), errors.OperationError, "Internal"),
        (
            answer(b"<Fault 3: 'web'>", status=404, kind="text/plain"),
            errors.NoSuchDomain,
            "knows no domain 'web'",
        ),
        (
            answer(b"Operation not implemented: fly", status=501, kind="text/plain"),
            errors.Unsupported,
            "Operation not implemented: fly",
        ),
        (answer(b"no role", status=403, kind="text/plain"), errors.Denied, "refused: no role"),
        (answer(b"(((", status=200, kind=SXP), errors.RemoteProtocolError, ""),
    ],
)
def test_errors_are_found_wherever_they_hide(
    play: Play, path: str, made: Answer, kind: type[errors.XenError], told: str
) -> None:
    with HttpPeer(path, always(made)):

        async def scenario(client: XendClient) -> None:
            with pytest.raises(kind) as caught:
                await client.classic("POST", "/xend/domain/web", form={"op": "save"}, timeout=5.0)
            assert type(caught.value) is kind
            assert told in str(caught.value)

        play(scenario, path)


# --- framing, without any I/O


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_whatever_arrives_is_an_answer_or_a_documented_error(pieces: list[bytes]) -> None:
    http = Http()
    http.request(Request("GET", "/"))
    with contextlib.suppress(errors.RemoteProtocolError, errors.Closed):
        for piece in [*pieces, b""]:
            if http.feed(piece) is not None:
                break


@given(st.data())
def test_an_answer_is_the_same_however_it_is_cut(data: st.DataObject) -> None:
    whole = (
        b"HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\nX-Y: z\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1))))
    http = Http()
    http.request(Request("GET", "/"))
    response = None
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        assert response is None
        response = http.feed(whole[start:end])
    assert response is not None
    assert (response.status, response.reason, response.headers["x-y"], response.body) == (
        201,
        "Made",
        "z",
        b"abcde",
    )
    assert http.reusable


STATUS_LINES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 404 Not found",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204 No content",
    b"HTTP/1.1 304 Not modified",
    b"HTTP/1.1 200",
    b"HTTP/1.1 200 ",
    b"HTTP/1.1 200OK",
    b"HTTP/1.1 99 Low",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
    b"ICY 200 OK",
]
HEADERS = [
    b"Content-Length: 3",
    b"Content-Length:3",
    b"content-length: 3 ",
    b"Content-Length: +3",
    b"Content-Length: 3, 3",
    b"Content-Length: 03",
    b"Content-Length: 0",
    b"Content-Length : 3",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Close",
    b"X: \xe4",
    b"X: a\tb",
    b"X: a\x00b",
    b"X_y: z",
    b"X-y:",
    b": z",
    b" folded",
    b"no colon",
]
BODIES = [b"", b"ab", b"abc", b"abcd", b"3\r\nabc\r\n0\r\n\r\n"]


def outcome(reader: Any, pieces: list[bytes]) -> object:
    response = None
    try:
        for piece in [*pieces, b""]:
            response = reader.feed(piece)
            if response is not None:
                break
    except (errors.RemoteProtocolError, errors.Closed) as error:
        return type(error)
    keeps = reader.reusable if isinstance(reader, Http) else reader.keeps
    return response, keeps


@given(
    st.sampled_from(STATUS_LINES),
    st.lists(st.sampled_from(HEADERS), max_size=3),
    st.sampled_from(BODIES),
    st.sampled_from([b"\r\n", b"\n"]),
)
def test_a_plain_answer_is_read_as_h11_reads_it(
    status: bytes, headers: list[bytes], body: bytes, newline: bytes
) -> None:
    whole = newline.join([status, *headers, b"", body])
    ours = Http()
    ours.request(Request("GET", "/"))
    got, wanted = outcome(ours, [whole]), outcome(Reader(Request("GET", "/")), [whole])
    if isinstance(got, tuple) and isinstance(wanted, tuple) and ours._ended:
        got, wanted = got[0], wanted[0]  # one that has ended is kept by nobody
    assert got == wanted


@pytest.mark.parametrize("target", ["/a b", "", "/a\r\nX: y", "/\xe4"])
def test_a_request_cannot_be_split(target: str) -> None:
    with pytest.raises(errors.LocalProtocolError):
        Http().request(Request("GET", target))
    with pytest.raises(errors.LocalProtocolError):
        Http().request(Request("GET", "/", (("X", target + "\r\nY: z"),)))
