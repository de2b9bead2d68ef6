"""Both socket transports: blocking in this thread, asyncio in a loop, each to a server in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from purevirt._run import run_blocking
from purevirt.channels.hypercall.aio import AsyncioTransport
from purevirt.channels.hypercall.blocking import SocketTransport
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.hypercall.dial import dial
from purevirt.errors import Closed, ConnectError, LocalProtocolError, RemoteProtocolError, Timeout
from purevirt.host.hypercall_server import HypercallServer
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.hypercall.frames import CallDecoder, encode_answer, encode_hello
from purevirt.wire.hypercall.values import Answer, Extent, Hypercall

VERSION = Hypercall(17, (0, 0))


class Runner:
    """Runs coroutines in one of the two modes."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.loop = asyncio.new_event_loop() if mode == "aio" else None

    def __call__(self, coro: Any) -> Any:
        return run_blocking(coro) if self.loop is None else self.loop.run_until_complete(coro)

    def connect(self, path: str, timeout: float | None = 5) -> Any:
        if self.loop is None:
            return SocketTransport.connect(path, timeout)
        return self(AsyncioTransport.connect(path, timeout))


@pytest.fixture(params=["blocking", "aio"])
def run(request: pytest.FixtureRequest) -> Iterator[Runner]:
    runner = Runner(request.param)
    yield runner
    if runner.loop is not None:
        runner.loop.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    """A simulated hypervisor's socket; the root is the directory it is in."""
    path = str(tmp_path / "dev" / "xen" / "privcmd")
    os.makedirs(os.path.dirname(path))
    started = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        server = HypercallServer(Hypervisor(), path)
        await server.start()
        started.set()
        await stop.wait()
        await server.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait()
    yield path
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


Script = Callable[[socket.socket], None]


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Callable[[Script], str]]:
    """Whatever a test wants to find behind a socket: a function that is given one connection."""
    threads: list[threading.Thread] = []
    listeners: list[socket.socket] = []

    def start(script: Script) -> str:
        path = str(tmp_path / f"stranger{len(threads)}")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        listeners.append(listener)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                script(connection)

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return path

    yield start
    for thread in threads:
        thread.join()
    for listener in listeners:
        listener.close()


def receive_call(connection: socket.socket) -> tuple[int, Hypercall]:
    decoder = CallDecoder()
    while (found := decoder.next()) is None:
        data = connection.recv(65536)
        assert data
        decoder.feed(data)
    return found


def test_a_hypervisor_answers(run: Runner, host: str) -> None:
    transport = run.connect(host)
    assert transport.arch == "x86_64"
    client = run(HypercallClient.open(transport))
    assert [info.domid for info in run(client.domain_infos())] == [0]
    run(client.close())
    with pytest.raises(Closed):
        run(client.domain_infos())
    transport.close()


def test_dial_finds_the_socket_below_a_root(run: Runner, host: str) -> None:
    root = host.removesuffix("/dev/xen/privcmd")
    transport = run(dial(root, run.mode, 5))
    assert isinstance(transport, SocketTransport if run.mode == "blocking" else AsyncioTransport)
    assert run(transport.call(VERSION, 5)).value == 4 << 16 | 17
    transport.close()


def test_dial_says_what_is_missing(run: Runner, tmp_path: Path) -> None:
    with pytest.raises(ConnectError) as caught:
        run(dial(str(tmp_path), run.mode, 5))
    assert caught.value.path == f"{tmp_path}/dev/xen/privcmd"
    assert caught.value.errno_name == "ENOENT"


def test_nobody_listens(run: Runner, tmp_path: Path) -> None:
    path = str(tmp_path / "privcmd")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
    with pytest.raises(ConnectError, match="nobody listens"):
        run.connect(path)


