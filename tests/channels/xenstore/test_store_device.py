"""The kernel's device: a write per message, replies that forget their ids, refusals by errno."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from pathlib import Path

import pytest

from purevirt._run import run_blocking
from purevirt.channels.xenstore.blocking import BlockingTransport, Connector
from purevirt.channels.xenstore.links import DEVICE_MAX_PAYLOAD, DeviceLink, is_device, open_device
from purevirt.channels.xenstore.transport import Request
from purevirt.errors import Closed, ConnectError, LocalProtocolError, Timeout
from purevirt.wire.xenstore import Op, encode
from tests.channels.xenstore.fakes import Device, both, half, play, transport_over

READ: Request = (Op.READ, 0, b"/a\0")
SOON = 0.01
LONG = 30.0


def ok(op: int, req_id: int) -> bytes:
    return encode(op, req_id, 0, b"OK\0")


@both
def test_each_message_is_a_write_of_its_own_and_waits_for_the_answer_to_the_one_before(mode: str) -> None:
    async def scenario() -> None:
        with Device() as device:
            transport = transport_over(mode, device.link)
            requests = [(Op.READ, 0, b"/%d\0" % number + bytes(number * 50)) for number in range(60)]
            replies = await transport.exchange(requests, LONG)
            assert [reply.payload for reply in replies] == [b"%d" % number for number in range(1, 61)]
            assert [packet.payload for packet in device.received()] == [request[2] for request in requests]
            await transport.close()

    play(mode, scenario())


@both
def test_a_request_that_was_given_up_still_holds_back_the_next(mode: str) -> None:
    async def scenario() -> None:
        with Device() as device:
            transport = transport_over(mode, device.link)
            device.answers[2] = None
            with pytest.raises(Timeout, match=r"read of /a \(and 1 more\)"):
                await transport.exchange([READ, READ, READ], SOON)
            with pytest.raises(Timeout):
                await transport.exchange([READ], SOON)
            assert [packet.req_id for packet in device.received()] == [1, 2]
            device.late(2, b"late")
            assert (await transport.exchange([READ], LONG))[0].payload == b"5"
            assert [packet.req_id for packet in device.received()] == [5]
            assert device.spoilt == []
            await transport.close()

    play(mode, scenario())


def test_tasks_take_turns() -> None:
    async def scenario() -> None:
        with Device() as device:
            transport = transport_over("aio", device.link)
            device.answers[1] = None
            tasks = [asyncio.create_task(transport.exchange([READ, READ], LONG)) for _ in range(3)]
            await asyncio.sleep(0)
            tasks[1].cancel()
            await asyncio.sleep(0)
            assert [packet.req_id for packet in device.written] == [1]
            device.late(1, b"one")
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(outcomes[1], asyncio.CancelledError)
            assert [packet.req_id for packet in device.received()] == [1, 2, 5, 6]
            assert device.spoilt == []
            await transport.close()

    asyncio.run(scenario())


@both
def test_the_largest_message_is_smaller_than_a_sockets(mode: str) -> None:
    async def scenario() -> None:
        with Device() as device:
            transport = transport_over(mode, device.link)
            await transport.exchange([(Op.WRITE, 0, bytes(DEVICE_MAX_PAYLOAD))], LONG)
            with pytest.raises(LocalProtocolError, match="at most 4080 bytes"):
                await transport.exchange([(Op.WRITE, 0, bytes(DEVICE_MAX_PAYLOAD + 1))], LONG)
            await transport.close()

    play(mode, scenario())


@both
def test_old_kernels_answer_watches_without_an_id_and_fill_events_with_rubbish(mode: str) -> None:
    async def scenario() -> None:
        with Device() as device:
            transport = transport_over(mode, device.link)
            events: list[bytes] = []
            transport.on_event = events.append
            rubbish = encode(Op.WATCH_EVENT, 0xDEADBEEF, 7, b"/a\0t\0")
            device.answers = {1: rubbish + ok(Op.WATCH, 0), 2: ok(Op.WATCH, 0), 3: ok(Op.UNWATCH, 0)}
            requests = [
                (Op.WATCH, 0, b"/a\0t\0"),
                (Op.WATCH, 0, b"/b\0t\0"),
                (Op.UNWATCH, 0, b"/a\0t\0"),
                READ,
            ]
            replies = await transport.exchange(requests, LONG)
            assert [reply.payload for reply in replies] == [b"OK\0", b"OK\0", b"OK\0", b"4"]
            assert events == [b"/a\0t\0"]
            await transport.close()

    play(mode, scenario())


@both
@pytest.mark.parametrize(("number", "name"), [(84, b"EIO"), (2, b"ENOENT"), (7, b"E2BIG")])
def test_a_write_that_fails_is_that_requests_error_and_no_others(mode: str, number: int, name: bytes) -> None:
    async def scenario() -> None:
        with Device() as device:
            transport = transport_over(mode, device.link)
            device.refuse[2] = number  # (84 is EILSEQ, which no server would send)
            replies = await transport.exchange([READ, (Op.WATCH, 0, b"/a"), READ], LONG)
            assert [reply.payload for reply in replies] == [b"1", name + b"\0", b"3"]
            assert replies[1].op == Op.ERROR
            await transport.close()

    play(mode, scenario())


@both
def test_a_device_that_has_gone_ends_the_connection(mode: str) -> None:
    async def scenario() -> None:
        with Device() as device:
            transport = transport_over(mode, device.link)
            device.refuse[1] = 19  # ENODEV
            with pytest.raises(Closed) as caught:
                await transport.exchange([READ], LONG)
            assert caught.value.errno == 19

    play(mode, scenario())


def test_closing_wakes_a_thread_that_waits_for_a_reply() -> None:
    with Device() as device:
        transport = BlockingTransport(device.link)
        device.answers[1] = None
        outcome: list[BaseException] = []

        def ask() -> None:
            try:
                run_blocking(transport.exchange([READ], LONG))
            except Closed as error:
                outcome.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while not device.written:
            thread.join(0)
        run_blocking(transport.close())
        thread.join()
        assert len(outcome) == 1


def test_what_is_a_device_is_seen_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert is_device("/dev/null")
    assert not is_device(tmp_path / "file")
    assert not is_device(tmp_path / "missing")
    assert not is_device("with\0nul")


@both
def test_a_device_is_opened_by_its_path(mode: str) -> None:
    async def scenario() -> None:
        # /dev/null takes every write, and its end of file is what a device that died looks like.
        transport = await half(mode).Connector("/dev/null").connect(LONG)
        await transport.close()

    if mode == "blocking":  # epoll refuses /dev/null
        play(mode, scenario())


def test_a_missing_device_is_told() -> None:
    with pytest.raises(
        ConnectError, match="cannot reach the Xen Store at /dev/no-such-device: there is no such"
    ):
        open_device("/dev/no-such-device")


def test_a_forgotten_device_closes_itself_and_warns() -> None:
    fd = os.open("/dev/null", os.O_RDWR)
    link = DeviceLink(io.FileIO(fd, "r+"))
    with pytest.warns(ResourceWarning):
        del link
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_connectors_keep_their_path() -> None:
    assert Connector("/x").path == "/x"
