"""The kernel's device, played by the simulated hypervisor: an ioctl that reads and writes the arena.

What a kernel and a real Xen do with the same bytes is shown in the lab.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from purevirt._run import run_blocking
from purevirt.channels.hypercall import privcmd
from purevirt.channels.hypercall.arena import Arena
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.hypercall.dial import dial
from purevirt.channels.hypercall.privcmd import PrivcmdTransport
from purevirt.errors import Closed, ConnectError, LocalProtocolError
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.hypercall.values import Answer, Extent, Hypercall

VERSION = Hypercall(17, (0, 0))


class Kernel:
    """What is behind the device: takes six words, and finds all else in the caller's memory."""

    def __init__(self) -> None:
        self.hypervisor = Hypervisor()
        self.arena: Arena | None = None
        self.requests: list[int] = []

    def ioctl(self, device: io.FileIO, request: int, argument: bytearray, mutate: bool) -> int:
        os.fstat(device.fileno())
        self.requests.append(request)
        op, *args = privcmd._WORDS.unpack(argument)
        assert self.arena is not None
        memory = Extent(self.arena.base, self.arena.get(self.arena.base, self.arena.capacity))
        answer = self.hypervisor.hypercall(Hypercall(op, tuple(args), (memory,)))
        self.arena.put(self.arena.base, answer.extents[0])
        if answer.value < 0:
            raise OSError(-answer.value, os.strerror(-answer.value))
        return answer.value


@pytest.fixture
def root(tmp_path: Path) -> str:
    (tmp_path / "dev" / "xen").mkdir(parents=True)
    (tmp_path / "dev" / "xen" / "privcmd").touch()
    return str(tmp_path)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
    return kernel


@pytest.fixture
def transport(root: str, kernel: Kernel) -> Iterator[PrivcmdTransport]:
    transport = PrivcmdTransport.open(root)
    kernel.arena = transport._arena
    kernel.hypervisor = Hypervisor(arch=transport.arch)
    yield transport
    transport.close()


def test_the_client_works_through_the_arena(transport: PrivcmdTransport, kernel: Kernel) -> None:
    client = run_blocking(HypercallClient.open(transport))
    kernel.hypervisor.set_affinity(0, 1, hard=[2])
    assert [info.domid for info in run_blocking(client.domain_infos())] == [0]
    assert run_blocking(client.vcpu_affinity(0, 1)).hard == {2}
    assert run_blocking(client.extraversion()) == ".4-simulated"
    assert set(kernel.requests) == {0x305000}


def test_an_errno_of_xen_is_the_answers_value(transport: PrivcmdTransport) -> None:
    assert run_blocking(transport.call(Hypercall(99, ()), None)) == Answer(-errno.ENOSYS)


def test_both_modes_have_the_same_transport(root: str, kernel: Kernel) -> None:
    for mode in ("blocking", "aio"):
        transport = run_blocking(dial(root, mode, 5))
        assert isinstance(transport, PrivcmdTransport)
        transport.close()


def test_extents_outside_of_the_arena_are_refused(transport: PrivcmdTransport, kernel: Kernel) -> None:
    end = transport.base + transport.capacity
    for extent in (Extent(0, b"x"), Extent(transport.base - 1, b"xy"), Extent(end - 1, b"xy")):
        with pytest.raises(LocalProtocolError, match="outside"):
            run_blocking(transport.call(Hypercall(1, (), (extent,)), None))
    with pytest.raises(LocalProtocolError, match="at most 5"):
        run_blocking(transport.call(Hypercall(1, (0,) * 6), None))
    assert not kernel.requests


def test_a_closed_device_says_so(transport: PrivcmdTransport) -> None:
    transport.close()
    transport.close()
    with pytest.raises(Closed, match="is closed"):
        run_blocking(transport.call(VERSION, None))


def test_closing_gives_the_descriptor_and_the_memory_back(root: str, kernel: Kernel) -> None:
    gc.collect()  # what other tests left behind is not to be counted
    before = len(os.listdir("/proc/self/fd"))
    transport = PrivcmdTransport.open(root)
    transport.close()
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ValueError, match="closed"):
        transport._arena.get(transport.base, 1)


def test_a_fork_is_refused_in_the_child_and_the_parent_goes_on(transport: PrivcmdTransport) -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run_blocking(transport.call(VERSION, None))
        except Closed:
            transport.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert run_blocking(transport.call(VERSION, None)).value > 0


def test_threads_take_turns(transport: PrivcmdTransport) -> None:
    wrong: list[Any] = []

    def work(number: int) -> None:
        extent = Extent(transport.base, bytes([number]) * 5000)
        for _ in range(20):
            answer = run_blocking(transport.call(Hypercall(99, (), (extent,)), None))
            if answer.extents != (extent.data,):
                wrong.append(answer)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_no_device(tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match="no such file") as caught:
        PrivcmdTransport.open(str(tmp_path))
    assert caught.value.path == f"{tmp_path}/dev/xen/privcmd"


def test_the_old_place_of_the_device(tmp_path: Path, kernel: Kernel) -> None:
    (tmp_path / "proc" / "xen").mkdir(parents=True)
    (tmp_path / "proc" / "xen" / "privcmd").touch()
    PrivcmdTransport.open(str(tmp_path)).close()


def test_a_machine_whose_structs_are_unknown(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "n", "r", "v", "riscv64")))
    with pytest.raises(ConnectError, match="no hypercalls from riscv64"):
        PrivcmdTransport.open(root)


def test_memory_is_where_it_says() -> None:
    import ctypes

    arena = Arena(None)
    arena.put(arena.base + 10, b"hello")
    assert ctypes.string_at(arena.base + 8, 8) == b"\0\0hello\0"
    ctypes.memmove(arena.base, b"world", 5)
    assert arena.get(arena.base, 5) == b"world"
    assert arena.base % 4096 == 0
    arena.close()


def test_a_device_that_gives_no_memory_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "hypercall").mkdir()  # opens for nothing, let alone for mapping
    arena = Arena(str(tmp_path / "hypercall"))
    arena.put(arena.base, b"x")
    arena.close()
