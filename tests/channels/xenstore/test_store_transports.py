"""Both transports, over a socket whose other end is the test."""

from __future__ import annotations

import socket
import struct

import pytest

from purevirt.channels.xenstore.transport import Request
from purevirt.errors import Closed, LocalProtocolError, RemoteProtocolError, Timeout
from purevirt.wire.xenstore import Op, encode
from tests.channels.xenstore.fakes import Echo, Wire, both, play, transport_over

READ: Request = (Op.READ, 0, b"/a\0")
SOON = 0.01  # for what never comes
LONG = 30.0  # for what comes


@both
def test_a_pipeline_is_sent_whole_and_answered_in_order(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            wire.send((Op.READ, 2, b"two"), (Op.WRITE, 1, b"OK\0"))
            replies = await transport.exchange([(Op.WRITE, 7, b"/a\0v"), (Op.READ, 7, b"/b\0")], LONG)
            assert [reply.payload for reply in replies] == [b"OK\0", b"two"]
            assert wire.received() == [(Op.WRITE, 1, 7, b"/a\0v"), (Op.READ, 2, 7, b"/b\0")]
            await transport.close()

    play(mode, scenario())


@both
def test_nothing_to_ask_is_nothing_to_send(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            assert await transport.exchange([], LONG) == []
            assert wire.received() == []
            await transport.close()

    play(mode, scenario())


@both
def test_replies_may_come_in_pieces(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            packet = encode(Op.READ, 1, 0, b"value")
            wire.server.sendall(packet[:7])
            with pytest.raises(Timeout):
                await transport.exchange([READ], SOON)
            wire.server.sendall(packet[7:] + encode(Op.READ, 2, 0, b"next"))
            assert (await transport.exchange([READ], LONG))[0].payload == b"next"
            await transport.close()

    play(mode, scenario())


@both
def test_a_time_out_names_the_request_and_leaves_the_connection_usable(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            wire.send((Op.READ, 1, b"first"))
            with pytest.raises(Timeout, match=r"did not answer read of /b within 0\.01 s") as caught:
                await transport.exchange([READ, (Op.READ, 0, b"/b\0")], SOON)
            assert (caught.value.operation, caught.value.path) == ("read", "/b")
            assert isinstance(caught.value, TimeoutError)
            assert not transport.closed
            wire.send((Op.READ, 2, b"too late"), (Op.READ, 3, b"in time"))
            assert (await transport.exchange([READ], LONG))[0].payload == b"in time"
            await transport.close()

    play(mode, scenario())


@both
def test_another_requests_id_ends_the_connection(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            wire.send((Op.READ, 99, b"whose?"))
            with pytest.raises(RemoteProtocolError, match="request 99, which was never sent"):
                await transport.exchange([READ], LONG)
            assert transport.closed
            with pytest.raises(Closed, match="request 99"):
                await transport.exchange([READ], LONG)

    play(mode, scenario())


@both
@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", struct.pack("=4I", 2, 1, 0, 4097)])
def test_garbage_ends_the_connection(mode: str, garbage: bytes) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            wire.server.sendall(garbage)
            with pytest.raises(RemoteProtocolError, match="a XenStore packet claims"):
                await transport.exchange([READ], LONG)
            with pytest.raises(Closed):
                await transport.exchange([READ], LONG)

    play(mode, scenario())


@both
@pytest.mark.parametrize("before", [b"", encode(Op.READ, 1, 0, b"value")[:20]])
def test_a_server_that_goes_away_is_told_as_closed(mode: str, before: bytes) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            wire.server.sendall(before)
            wire.server.shutdown(socket.SHUT_WR)
            with pytest.raises(Closed, match="the Xen Store closed it"):
                await transport.exchange([READ], LONG)
            assert transport.closed
            with pytest.raises(Closed, match="lost"):
                await transport.exchange([READ], LONG)

    play(mode, scenario())


@both
def test_sending_to_a_server_that_has_gone_is_told_with_the_errno(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            wire.server.close()
            with pytest.raises(Closed) as caught:
                await transport.exchange([READ], LONG)
            assert caught.value.errno_name in ("EPIPE", None)  # who notices first: the send, or the reader

    play(mode, scenario())


@both
def test_after_close_every_call_says_so_and_closing_again_is_fine(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            await transport.close()
            await transport.close()
            assert transport.closed
            for call in (
                transport.exchange([READ], LONG),
                transport.poll_events(),
                transport.wait_events(lambda: False, LONG),
            ):
                with pytest.raises(Closed, match="the connection to the Xen Store is closed"):
                    await call

    play(mode, scenario())


@both
def test_a_request_that_is_too_long_is_not_sent(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            with pytest.raises(LocalProtocolError, match="at most 4096 bytes"):
                await transport.exchange([READ, (Op.WRITE, 0, bytes(4097))], LONG)
            assert wire.received() == []
            wire.send((Op.READ, 1, b"fine"))
            assert (await transport.exchange([READ], LONG))[0].payload == b"fine"
            await transport.close()

    play(mode, scenario())


@both
def test_a_large_pipeline_does_not_hang_on_a_server_that_waits_for_its_replies_to_be_read(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire, Echo(wire.server):
            transport = transport_over(mode, wire.link)
            paths = [b"/%d/" % number + b"x" * 1000 for number in range(2000)]
            replies = await transport.exchange([(Op.READ, 0, path + b"\0") for path in paths], LONG)
            assert [reply.payload for reply in replies] == paths
            await transport.close()

    play(mode, scenario())


@both
def test_a_packet_that_was_begun_is_finished_after_a_time_out(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            requests = [(Op.WRITE, 0, b"/%04d\0" % number + bytes(4000)) for number in range(500)]
            with pytest.raises(Timeout):
                await transport.exchange(requests, SOON)
            begun = wire.received()  # the socket was full: now there is room
            with pytest.raises(Timeout):
                await transport.exchange([READ], SOON)
            arrived = begun + wire.received()
            assert len(arrived) < 400
            assert arrived[-1].op == Op.READ
            assert [packet.req_id for packet in arrived[:-1]] == list(range(1, len(arrived)))
            wire.send((Op.READ, 502, b"still in step"))
            assert (await transport.exchange([READ], LONG))[0].payload == b"still in step"
            await transport.close()

    play(mode, scenario())


@both
def test_events_are_handed_over_while_replies_are_awaited(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            events: list[bytes] = []
            transport.on_event = events.append
            assert transport.on_event is not None
            wire.send((Op.WATCH_EVENT, 0, b"/a\0t\0"), (Op.READ, 1, b"v"), (Op.WATCH_EVENT, 0, b"/b\0t\0"))
            await transport.exchange([READ], LONG)
            await transport.poll_events()
            assert events == [b"/a\0t\0", b"/b\0t\0"]
            await transport.close()

    play(mode, scenario())


@both
def test_events_can_be_waited_for_and_polled(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            events: list[bytes] = []
            transport.on_event = events.append

            def ready() -> bool:
                return len(events) >= 2

            assert not await transport.wait_events(ready, SOON)
            assert not await transport.wait_events(ready, 0)
            await transport.poll_events()
            wire.send((Op.WATCH_EVENT, 0, b"/a\0t\0"))
            await transport.poll_events()
            assert events == [b"/a\0t\0"]
            wire.send((Op.WATCH_EVENT, 0, b"/b\0t\0"))
            assert await transport.wait_events(ready, LONG)
            assert await transport.wait_events(ready, 0)
            await transport.close()

    play(mode, scenario())


@both
def test_waiting_for_events_ends_with_the_connection(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            wire.server.shutdown(socket.SHUT_WR)
            with pytest.raises(Closed, match="lost"):
                await transport.wait_events(lambda: False, LONG)

    play(mode, scenario())


@both
def test_pausing_waits(mode: str) -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = transport_over(mode, wire.link)
            await transport.pause(0)
            await transport.close()

    play(mode, scenario())
