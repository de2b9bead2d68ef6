"""The plain part of HTTP, held to h11: what is read or written here is what h11 makes of it, or nothing at all."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from purevirt.wire import plainhttp

CALL = (
    b"POST /purevirt/v1/call HTTP/1.1\r\n"
    b"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
)


def test_a_call_is_plain() -> None:
    assert plainhttp.request_head(CALL) == plainhttp.Head(
        "POST",
        "/purevirt/v1/call",
        (("host", "localhost"), ("content-type", "application/json"), ("content-length", "2")),
        2,
    )
    assert plainhttp.end_of_head(CALL + b"{}") == len(CALL)
    assert plainhttp.end_of_head(CALL[:-1]) == -1


@pytest.mark.parametrize(
    "head",
    [
        CALL.replace(b"POST", b"HEAD"),
        CALL.replace(b"POST", b"CONNECT"),
        CALL.replace(b"/1.1", b"/1.0"),
        CALL.replace(b"Host", b"Most"),
        CALL.replace(b"localhost", b"local\xffhost"),
        CALL.replace(b"localhost", b"a\tb"),
        CALL.replace(b"localhost\r\n", b"localhost\n"),
        CALL.replace(b"Host: localhost", b"Host: a\r\nHost: b"),
        CALL.replace(b"Host: localhost", b"Host: a\r\n b"),
        CALL.replace(b"Host: localhost", b"Host : a"),
        CALL.replace(b": 2", b": +2"),
        CALL.replace(b": 2", b": 2, 2"),
        CALL.replace(b": 2", b": " + b"9" * 10),
        CALL.replace(b": 2", b": 2\r\nExpect: 100-continue"),
        CALL.replace(b": 2", b": 2\r\nTransfer-Encoding: chunked"),
        CALL.replace(b": 2", b": 2\r\nConnection: close"),
        CALL.replace(b": 2", b": 2\r\nConnection: keep-alive, Upgrade"),
        CALL.replace(b"/purevirt/v1/call ", b""),
        CALL.replace(b"POST ", b""),
        b"\r\n" + CALL,
    ],
)
def test_an_unusual_request_is_not_plain(head: bytes) -> None:
    assert plainhttp.request_head(head) is None


def by_h11(data: bytes) -> tuple[object, bytes, bool]:
    """The first event, the body, and whether the request was whole and may be followed by another."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    first, body = connection.next_event(), b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += bytes(event.data)
    return first, body, isinstance(event, h11.EndOfMessage) and connection.their_state is h11.DONE


# Bytes near the truth: pieces of heads, some of them wrong, put together at random.
PIECES = st.sampled_from(
    [
        *(
            b"GET ",
            b"POST ",
            b"PUT ",
            b"/",
            b"/a?b",
            b" HTTP/1.1\r\n",
            b" HTTP/1.0\r\n",
            b"HTTP/1.1 200 OK\r\n",
        ),
        *(b"HTTP/1.1 404 \r\n", b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 204 No\r\n", b"HTTP/1.1 200\r\n"),
        *(b"Host: a\r\n", b"Host:\r\n", b"X-y:  z \r\n", b"Content-Length: 0\r\n", b"content-length: 3\r\n"),
        *(b"Content-Length: 003\r\n", b"Connection: Keep-Alive\r\n", b"Connection: close\r\n", b"TE: x\r\n"),
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"Expect: 100-continue\r\n",
            b"\r\n",
            b"\n",
            b" ",
            b":",
            b"\xe9",
            b"\t",
        ),
    ]
)
HEADS = st.one_of(
    st.lists(PIECES, max_size=8).map(lambda pieces: b"".join(pieces) + b"\r\n"),
    st.tuples(st.just(CALL), st.integers(0, 110), st.binary(max_size=2)).map(
        lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] + len(cut[2]) :]
    ),
)


@given(HEADS, st.binary(min_size=20, max_size=20))
@example(CALL, b"x" * 20)
def test_what_is_plain_is_what_h11_reads(data: bytes, body: bytes) -> None:
    begin = plainhttp.end_of_head(data)
    head = plainhttp.request_head(data[:begin]) if begin > 0 else None
    if head is None or head.length > len(body):
        return
    found, got, whole = by_h11(data[:begin] + body[: head.length])
    assert whole
    assert got == body[: head.length]
    assert isinstance(found, h11.Request)
    assert (head.method, head.target) == (found.method.decode(), found.target.decode())
    assert head.headers == tuple((name.decode(), value.decode()) for name, value in found.headers)


def test_an_answer_whose_length_is_not_said_once_and_right_is_not_plain() -> None:
    for headers in ([], [("Content-Length", "3")], [("Content-Length", "2"), ("content-length", "2")]):
        assert plainhttp.response(200, "OK", headers, b"{}") is None


NAMES = st.one_of(
    st.sampled_from(["Content-Type", "X-a", "Connection", "", "a b", "TE"]), st.text(max_size=4)
)
VALUES = st.one_of(st.sampled_from(["x", "", " y", "a\r\nb", "keep-alive"]), st.text(max_size=6))


@given(
    st.integers(99, 600),
    st.one_of(st.just("OK"), st.text(max_size=8)),
    st.lists(st.tuples(NAMES, VALUES), max_size=3),
    st.binary(max_size=10),
    st.integers(-1, 1),
)
@example(200, "OK", [("Content-Type", "application/json")], b"{}", 0)
def test_what_is_written_is_what_h11_writes(
    status: int, reason: str, headers: list[tuple[str, str]], body: bytes, off: int
) -> None:
    headers = [*headers, ("Content-Length", str(max(0, len(body) + off)))]
    data = plainhttp.response(status, reason, headers, body)
    if data is None:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.next_event()
    connection.next_event()
    head = h11.Response(status_code=status, reason=reason.encode(), headers=headers)
    assert data == connection.send(head) + connection.send(h11.Data(data=body)) + connection.send(
        h11.EndOfMessage()
    )
