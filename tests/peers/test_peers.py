"""The real daemons start, answer the real clients and die for certain."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import peers

pytestmark = pytest.mark.peers
DEADLINE = 10.0
READ, WRITE, ERROR = 2, 11, 16


@pytest.fixture(params=sorted(peers.DAEMONS))
def peer(request: pytest.FixtureRequest) -> Iterator[peers.Peer]:
    peers.need()
    with peers.DAEMONS[request.param]() as running:
        yield running


def test_real_clients_write_list_and_read(peer: peers.Peer) -> None:
    peers.tool("xenstore-write", peer.socket, "/a/b", "first", "/a/c", "second")
    assert peers.tool("xenstore-list", peer.socket, "/a").stdout.split() == ["b", "c"]
    assert peers.tool("xenstore-read", peer.socket, "/a/c").stdout == "second\n"
    assert peers.tool("xenstore-ls", peer.socket, "-f", "/a").stdout == '/a/b = "first"\n/a/c = "second"\n'
    peers.tool("xenstore-chmod", peer.socket, "/a/b", "r0", "w5")
    assert "(r0,w5)" in peers.tool("xenstore-ls", peer.socket, "-p", "/a").stdout
    peers.tool("xenstore-rm", peer.socket, "/a/b")
    assert peers.tool("xenstore-exists", peer.socket, "/a/b", check=False).returncode == 1


def test_a_failing_client_is_an_error_unless_asked_for(peer: peers.Peer) -> None:
    with pytest.raises(peers.PeerError, match="couldn't read path /nowhere"):
        peers.tool("xenstore-read", peer.socket, "/nowhere")
    assert peers.tool("xenstore-read", peer.socket, "/nowhere", check=False).returncode == 1


def test_a_watch_reports_what_another_client_writes(peer: peers.Peer) -> None:
    with peers.start_tool("xenstore-watch", peer.socket, "-n", "2", "/w") as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "/w\n"  # the event of its registration
        peers.tool("xenstore-write", peer.socket, "/w/x", "1")
        assert watch.stdout.readline() == "/w/x\n"
        assert watch.wait(DEADLINE) == 0


def test_xens_own_test_program_passes(peer: peers.Peer) -> None:
    assert "ta rmw" in peers.test_xenstore(peer.socket)


def test_a_guest_reads_what_it_may_and_nothing_else(peer: peers.Peer) -> None:
    peers.tool("xenstore-write", peer.socket, "/open", "yes", "/closed", "no")
    peers.tool("xenstore-chmod", peer.socket, "/open", "n0", "r7")
    with peer.guest(7) as guest:
        guest.send(_read("/open", req_id=1) + _read("/closed", req_id=2))
        assert guest.packet() == (READ, 1, 0, b"yes")
        assert guest.packet() == (ERROR, 2, 0, b"EACCES\0")


def test_a_guests_long_requests_wrap_around_its_ring(peer: peers.Peer) -> None:
    peers.tool("xenstore-write", peer.socket, "/long", "v" * 1500)
    peers.tool("xenstore-chmod", peer.socket, "/long", "r0")
    with peer.guest(8) as guest:
        for number in range(5):
            guest.send(_read("/long", req_id=number))
            assert guest.packet() == (READ, number, 0, b"v" * 1500)


def test_the_death_of_a_guest_is_an_event(peer: peers.Peer) -> None:
    with peer.guest(9), peers.start_tool("xenstore-watch", peer.socket, "-n", "2", "@releaseDomain") as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "@releaseDomain\n"  # the event of its registration
        peer.domain_died(9)
        assert watch.stdout.readline() == "@releaseDomain\n"


def test_several_run_at_once_each_with_its_own_tree(peer: peers.Peer) -> None:
    with peers.xenstored() as second, peers.oxenstored() as third:
        peers.tool("xenstore-write", second.socket, "/only/here", "1")
        for other in (peer, third):
            assert peers.tool("xenstore-exists", other.socket, "/only/here", check=False).returncode == 1


def test_the_daemon_and_its_directory_are_gone_afterwards() -> None:
    peers.need()
    with peers.xenstored() as first:
        pidfd = os.pidfd_open(first.pid)
    try:
        assert _ended(pidfd)
        assert not first.directory.exists()
    finally:
        os.close(pidfd)


def test_the_daemon_dies_with_a_parent_that_was_killed() -> None:
    peers.need()
    program = """if True:
        import os, signal
        from tests import peers
        with peers.oxenstored() as peer:
            print(peer.pid, peer.directory, flush=True)
            input()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, directory = parent.stdout.readline().split()
        pidfd = os.pidfd_open(int(pid))
        try:
            parent.communicate("\n", timeout=DEADLINE)
            assert _ended(pidfd)
        finally:
            os.close(pidfd)
    subprocess.run(["rm", "-r", directory], check=True)


def test_pinning_binds_the_daemon_to_one_cpu() -> None:
    peers.need()
    cpu = max(os.sched_getaffinity(0))
    with peers.xenstored(pin_cpu=cpu) as pinned:
        assert os.sched_getaffinity(pinned.pid) == {cpu}


def test_options_reach_the_daemon() -> None:
    peers.need()
    with peers.xenstored(args=["--entry-nb", "2"]) as peer, peer.guest(7) as guest:
        peers.tool("xenstore-write", peer.socket, "/mine", "")
        peers.tool("xenstore-chmod", peer.socket, "/mine", "n7")
        guest.send(_packet(WRITE, b"/mine/second\0", req_id=1) + _packet(WRITE, b"/mine/third\0", req_id=2))
        assert guest.packet() == (WRITE, 1, 0, b"OK\0")
        assert guest.packet() == (ERROR, 2, 0, b"ENOSPC\0")


def test_a_daemon_that_does_not_start_says_why() -> None:
    peers.need()
    with pytest.raises(peers.PeerError, match="no-such-option"), peers.oxenstored(args=["--no-such-option"]):
        pass


def test_a_missing_package_is_a_skip_or_an_error_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    reason = peers.available()
    assert reason is not None
    assert "package xenstore-utils" in reason
    monkeypatch.delenv("PUREVIRT_REQUIRE_PEERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="xenstore-utils"):
        peers.need()
    monkeypatch.setenv("PUREVIRT_REQUIRE_PEERS", "1")
    with pytest.raises(pytest.fail.Exception, match="xenstore-utils"):
        peers.need()


def _read(path: str, *, req_id: int) -> bytes:
    return _packet(READ, path.encode() + b"\0", req_id)


def _packet(kind: int, payload: bytes, req_id: int) -> bytes:
    return struct.pack("=4I", kind, req_id, 0, len(payload)) + payload


def _ended(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], DEADLINE)[0])
