"""The running daemon: its sockets, who is in its way, what it survives, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from purevirt import testing
from purevirt.daemons.xend import rpc, sockets
from purevirt.daemons.xend.service import Service
from purevirt.daemons.xend.settings import Settings
from purevirt.errors import ChannelUnavailable, ConnectError
from purevirt.programs.xend import start_xend
from tests.daemons.xend.world import World, both, until, world, xend

SOURCES = str(Path(sys.modules["purevirt"].__file__ or "").parents[1])


async def post(path: str, document: object, **headers: str) -> tuple[int, Any]:
    """One call over a real socket, with as little of a client as can be."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    fields = {
        "content-type": "application/json",
        **{key.replace("_", "-"): value for key, value in headers.items()},
    }
    head = "".join(f"{key}: {value}\r\n" for key, value in fields.items())
    return await send(
        path,
        f"POST /purevirt/v1/call HTTP/1.1\r\nhost: x\r\n{head}content-length: {len(body)}\r\n\r\n".encode()
        + body,
    )


async def send(path: str, data: bytes) -> tuple[int, Any]:
    async with asyncio.timeout(20):
        if path.startswith("/"):
            reader, writer = await asyncio.open_unix_connection(path)
        else:
            host, _, port = path.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(data)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
            body = await reader.readexactly(length)
        finally:
            writer.close()
    try:
        return int(head.split(" ")[1]), json.loads(body)
    except ValueError:
        return int(head.split(" ")[1]), body


# --- the RPC


def test_calls_over_the_socket(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, daemon):
            path = daemon.service.socket
            uuid = str(host.toolstack.find("test").uuid)
            status, answer = await post(path, {"operation": "whoami"})
            assert (status, answer["result"]["uid"], answer["result"]["role"]) == (200, os.geteuid(), "admin")
            _, answer = await post(path, {"operation": "list_domains", "domain": None, "arguments": {}})
            assert [(info["domid"], info["name"]) for info in answer["result"]] == [
                (0, "Domain-0"),
                (1, "test"),
            ]
            domain = {"domid": 1, "uuid": uuid, "name": "test"}
            assert await post(path, {"operation": "suspend", "domain": domain}) == (200, {"result": None})
            assert host.hypervisor.domain(1).paused == 1
            status, answer = await post(path, {"operation": "suspend", "domain": domain})
            error = answer["error"]
            assert (status, error["kind"], error["domain"]) == (409, "WrongState", "test")
            audit = daemon.audit()
            assert [line["result"] for line in audit] == ["done", "WrongState"]
            assert audit[0]["pid"] == os.getpid()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("document", "status", "kind"),
    [
        (b"", 400, "InvalidConfig"),
        (b"{", 400, "InvalidConfig"),
        (b"[" * 100000, 400, "InvalidConfig"),
        (b"\xff\xfe", 400, "InvalidConfig"),
        ([], 400, "InvalidConfig"),
        ({"operation": "explode"}, 400, "InvalidConfig"),
        ({"operation": "suspend"}, 400, "InvalidConfig"),
        ({"operation": "suspend", "domain": {}}, 400, "InvalidConfig"),
        ({"operation": "suspend", "domain": {"name": "nobody"}}, 404, "NoSuchDomain"),
        ({"operation": "suspend", "domain": {"domid": 0}}, 501, "Unsupported"),
        ({"operation": "block_stats", "domain": {"domid": 1}, "arguments": {"target": "xvdq"}}, 404, "NoSuchDevice"),
        ({"operation": "rename", "domain": {"domid": 1}, "arguments": {"name": "Domain-0"}}, 409, "DomainExists"),
        ({"operation": "shutdown", "domain": {"domid": 1}, "timeout": 0.01}, 504, "Timeout"),
        ({"operation": "list_domains", "timeout": -1}, 400, "InvalidConfig"),
        ({"operation": "lookup_uuid", "arguments": {"handle": "no uuid"}}, 400, "InvalidConfig"),
        ({"operation": "lookup_name", "arguments": {"name": ["a"]}}, 400, "InvalidConfig"),
        ({"operation": "domain_stats", "arguments": {"groups": ["dreams"]}}, 400, "InvalidConfig"),
        (b"[" + b"0," * 150000 + b"0]", 413, "InvalidConfig"),
    ],
)  # fmt: skip
def test_calls_that_fail_say_why(tmp_path: Path, document: object, status: int, kind: str) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (_, daemon):
            found, answer = await post(daemon.service.socket, document)
            assert (found, answer["error"]["kind"]) == (status, kind)
            assert set(answer["error"]) == {"kind", "message", "operation", "domain", "channel", "detail"}

    asyncio.run(main())


