"""What only the asyncio transport has to do: many tasks, cancellation."""

from __future__ import annotations

import asyncio

import pytest

from purevirt.channels.xenstore.aio import AsyncioTransport
from purevirt.channels.xenstore.transport import Request
from purevirt.errors import Closed, Timeout, XenError
from purevirt.wire.xenstore import Op
from tests.channels.xenstore.fakes import Echo, Wire

READ: Request = (Op.READ, 0, b"/a\0")
SOON = 0.01
LONG = 30.0


def test_tasks_share_a_connection_and_replies_may_overtake_each_other() -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = AsyncioTransport(wire.link)
            first = asyncio.create_task(transport.exchange([READ, READ], LONG))
            second = asyncio.create_task(transport.exchange([READ], LONG))
            await asyncio.sleep(0)
            wire.send((Op.READ, 3, b"three"), (Op.READ, 2, b"two"))
            assert (await second)[0].payload == b"three"
            assert not first.done()
            wire.send((Op.READ, 1, b"one"))
            assert [reply.payload for reply in await first] == [b"one", b"two"]
            await transport.close()

    asyncio.run(scenario())


def test_a_thousand_tasks_at_once() -> None:
    async def scenario() -> None:
        with Wire() as wire, Echo(wire.server):
            transport = AsyncioTransport(wire.link)
            asked = [transport.exchange([(Op.READ, 0, b"/%d\0" % n)], LONG) for n in range(1000)]
            replies = await asyncio.gather(*asked)
            assert [reply[0].payload for reply in replies] == [b"/%d" % n for n in range(1000)]
            await transport.close()

    asyncio.run(scenario())


def test_a_cancelled_task_leaves_its_reply_to_be_dropped() -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = AsyncioTransport(wire.link)
            task = asyncio.create_task(transport.exchange([READ], LONG))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            wire.send((Op.READ, 1, b"late"), (Op.READ, 2, b"mine"))
            assert (await transport.exchange([READ], LONG))[0].payload == b"mine"
            await transport.close()

    asyncio.run(scenario())


def test_everything_that_waits_fails_when_the_server_goes() -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = AsyncioTransport(wire.link)
            tasks = [asyncio.create_task(transport.exchange([READ], None)) for _ in range(3)]
            events = asyncio.create_task(transport.wait_events(lambda: False, None))
            await asyncio.sleep(0)
            wire.received()  # a socket with unread bytes would say ECONNRESET
            wire.server.close()
            outcomes = await asyncio.gather(*tasks, events, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [Closed] * 4
            assert all("the Xen Store closed it" in str(outcome) for outcome in outcomes)

    asyncio.run(scenario())


def test_closing_ends_whatever_waits() -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = AsyncioTransport(wire.link)
            task = asyncio.create_task(transport.exchange([READ], None))
            await asyncio.sleep(0)
            await transport.close()
            with pytest.raises(Closed, match="is closed"):
                await task

    asyncio.run(scenario())


def test_requests_that_were_given_up_before_they_were_sent_are_forgotten() -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = AsyncioTransport(wire.link)
            flood = [(Op.WRITE, 0, b"/%04d\0" % number + bytes(4000)) for number in range(500)]
            with pytest.raises(Timeout):
                await transport.exchange(flood, SOON)
            for _ in range(3):  # the socket is full: none of these gets to the wire
                with pytest.raises(Timeout):
                    await transport.exchange([READ], 0)
            last = asyncio.create_task(transport.exchange([READ], LONG))
            await asyncio.sleep(0)
            arrived = wire.received()
            while not arrived or arrived[-1].op != Op.READ:
                await asyncio.sleep(0)
                arrived += wire.received()
            assert [packet.req_id for packet in arrived if packet.op == Op.READ] == [504]
            wire.send((Op.READ, 504, b"v"))
            assert (await last)[0].payload == b"v"
            await transport.close()

    asyncio.run(scenario())


def test_a_broken_stream_fails_every_task_with_the_reason() -> None:
    async def scenario() -> None:
        with Wire() as wire:
            transport = AsyncioTransport(wire.link)
            tasks = [asyncio.create_task(transport.exchange([READ], None)) for _ in range(2)]
            await asyncio.sleep(0)
            wire.server.sendall(b"\xff" * 16)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(outcome, XenError) and "claims" in str(outcome) for outcome in outcomes)

    asyncio.run(scenario())
