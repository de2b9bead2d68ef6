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
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"


def test_a_call_and_its_answer_are_plain() -> None:
    head = plainhttp.request_head(CALL)
    assert head == plainhttp.Head(
        ("POST", "/purevirt/v1/call", "HTTP/1.1"),
        (("host", "localhost"), ("content-type", "application/json"), ("content-length", "2")),
        2,
    )
    answered = plainhttp.response_head(ANSWER)
    assert answered is not None
    assert (answered.first, answered.length) == (("HTTP/1.1", "200", "OK"), 15)
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


@pytest.mark.parametrize(
    "head",
    [
        ANSWER.replace(b"200", b"100"),
        ANSWER.replace(b"200", b"204"),
        ANSWER.replace(b"200", b"304"),
        ANSWER.replace(b"200", b"20"),
        ANSWER.replace(b"200", b"2x0"),
        ANSWER.replace(b"/1.1", b"/1.0"),
        ANSWER.replace(b"Content-Length: 15\r\n", b""),
        ANSWER.replace(b": 15", b": 15\r\nConnection: close"),
        ANSWER.replace(b": 15", b": 15\r\nConnection: keep-alive"),
        ANSWER.replace(b": 15", b": 15\r\nTransfer-Encoding: chunked"),
        ANSWER.replace(b": 15", b": 15\r\nContent-Length: 15"),
    ],
)
def test_an_unusual_answer_is_not_plain(head: bytes) -> None:
    assert plainhttp.response_head(head) is None


def by_h11(role: type[h11.SERVER | h11.CLIENT], data: bytes) -> tuple[object, bytes, bool]:
    """The first event, the body, and whether the message was whole and may be followed by another."""
    connection = h11.Connection(role)
    if role is h11.CLIENT:
        connection.send(h11.Request(method="GET", target="/", headers=[("Host", "localhost")]))
        connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    first, body = connection.next_event(), b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += bytes(event.data)
    return first, body, isinstance(event, h11.EndOfMessage) and connection.their_state is h11.DONE


def fields(found: h11.Request | h11.Response) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode(), value.decode()) for name, value in found.headers)


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
    st.tuples(st.sampled_from([CALL, ANSWER]), st.integers(0, 110), st.binary(max_size=2)).map(
        lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[1] + len(cut[2]) :]
    ),
)


@given(HEADS, st.binary(min_size=20, max_size=20))
@example(CALL, b"x" * 20)
def test_what_is_plain_is_what_h11_reads(data: bytes, body: bytes) -> None:
    begin = plainhttp.end_of_head(data)
    if begin < 0:
        return
    for role, read in ((h11.SERVER, plainhttp.request_head), (h11.CLIENT, plainhttp.response_head)):
        head = read(data[:begin])
        if head is None or (head.length or 0) > len(body):
            continue
        sent = body[: head.length or 0]
        found, got, whole = by_h11(role, data[:begin] + sent)
        assert whole
        assert got == sent
        if isinstance(found, h11.Request):
            assert head.first == (found.method.decode(), found.target.decode(), "HTTP/1.1")
        else:
            assert isinstance(found, h11.Response)
            assert head.first == ("HTTP/1.1", str(found.status_code), bytes(found.reason).decode())
        assert head.headers == fields(found)


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


@given(
    st.one_of(st.sampled_from(["GET", "POST", "HEAD", "get"]), st.text(max_size=3)),
    st.one_of(st.sampled_from(["/", "/a b", ""]), st.text(max_size=6)),
    st.lists(st.tuples(NAMES, VALUES), max_size=3),
    st.binary(max_size=10),
)
@example("POST", "/purevirt/v1/call", [("Content-Type", "application/json")], b"{}")
def test_a_request_that_is_written_is_what_h11_writes(
    method: str, target: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    headers = [("Host", "localhost"), *headers, ("Content-Length", str(len(body)))]
    data = plainhttp.request(method, target, headers, body)
    if data is None:
        return
    connection = h11.Connection(h11.CLIENT)
    head = h11.Request(method=method, target=target, headers=headers)
    assert data == connection.send(head) + connection.send(h11.Data(data=body)) + connection.send(
        h11.EndOfMessage()
    )