def test_something_else_listens(run: Runner, stranger: Callable[[Script], str]) -> None:
    path = stranger(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with pytest.raises(RemoteProtocolError, match="does not greet"):
        run.connect(path)


@pytest.mark.parametrize("greeting", [b"", b"PVHC"])
def test_one_that_hangs_up_instead_of_greeting(
    run: Runner, stranger: Callable[[Script], str], greeting: bytes
) -> None:
    path = stranger(lambda connection: connection.sendall(greeting))
    with pytest.raises((Closed, RemoteProtocolError)):
        run.connect(path)


def test_one_that_never_greets(run: Runner, stranger: Callable[[Script], str]) -> None:
    done = threading.Event()

    def script(connection: socket.socket) -> None:
        done.wait()

    path = stranger(script)
    with pytest.raises(Timeout, match=r"within 0\.02 s"):
        run.connect(path, 0.02)
    done.set()


def test_a_late_answer_is_dropped_and_the_connection_stays(
    run: Runner, stranger: Callable[[Script], str]
) -> None:
    late = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(encode_hello("arm64"))
        first, _ = receive_call(connection)
        late.wait()
        connection.sendall(encode_answer(first, Answer(1)))
        second, _ = receive_call(connection)
        connection.sendall(encode_answer(second, Answer(2)))

    transport = run.connect(stranger(script))
    assert transport.arch == "arm64"
    with pytest.raises(Timeout):
        run(transport.call(VERSION, 0.02))
    late.set()
    assert run(transport.call(VERSION, 5)).value == 2
    transport.close()


def test_a_hypervisor_that_goes_away(run: Runner, stranger: Callable[[Script], str]) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(encode_hello("x86_64"))
        receive_call(connection)

    transport = run.connect(stranger(script))
    with pytest.raises(Closed, match="lost"):
        run(transport.call(VERSION, 5))
    with pytest.raises(Closed, match="lost"):
        run(transport.call(VERSION, 5))
    transport.close()


def test_garbage_ends_the_connection(run: Runner, stranger: Callable[[Script], str]) -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(encode_hello("x86_64"))
        receive_call(connection)
        connection.sendall(b"\xff" * 16)

    transport = run.connect(stranger(script))
    with pytest.raises(RemoteProtocolError, match="claims"):
        run(transport.call(VERSION, 5))
    with pytest.raises(Closed):
        run(transport.call(VERSION, 5))
    transport.close()


def test_an_answer_in_pieces(run: Runner, stranger: Callable[[Script], str]) -> None:
    def script(connection: socket.socket) -> None:
        for byte in encode_hello("x86_64"):
            connection.sendall(bytes([byte]))
        number, call = receive_call(connection)
        for byte in encode_answer(number, Answer(0, (call.extents[0].data[::-1],))):
            connection.sendall(bytes([byte]))

    transport = run.connect(stranger(script))
    answer = run(transport.call(Hypercall(1, (), (Extent(0, b"abc"),)), 5))
    assert answer == Answer(0, (b"cba",))
    transport.close()


def test_a_call_that_cannot_be_said_leaves_the_connection_as_it_was(run: Runner, host: str) -> None:
    transport = run.connect(host)
    with pytest.raises(LocalProtocolError):
        run(transport.call(Hypercall(1, (0,) * 6), 5))
    assert run(transport.call(VERSION, 5)).value > 0
    transport.close()


def test_a_fork_is_refused_in_the_child(run: Runner, host: str) -> None:
    transport = run.connect(host)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            transport._check()
        except Closed:
            transport.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert run(transport.call(VERSION, 5)).value > 0
    transport.close()


def test_threads_share_a_blocking_connection(host: str) -> None:
    transport = SocketTransport.connect(host, 5)
    wrong: list[Any] = []

    def work(number: int) -> None:
        extent = Extent(0x1000, bytes([number]) * (1000 + number))
        for _ in range(30):
            answer = run_blocking(transport.call(Hypercall(99, (), (extent,)), 5))
            if answer.extents != (extent.data,):
                wrong.append(answer)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    transport.close()


def test_closing_wakes_a_thread_that_waits(stranger: Callable[[Script], str]) -> None:
    asked, done = threading.Event(), threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(encode_hello("x86_64"))
        receive_call(connection)
        asked.set()
        done.wait()

    transport = SocketTransport.connect(stranger(script), 5)
    caught: list[BaseException] = []

    def work() -> None:
        try:
            run_blocking(transport.call(VERSION, None))
        except Closed as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    asked.wait()
    transport.close()
    thread.join()
    done.set()
    assert "closed" in str(caught[0])


def test_tasks_share_an_asyncio_connection_and_may_be_cancelled(host: str) -> None:
    async def body() -> None:
        transport = await AsyncioTransport.connect(host, 5)
        tasks = [asyncio.create_task(transport.call(VERSION, 5)) for _ in range(10)]
        tasks[3].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(answers[3], asyncio.CancelledError)
        assert all(isinstance(answer, Answer) for answer in answers[:3] + answers[4:])
        assert (await transport.call(VERSION, 5)).value > 0
        assert not transport._waiting
        transport.close()

    asyncio.run(body())
