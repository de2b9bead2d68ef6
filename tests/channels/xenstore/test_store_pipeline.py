"""Requests and replies by id, without I/O."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.channels.xenstore.pipeline import LONGEST_DIRECTORY, Batch, Pipeline, describe, timed_out
from purevirt.channels.xenstore.transport import Request
from purevirt.errors import LocalProtocolError, RemoteProtocolError
from purevirt.wire.xenstore import HEADER, Decoder, Op, Packet, encode

READ: Request = (Op.READ, 0, b"/a\0")


def reply(req_id: int, payload: bytes = b"v", op: int = Op.READ) -> bytes:
    return encode(op, req_id, 0, payload)


def test_a_batch_is_sent_as_one_and_numbered_on() -> None:
    pipeline = Pipeline()
    first, second = pipeline.begin([READ, READ]), pipeline.begin([READ])
    assert [packet.req_id for packet in Decoder().feed(first.data + second.data)] == [1, 2, 3]
    assert (first.first, second.first) == (1, 3)


@given(st.permutations(range(1, 6)), st.integers(1, 200))
def test_replies_find_their_places_in_any_order_and_split_anywhere(order: list[int], step: int) -> None:
    pipeline = Pipeline()
    batch = pipeline.begin([READ] * 5)
    stream = b"".join(reply(req_id, b"%d" % req_id) for req_id in order)
    for start in range(0, len(stream), step):
        pipeline.feed(stream[start : start + step])
    assert batch.missing == 0
    assert [packet.payload for packet in batch.replies] == [b"1", b"2", b"3", b"4", b"5"]


def test_who_waits_is_told_when_the_batch_is_complete() -> None:
    pipeline = Pipeline()
    done: list[str] = []
    batches: list[Batch] = [pipeline.begin([READ, READ]), pipeline.begin([READ])]
    batches[0].on_done = lambda: done.append("first")
    batches[1].on_done = lambda: done.append("second")
    pipeline.feed(reply(3) + reply(1))
    assert done == ["second"]
    pipeline.feed(reply(2))
    assert done == ["second", "first"]


def test_replies_that_nobody_waits_for_any_more_are_dropped() -> None:
    pipeline = Pipeline()
    pipeline.abandon(pipeline.begin([READ, READ]))
    batch = pipeline.begin([READ])
    pipeline.feed(reply(1, b"late") + reply(3, b"mine") + reply(2, b"later") + reply(3, b"twice"))
    assert batch.replies == [Packet(Op.READ, 3, 0, b"mine")]


def test_a_reply_to_a_request_that_was_never_sent_breaks_the_stream() -> None:
    pipeline = Pipeline()
    pipeline.begin([READ])
    with pytest.raises(RemoteProtocolError, match="request 2, which was never sent"):
        pipeline.feed(reply(2))
    with pytest.raises(RemoteProtocolError, match="request 0"):
        pipeline.feed(reply(0))


def test_a_reply_of_another_type_breaks_the_stream() -> None:
    pipeline = Pipeline()
    pipeline.begin([READ])
    with pytest.raises(RemoteProtocolError, match="answered read of /a with a reply of type 11"):
        pipeline.feed(reply(1, b"OK\0", Op.WRITE))


def test_what_came_before_the_garbage_is_delivered() -> None:
    pipeline = Pipeline()
    batch = pipeline.begin([READ])
    with pytest.raises(RemoteProtocolError, match="5000"):
        pipeline.feed(reply(1) + HEADER.pack(2, 2, 0, 5000))
    assert batch.missing == 0


def test_events_go_to_the_handler_whatever_ids_they_carry() -> None:
    pipeline = Pipeline()
    events: list[bytes] = []
    batch = pipeline.begin([READ])
    event = encode(Op.WATCH_EVENT, 1, 77, b"/a\0t\0")
    pipeline.feed(event)  # no handler yet: dropped
    pipeline.on_event = events.append
    pipeline.feed(event + reply(1))
    assert events == [b"/a\0t\0"]
    assert batch.missing == 0


def test_the_kernels_watch_replies_without_an_id_go_to_the_oldest_watch() -> None:
    pipeline = Pipeline()
    watches = pipeline.begin([(Op.WATCH, 0, b"/a\0t\0"), READ, (Op.WATCH, 0, b"/b\0t\0")])
    unwatch = pipeline.begin([(Op.UNWATCH, 0, b"/a\0t\0")])
    ok = b"OK\0"
    pipeline.feed(reply(0, ok, Op.WATCH) + reply(2) + reply(0, ok, Op.UNWATCH) + reply(0, ok, Op.WATCH))
    assert (watches.missing, unwatch.missing) == (0, 0)
    pipeline.feed(reply(0, ok, Op.WATCH))  # one too many is dropped, for its request may have been given up


def test_ids_begin_again_before_they_end() -> None:
    pipeline = Pipeline(first_id=0xFFFFFFFE)
    last = pipeline.begin([READ])
    again = pipeline.begin([READ, READ])
    assert (last.first, again.first) == (0xFFFFFFFE, 1)
    pipeline.feed(reply(0xFFFFFFFE) + reply(1) + reply(2))
    assert (last.missing, again.missing) == (0, 0)


def test_a_payload_that_is_too_long_leaves_nothing_behind() -> None:
    pipeline = Pipeline(limit=10)
    with pytest.raises(LocalProtocolError, match="at most 10 bytes here, not 11"):
        pipeline.begin([READ, (Op.WRITE, 0, bytes(11))])
    assert pipeline.begin([READ]).first == 1


def test_long_directories_are_taken_as_oxenstored_sends_them() -> None:
    pipeline = Pipeline()
    batch = pipeline.begin([(Op.DIRECTORY, 0, b"/a\0")])
    size = 10_000
    assert size < LONGEST_DIRECTORY
    pipeline.feed(HEADER.pack(Op.DIRECTORY, 1, 0, size) + bytes(size))
    assert len(batch.replies[0].payload) == size


def test_requests_can_be_put_into_words() -> None:
    assert describe((Op.READ, 0, b"/a\0")) == "read of /a"
    assert describe((Op.WRITE, 0, b"/a\0value")) == "write of /a"
    assert describe((Op.TRANSACTION_START, 0, b"\0")) == "transaction_start"
    assert describe((99, 0, b"")) == "operation 99"
    pipeline = Pipeline()
    batch = pipeline.begin([READ, (Op.READ, 0, b"/b\0"), (Op.READ, 0, b"/c\0")])
    pipeline.feed(reply(1))
    error = timed_out(batch, 2.5)
    assert str(error) == "the Xen Store did not answer read of /b (and 1 more) within 2.5 s"
    assert (error.operation, error.path) == ("read", "/b")