def test_methods_and_types_that_are_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (_, daemon):
            path = daemon.service.socket
            assert (await send(path, b"GET /purevirt/v1/call HTTP/1.1\r\nhost: x\r\n\r\n"))[0] == 405
            assert (await post(path, {}, content_type="text/plain"))[0] == 415
            assert (await send(path, b"GET /xend/domain HTTP/1.1\r\nhost: x\r\n\r\n"))[0] == 200

    asyncio.run(main())


def test_a_claim_in_the_request_changes_nothing(tmp_path: Path) -> None:
    """Who asks is what the kernel says: over TCP nobody, whatever the request pretends."""

    async def main() -> None:
        async with world(tmp_path) as host:
            await host.toolstack.create_test()
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            async with asyncio.timeout(30), xend(host, tcp=f"127.0.0.1:{port}") as daemon:
                where = f"127.0.0.1:{port}"
                claims = {"authorization": "Basic cm9vdDpyb290", "x_remote_user": "root", "x_uid": "0"}
                _, answer = await post(where, {"operation": "whoami", "uid": 0, "role": "admin"}, **claims)
                assert (answer["result"]["uid"], answer["result"]["role"]) == (-1, "reader")
                assert (await post(where, {"operation": "list_domains"}))[0] == 200
                status, answer = await post(where, {"operation": "suspend", "domain": {"domid": 1}}, **claims)
                assert (status, answer["error"]["kind"]) == (403, "Denied")
                assert host.hypervisor.domain(1).paused == 0
                assert daemon.audit()[-1]["uid"] == -1

    asyncio.run(main())


def test_500_idle_connections_are_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2048:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))

    async def main() -> None:
        async with asyncio.timeout(50), both(tmp_path) as (_, daemon):
            idle = [await asyncio.open_unix_connection(daemon.service.socket) for _ in range(500)]
            try:
                assert (await post(daemon.service.socket, {"operation": "list_domains"}))[0] == 200
            finally:
                for _, writer in idle:
                    writer.close()

    asyncio.run(main())


# --- sockets and directories


