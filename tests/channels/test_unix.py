"""Socket paths of any length and any bytes, and what is said when there is nobody."""

from __future__ import annotations

import _socket
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from purevirt.channels import unix
from purevirt.errors import ConnectError, Timeout

WHAT = "the test"


@contextmanager
def listening(
    path: str | bytes | Path, kind: socket.SocketKind = socket.SOCK_STREAM
) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        with unix.BindAddress(path) as address:
            sock.bind(address)
        if kind == socket.SOCK_STREAM:
            sock.listen(1)
        yield sock


def long_directory(tmp_path: Path) -> Path:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    return deep


@pytest.mark.parametrize(
    "name", ["socket", "with space", "quo'te\"s", "ünïcode", "new\nline", os.fsdecode(b"no utf-8 \xff")]
)
@pytest.mark.parametrize("long", [False, True])
def test_any_path_can_be_bound_and_connected_to(tmp_path: Path, name: str, long: bool) -> None:
    path = (long_directory(tmp_path) if long else tmp_path) / name
    assert (len(os.fsencode(path)) > unix.MAX_PATH) == long
    with listening(path) as server:
        for attempt in (path, str(path), os.fsencode(path)):
            with closing(unix.connect(attempt, timeout=5, what=WHAT)) as client:
                accepted, _ = server.accept()
                with accepted:
                    client.sendall(b"hello")
                    assert accepted.recv(10) == b"hello"
                assert client.getblocking()


def test_a_path_of_exactly_107_bytes_needs_no_help(tmp_path: Path) -> None:
    base = str(tmp_path) + "/"
    for size in (unix.MAX_PATH, unix.MAX_PATH + 1):
        path = base + "x" * (size - len(base))
        with listening(path), closing(unix.connect(path, timeout=5, what=WHAT)):
            pass


def test_a_name_that_leaves_no_room_can_be_connected_to_but_not_bound(tmp_path: Path) -> None:
    name = "x" * 200
    (tmp_path / "short").touch()
    with listening(tmp_path / "s"):
        os.rename(tmp_path / "s", tmp_path / name)
        with closing(unix.connect(tmp_path / name, timeout=5, what=WHAT)):
            pass
    with pytest.raises(OSError, match="too long"), unix.BindAddress(tmp_path / ("y" * 200)):
        pass


def test_no_descriptor_is_left_behind(tmp_path: Path) -> None:
    path = long_directory(tmp_path) / "socket"
    before = set(os.listdir("/proc/self/fd"))
    with listening(path), closing(unix.connect(path, timeout=5, what=WHAT)):
        pass
    with pytest.raises(ConnectError):
        unix.connect(path.with_name("missing"), timeout=5, what=WHAT)
    with pytest.raises(ConnectError):
        unix.connect(tmp_path, timeout=5, what=WHAT)
    assert set(os.listdir("/proc/self/fd")) == before


def refused(path: str | bytes | Path, hint: str | None = None) -> ConnectError:
    with pytest.raises(ConnectError) as caught:
        unix.connect(path, timeout=5, what=WHAT, channel="store", hint=hint)
    with pytest.raises(ConnectError, match=str(caught.value).replace("(", r"\(").replace(")", r"\)")):
        unix.try_connect(path, what=WHAT, channel="store", hint=hint)
    return caught.value


@pytest.mark.parametrize("long", [False, True])
def test_a_missing_file_is_told(tmp_path: Path, long: bool) -> None:
    path = (long_directory(tmp_path) if long else tmp_path) / "missing"
    error = refused(path)
    assert str(error) == f"cannot reach the test at {path}: there is no such file"
    assert (error.errno, error.path, error.channel, error.exit_status) == (
        errno.ENOENT,
        str(path),
        "store",
        5,
    )


@pytest.mark.parametrize("long", [False, True])
def test_a_file_that_is_no_socket_is_told(tmp_path: Path, long: bool) -> None:
    path = (long_directory(tmp_path) if long else tmp_path) / "file"
    path.touch()
    assert str(refused(path)).endswith(": it is no socket")
    assert str(refused(path.parent)).endswith(": it is no socket")


@pytest.mark.parametrize("long", [False, True])
def test_a_socket_without_a_listener_is_told(tmp_path: Path, long: bool) -> None:
    path = (long_directory(tmp_path) if long else tmp_path) / "socket"
    with listening(path):
        pass
    error = refused(path)
    assert str(error).endswith(": nobody listens on it")
    assert error.errno == errno.ECONNREFUSED


def test_a_socket_of_another_kind_is_told(tmp_path: Path) -> None:
    with listening(tmp_path / "socket", socket.SOCK_DGRAM):
        assert str(refused(tmp_path / "socket")).endswith(": it is a socket of another kind, not a stream")


@pytest.mark.parametrize(
    ("path", "reason"), [("", "its path is empty"), ("/a\0b", "its path holds a NUL byte")]
)
def test_impossible_paths_are_told(path: str, reason: str) -> None:
    assert str(refused(path)) == f"cannot reach the test: {reason}"


def test_a_directory_in_between_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert str(refused(tmp_path / "file" / "socket")).endswith(": not a directory")


def test_a_denied_socket_says_whose_it_is_and_what_helps(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with listening(path):
        path.chmod(0o600)
        denied = PermissionError(errno.EACCES, "Permission denied")
        error = unix.explain(denied, path, what=WHAT, hint="become root")
    owner = f"user {os.getuid()}, group {os.getgid()}, mode 0600"
    assert str(error).endswith(f": permission denied (it belongs to {owner}); become root")
    assert error.errno == errno.EACCES
    path.unlink()
    hidden = unix.explain(denied, path, what=WHAT)
    assert str(hidden).endswith(": permission denied (on the way there)")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become nobody")
def test_a_socket_without_permission_is_denied(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    for directory in (tmp_path, *tmp_path.parents[:-1]):
        if directory.stat().st_uid == os.getuid() and directory != Path("/tmp"):
            directory.chmod(0o755)
    with listening(path):
        path.chmod(0o600)
        child = os.fork()
        if child == 0:  # pragma: no cover - another process, another user
            status = 1
            try:
                os.setgid(65534)
                os.setuid(65534)
                unix.connect(path, timeout=5, what=WHAT)
            except ConnectError as error:
                status = 0 if error.errno == errno.EACCES and "mode 0600" in str(error) else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_listener_that_takes_no_more_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    waiting: list[_socket.socket] = []
    with listening(path):
        while (sock := unix.try_connect(path, what=WHAT)) is not None:
            assert not sock.getblocking()
            waiting.append(sock)
        with pytest.raises(Timeout, match=r"did not take the connection within 0\.01 s"):
            unix.connect(path, timeout=0.01, what=WHAT)
    for sock in waiting:
        sock.close()


def test_forks_are_counted() -> None:
    before = unix.fork_generation()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        os._exit(0 if unix.fork_generation() == before + 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert unix.fork_generation() == before


def test_whether_somebody_listens_is_asked_without_a_word(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    def told() -> str | None:
        absence = unix.absence(path, what="the host")
        return None if absence is None else str(absence)

    assert told() == f"cannot reach the host at {path}: there is no such file"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        assert told() is None
        assert told() is None  # its backlog is full now: still, it is there
    assert told() == f"cannot reach the host at {path}: nobody listens on it"
