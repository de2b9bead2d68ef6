"""Opening says precisely what is missing, and read-only never goes near the hypervisor."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import purevirt
from purevirt import testing
from purevirt.api.uri import root_uri
from purevirt.errors import ConnectError, ReadOnly

SRC = str(Path(purevirt.__file__).resolve().parents[1])


def opening(root: Path, *, read_only: bool = False) -> ConnectError:
    opener = purevirt.open_read_only if read_only else purevirt.open
    with pytest.raises(ConnectError) as caught:
        opener(root_uri(str(root)), timeout=1).close()
    assert caught.value.exit_status == 5
    assert caught.value.operation == "open"
    return caught.value


def dom0(root: Path) -> Path:
    (root / "proc/xen").mkdir(parents=True)
    (root / "proc/xen/capabilities").write_text("control_d\n")
    return root


def test_no_xen(tmp_path: Path) -> None:
    assert "no Xen below" in str(opening(tmp_path))
    assert "no Xen below" in str(opening(tmp_path, read_only=True))


def test_not_domain_0(tmp_path: Path) -> None:
    dom0(tmp_path)
    (tmp_path / "proc/xen/capabilities").write_text("\n")
    error = opening(tmp_path)
    assert "not Domain 0" in str(error)
    assert error.path == f"{tmp_path}/proc/xen/capabilities"


def test_no_privcmd(tmp_path: Path) -> None:
    error = opening(dom0(tmp_path))
    assert "modprobe xen-privcmd" in str(error)
    assert error.channel == "hypervisor"


def test_no_store(tmp_path: Path) -> None:
    error = opening(dom0(tmp_path), read_only=True)
    assert "is xenstored running?" in str(error)
    assert error.channel == "store"


def test_a_store_that_is_no_socket(tmp_path: Path) -> None:
    dom0(tmp_path)
    (tmp_path / "var/run/xenstored").mkdir(parents=True)
    (tmp_path / "var/run/xenstored/socket").write_text("not a socket")
    assert "it is no socket" in str(opening(tmp_path, read_only=True))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[testing.Host]:
    with testing.Host(str(tmp_path / "host")) as simulated:
        yield simulated


def test_a_host_without_a_store_says_so_and_leaves_nothing_open(host: testing.Host) -> None:
    os.rename(f"{host.root}/var/run/xenstored/socket", f"{host.root}/gone")
    assert "is xenstored running?" in str(opening(Path(host.root)))
    gc.collect()  # a socket left open would warn now, and a warning is an error


def test_a_very_long_path_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    with testing.Host(str(deep)) as simulated, purevirt.open(simulated.uri) as connection:
        assert len(simulated.root) > 200
        assert [info.name for info in connection.domain_infos()] == ["Domain-0", "test"]


AUDIT = """
import sys
touched = []
def hook(event, args):
    if event in ("open", "socket.connect") and "privcmd" in repr(args):
        touched.append((event, args))
sys.addaudithook(hook)
import purevirt
opener = getattr(purevirt, sys.argv[1])
with opener(sys.argv[2]) as host:
    for info in host.domain_infos():
        host.lookup_by_id(info.domid).info()
    host.domain_stats()
print(len(touched))
"""


@pytest.mark.parametrize(("opener", "touches"), [("open", True), ("open_read_only", False)])
def test_read_only_never_opens_privcmd(host: testing.Host, opener: str, touches: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AUDIT, opener, host.uri],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": SRC, "PATH": "/usr/bin:/bin"},
    )
    assert (int(done.stdout) > 0) is touches


AS_NOBODY = """
import os, sys
import purevirt
for opener in (purevirt.open, purevirt.open_read_only):
    with opener(sys.argv[2]) as connection:
        connection.domain_infos()  # whatever is loaded lazily is loaded while it can be read
os.setgroups([]); os.setgid(65534); os.setuid(65534)
from purevirt.errors import ConnectError
try:
    connection = getattr(purevirt, sys.argv[1])(sys.argv[2])
    print(connection._access.value)
    for info in connection.domain_infos():
        print(info.domid, info.name, info.state.name)
    connection.close()
except ConnectError as error:
    print(error.channel, error.errno_name, error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody without rights")
@pytest.mark.parametrize(
    ("opener", "words"),
    [
        ("open", "hypervisor EACCES hypercalls need root"),
        ("open_read_only", "store EACCES no read-only Xen Store socket"),
    ],
)
def test_a_user_without_root_is_told_what_would_help(opener: str, words: str) -> None:
    with testing.Host(xend=False) as simulated:
        assert as_nobody(simulated, opener).startswith(words)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody without rights")
def test_a_user_without_a_role_reads_the_store_that_the_daemon_brings() -> None:
    """No hypercalls, no root's socket, and a daemon that gives him no role: still he sees who is there."""
    with testing.Host() as simulated:
        shown = as_nobody(simulated, "open_read_only").splitlines()
    assert shown == ["ro", "0 Domain-0 NOSTATE", "1 test NOSTATE"]


def as_nobody(simulated: testing.Host, opener: str) -> str:
    for path in (simulated.root, *(f"{simulated.root}/{name}" for name in ("dev", "var", "run"))):
        if os.path.exists(path):
            os.chmod(path, 0o755)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, opener, simulated.uri],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": SRC, "PATH": "/usr/bin:/bin"},
        cwd="/",
    )
    return done.stdout


CHANGES: list[Callable[[purevirt.Store], object]] = [
    lambda store: store.write("/tool/x", "1"),
    lambda store: store.write_many({"/tool/x": "1"}),
    lambda store: store.mkdir("/tool/x"),
    lambda store: store.remove("/tool/x"),
    lambda store: store.set_permissions("/tool", ["r0"]),
    lambda store: store.introduce(1, 1, 1),
    lambda store: store.release(1),
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_refused_read_only(
    host: testing.Host, change: Callable[[purevirt.Store], object]
) -> None:
    with purevirt.open_read_only(host.uri) as connection:
        with pytest.raises(ReadOnly):
            change(connection.store)
        assert not connection.store.exists("/tool/x")
