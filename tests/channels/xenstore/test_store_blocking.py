"""What only the blocking transport has to do: threads, forks, interrupts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from purevirt._run import run_blocking
from purevirt.channels.xenstore.blocking import BlockingTransport
from purevirt.channels.xenstore.transport import Request
from purevirt.errors import Closed, Timeout
from purevirt.wire.xenstore import Op
from tests.channels.xenstore.fakes import Echo, Wire

READ: Request = (Op.READ, 0, b"/a\0")
SOON = 0.01
LONG = 30.0


@contextmanager
def thread(target: object, *args: object) -> Iterator[list[BaseException]]:
    """A thread whose exceptions are kept; joined at the end of the block."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            target(*args)  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)

    worker = threading.Thread(target=run)
    worker.start()
    try:
        yield failures
    finally:
        worker.join()


def test_threads_share_a_connection_and_get_their_own_replies() -> None:
    with Wire() as wire, Echo(wire.server):
        transport = BlockingTransport(wire.link)

        def ask(number: int) -> None:
            for turn in range(50):
                path = b"/%d/%d" % (number, turn)
                (reply,) = run_blocking(transport.exchange([(Op.READ, 0, path + b"\0")], LONG))
                assert reply.payload == path

        with thread(ask, 1) as one, thread(ask, 2) as two, thread(ask, 3) as three:
            pass
        assert [*one, *two, *three] == []
        run_blocking(transport.close())


def test_a_thread_waits_for_the_connection_no_longer_than_it_may() -> None:
    with Wire() as wire:
        transport = BlockingTransport(wire.link)
        with thread(lambda: run_blocking(transport.exchange([READ], LONG))) as failures:
            wire.server.recv(100)  # the other thread has asked, and holds the connection
            with pytest.raises(Timeout, match="busy"):
                run_blocking(transport.exchange([READ], SOON))
            assert not run_blocking(transport.wait_events(lambda: False, SOON))
            run_blocking(transport.poll_events())
            wire.send((Op.READ, 1, b"v"))
        assert failures == []
        run_blocking(transport.close())


def test_closing_wakes_a_thread_that_waits_for_a_reply() -> None:
    with Wire() as wire:
        transport = BlockingTransport(wire.link)
        with thread(lambda: run_blocking(transport.exchange([READ], LONG))) as failures:
            wire.server.recv(100)
            run_blocking(transport.close())
        assert [type(failure) for failure in failures] == [Closed]
        assert wire.link.fileno() == -1


def test_closing_wakes_a_thread_that_waits_for_events() -> None:
    with Wire() as wire:
        transport = BlockingTransport(wire.link)
        waiting = threading.Event()

        def ready() -> bool:
            waiting.set()
            return False

        with thread(lambda: run_blocking(transport.wait_events(ready, None))) as failures:
            waiting.wait()
            run_blocking(transport.close())
        assert [type(failure) for failure in failures] == [Closed]
        assert wire.link.fileno() == -1


def test_an_event_that_another_thread_receives_reaches_the_one_that_waits() -> None:
    with Wire() as wire:
        transport = BlockingTransport(wire.link)
        events: list[bytes] = []
        transport.on_event = events.append
        waiting = threading.Event()

        def ready() -> bool:
            waiting.set()
            return bool(events)

        def wait() -> None:
            assert run_blocking(transport.wait_events(ready, LONG))

        with thread(wait) as failures:
            waiting.wait()
            wire.send((Op.WATCH_EVENT, 0, b"/a\0t\0"))
            while not events:  # whichever of the two threads receives it
                run_blocking(transport.poll_events())
        assert failures == []
        assert events == [b"/a\0t\0"]
        run_blocking(transport.close())


def test_a_child_process_is_refused_and_the_parent_is_not_disturbed() -> None:
    with Wire() as wire:
        transport = BlockingTransport(wire.link)
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            status = 1
            try:
                run_blocking(transport.exchange([READ], LONG))
            except Closed as error:
                if "made before a fork" in str(error) and transport.closed:
                    run_blocking(transport.close())
                    status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        wire.send((Op.READ, 1, b"v"))
        assert run_blocking(transport.exchange([READ], LONG))[0].payload == b"v"
        run_blocking(transport.close())


class Interrupt(Exception):
    pass


def test_an_interrupt_while_waiting_leaves_the_connection_usable() -> None:
    with Wire() as wire:
        transport = BlockingTransport(wire.link)
        poll = transport._poll

        def interrupted(timeout: float | None = None) -> list[tuple[int, int]]:
            transport._poll = poll
            raise Interrupt

        transport._poll = interrupted
        with pytest.raises(Interrupt):
            run_blocking(transport.exchange([READ], LONG))
        wire.send((Op.READ, 1, b"late"), (Op.READ, 2, b"v"))
        assert run_blocking(transport.exchange([READ], LONG))[0].payload == b"v"
        run_blocking(transport.close())


def test_an_interrupt_while_bytes_are_moving_closes_the_connection() -> None:
    class Interrupted:
        """A link on which a signal arrives after the bytes have left the socket."""

        max_payload = 4096
        can_shutdown = True
        one_at_a_time = False

        def __init__(self, wire: Wire) -> None:
            self.fileno = wire.link.fileno
            self.send = wire.link.send
            self.tell_when_read = wire.link.tell_when_read
            self.shutdown = wire.link.shutdown
            self.close = wire.link.close
            self._receive = wire.link.receive

        def receive(self, size: int) -> bytes:
            self._receive(size)
            raise Interrupt

    with Wire() as wire:
        transport = BlockingTransport(Interrupted(wire))
        wire.send((Op.READ, 1, b"v"))
        with pytest.raises(Interrupt):
            run_blocking(transport.exchange([READ], LONG))
        assert transport.closed
        with pytest.raises(Closed, match="interrupted in the middle"):
            run_blocking(transport.exchange([READ], LONG))