def test_what_is_there_while_it_runs_and_after(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as host, xend(host, read_only_store=True):
            modes = {
                name: stat.S_IMODE(os.lstat(f"{host.root}/{name}").st_mode)
                for name in (
                    "run/purevirt",
                    "run/purevirt/xend.sock",
                    "run/purevirt/socket_ro",
                    "var/lib/xend",
                    "var/lib/xend/xend-socket",
                )
            }
            assert list(modes.values()) == [0o755, 0o666, 0o666, 0o700, 0o600]
            assert (
                os.readlink(f"{host.root}/var/run/xenstored/socket_ro")
                == f"{host.root}/run/purevirt/socket_ro"
            )

    asyncio.run(main())
    left = {path.name for path in tmp_path.rglob("*") if path.is_socket() or path.is_symlink()}
    assert not left


def test_a_second_daemon_is_told_about_the_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with both(tmp_path) as (host, daemon):
            with pytest.raises(ConnectError, match=f"xend.sock is served already, by process {os.getpid()}"):
                await start_xend(host.root)
            assert (await post(daemon.service.socket, {"operation": "hostname"}))[0] == 200

    asyncio.run(main())


def test_a_socket_left_by_a_daemon_that_was_killed_is_replaced(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as host:
            os.makedirs(tmp_path / "run/purevirt", 0o755)
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(tmp_path / "run/purevirt/xend.sock"))
            async with xend(host) as daemon:
                assert (await post(daemon.service.socket, {"operation": "hostname"}))[0] == 200

    asyncio.run(main())


def test_somebody_else_who_answers_is_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as host:
            os.makedirs(tmp_path / "run/purevirt", 0o755)
            path = str(tmp_path / "run/purevirt/xend.sock")
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(path)
                other.listen(1)
                with pytest.raises(ConnectError, match="another daemon listens on"):
                    await start_xend(host.root)
                assert stat.S_ISSOCK(os.stat(path).st_mode)

    asyncio.run(main())


def _symlink(directory: Path) -> None:
    (directory.parent / "elsewhere").mkdir()
    directory.symlink_to(directory.parent / "elsewhere")


def _writable(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o777)


def _file(directory: Path) -> None:
    directory.write_text("")


def _stranger(directory: Path) -> None:
    directory.mkdir()
    os.chown(directory, 12345, 12345)


def _file_for_a_socket(directory: Path) -> None:
    directory.mkdir()
    (directory / "xend.sock").write_text("precious")


def _link_for_a_lock(directory: Path) -> None:
    directory.mkdir()
    (directory / "xend.sock.lock").symlink_to(directory.parent / "victim")


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (_symlink, "it is a symlink"),
        (_writable, "others may write in it"),
        (_file, "it is no directory"),
        pytest.param(
            _stranger,
            "it belongs to user 12345",
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="gives a directory away"),
        ),
        (_file_for_a_socket, "it is no socket"),
        (_link_for_a_lock, "cannot lock"),
    ],
)
def test_what_cannot_be_trusted_is_not_used(tmp_path: Path, prepare: Any, words: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as host:
            (tmp_path / "run").mkdir()
            prepare(tmp_path / "run" / "purevirt")
            with pytest.raises(ConnectError, match=words):
                await start_xend(host.root)
            assert not (tmp_path / "run" / "victim").exists()

    asyncio.run(main())


def test_directories_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        sockets.prepare_directory(str(tmp_path / "one"), 0o755)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "one").st_mode) == 0o755


@pytest.mark.parametrize(
    "address", ["", "nonsense", "127.0.0.1", "127.0.0.1:x", "localhost:80", "1.2.3.4:99999"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(ConnectError):
        sockets.listen_tcp(address)


def test_nothing_is_left_of_a_daemon_that_could_not_start(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as host:
            host.kill_xenstored()
            with pytest.raises(ConnectError, match="is xenstored running"):
                await start_xend(host.root)
            host.start_xenstored()
            async with xend(host) as daemon:
                assert (await post(daemon.service.socket, {"operation": "hostname"}))[0] == 200

    asyncio.run(main())


# --- what it survives


def test_xenstored_restarted_under_the_daemon(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(50), both(tmp_path) as (host, daemon):
            await daemon.call("list_domains")
            host.kill_xenstored()
            with pytest.raises(ChannelUnavailable, match="lost its host"):
                await daemon.call("domain_name", "test", timeout=20.0)
            with pytest.raises(ChannelUnavailable):
                await daemon.call("rename", "test", name="new", timeout=20.0)
            assert await daemon.call("whoami") is not None  # of its own knowledge, as ever
            host.hypervisor.destroy(1)  # unseen
            host.start_xenstored()
            events = await daemon.supervisor.journal.after(
                0, 30.0
            )  # the watches are there again, and nothing is missed
            assert [(event.kind.value, event.name) for event in events] == [("stopped", "test")]
            assert [info.name for info in await daemon.call("list_domains")] == ["Domain-0"]

    asyncio.run(main())


def test_the_hypervisor_of_a_simulated_host_restarted(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(50), both(tmp_path) as (host, daemon):
            await host.stop_hypervisor()
            with pytest.raises(ChannelUnavailable):
                await daemon.call("free_memory")
            with pytest.raises(ChannelUnavailable, match="looking for it again"):
                await daemon.call("free_memory")
            await host.start_hypervisor()
            await until(lambda: daemon.service.link._driver is not None)
            assert await daemon.call("free_memory")

    asyncio.run(main())


def test_a_call_under_way_is_finished_before_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(50), world(tmp_path) as host:
            await host.toolstack.create_test()
            service = Service(Settings(host.root, read_only_store=False))
            await service.start()
            asking = asyncio.create_task(
                post(service.socket, {"operation": "shutdown", "domain": {"domid": 1}})
            )
            async with _asked(host) as agree:
                stopping = asyncio.create_task(service.stop())
                await agree()
            assert await asking == (200, {"result": None})
            await stopping

    asyncio.run(main())


def test_who_waits_for_news_and_hangs_up_is_waited_for_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "HANG_UP_POLL", 0.001)

    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, daemon):
            body = json.dumps({"operation": "journal", "arguments": {"since": 0, "wait": 300.0}}).encode()
            head = (
                "POST /purevirt/v1/call HTTP/1.1\r\nhost: x\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}"
            )
            _, writer = await asyncio.open_unix_connection(f"{host.root}/run/purevirt/xend.sock")
            writer.write(head.encode() + b"\r\n\r\n" + body)
            journal = daemon.supervisor.journal
            await until(lambda: journal.waiting == 1)
            writer.close()
            await until(lambda: journal.waiting == 0)

    asyncio.run(main())


def test_who_waits_for_news_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(50), world(tmp_path) as host:
            service = Service(Settings(host.root, read_only_store=False))
            await service.start()
            news = {"operation": "journal", "arguments": {"since": 0, "wait": 300}}
            asking = asyncio.create_task(post(service.socket, news))
            await until(lambda: service.supervisor.journal.waiting)
            start = asyncio.get_running_loop().time()
            await service.stop()
            assert asyncio.get_running_loop().time() - start < 4.0
            assert await asking == (200, {"result": []})

    asyncio.run(main())


@contextlib.asynccontextmanager
async def _asked(host: World) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Once domain 1 has been asked to shut down: how it agrees."""
    node = "/local/domain/1/control/shutdown"
    watcher = await host.store.open_watcher()
    try:
        await watcher.add(node)
        while not await host.store.read(node):
            await watcher.next()
        yield lambda: host.store.write(node, "")
    finally:
        await watcher.close()


# --- as a process


@pytest.fixture
def simulated() -> Iterator[testing.Host]:
    with testing.Host(xend=False) as host:
        yield host


@pytest.mark.parametrize(
    "command", [["purevirt.daemons.xend"], ["purevirt", "xend", "--root"]], ids=["module", "command"]
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_ready_and_ends_on_a_signal(
    simulated: testing.Host, command: list[str], number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", *command, simulated.root],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCES},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        status, answer = asyncio.run(
            post(f"{simulated.root}/run/purevirt/xend.sock", {"operation": "count_domains"})
        )
        assert (status, answer) == (200, {"result": 2})
        process.send_signal(number)
        assert " info xend: serving on " in process.communicate(timeout=20)[1].splitlines()[0]
        assert process.returncode == 0
    assert not os.path.exists(f"{simulated.root}/run/purevirt/xend.sock")


def test_a_group_that_is_none_is_told(simulated: testing.Host) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "purevirt", "xend", "--root", simulated.root, "--reader-group", "no such"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCES},
    ) as process:
        assert process.stderr is not None
        assert " info xend: serving on " in process.stderr.readline()
        words = " warning xend: there is no group 'no such': nobody is in it until it is made\n"
        assert process.stderr.readline().endswith(words)
        process.terminate()
        assert process.wait(20) == 0


def test_a_process_that_cannot_start_says_why(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "purevirt.daemons.xend", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": SOURCES},
    )
    assert done.returncode == 5
    assert done.stderr.startswith("xend: no Xen below ")
    assert done.stderr.count("\n") == 1
