"""Starting and stopping the real daemons.

Readiness and death both travel over one socket pair, so there is neither a sleep nor a pid file: the shim
writes a byte when the daemon calls listen(), an early end of file means that it died, and closing our end (or
dying, even by SIGKILL) has the kernel kill the daemon.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import _guest, _packages

START_DEADLINE = 20.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A running daemon: its name, the path of its socket, its own directory (logs, rings) and its pid."""

    name: str
    socket: str
    directory: Path
    pid: int

    def guest(self, domid: int) -> AbstractContextManager[_guest.Guest]:
        """Introduce domain `domid` to the daemon and be that domain, until the block ends."""
        return _guest.guest(self.socket, self.directory, domid)

    def domain_died(self, domid: int) -> None:
        """Let `domid` be no more, and tell the daemon as Xen would (VIRQ_DOM_EXC): @releaseDomain fires."""
        (self.directory / f"gone-{domid}").touch()
        _guest.raise_port(self.directory, _guest.VIRQ_DOM_EXC)


@contextmanager
def xenstored(*, pin_cpu: int | None = None, args: Sequence[str] = ()) -> Iterator[Peer]:
    """Run Debian's C xenstored; `args` are more of its options (``["-E", "20"]``), `pin_cpu` its one CPU."""
    with _running("xenstored", ["--no-fork", *args], pin_cpu) as peer:
        yield peer


@contextmanager
def oxenstored(*, pin_cpu: int | None = None, args: Sequence[str] = ()) -> Iterator[Peer]:
    """Run Debian's oxenstored with the configuration file that its package ships."""
    with _running("oxenstored", ["--no-fork", *args], pin_cpu) as peer:
        yield peer


DAEMONS: dict[str, Callable[[], AbstractContextManager[Peer]]] = {
    "xenstored": xenstored,
    "oxenstored": oxenstored,
}
"""Both, by name: what a test is parametrised over."""


@contextmanager
def _running(name: str, args: Sequence[str], pin_cpu: int | None) -> Iterator[Peer]:
    reason = _packages.available()
    programs = _packages.programs()
    if reason or programs is None:
        raise _packages.PeerError(reason)
    command = [str(programs / name), *args]
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryDirectory(prefix="peer-") as directory:
        _furnish(Path(directory))
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "LD_PRELOAD": str(_packages.shim()),
            "PEER_DIR": directory,
            "PEER_FD": str(theirs.fileno()),
        }
        with open(Path(directory) / "output", "wb") as output:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a Ctrl-C is for the tests
            )
        try:
            theirs.close()
            if pin_cpu is not None:
                os.sched_setaffinity(process.pid, {pin_cpu})
            _wait_until_it_listens(ours, name, Path(directory))
            yield Peer(name, f"{directory}/socket", Path(directory), process.pid)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _furnish(directory: Path) -> None:
    """What the shim and the daemons expect in their directory (see shim.c); Domain 0's port is 2."""
    (directory / "xsd_port").write_text("2")  # as Linux has it: without a newline
    (directory / "xsd_kva").write_bytes(bytes(4096))
    os.mkfifo(directory / "evtchn")
    os.mkfifo(directory / "notify")


def _wait_until_it_listens(lifeline: socket.socket, name: str, directory: Path) -> None:
    lifeline.settimeout(START_DEADLINE)
    try:
        ready = lifeline.recv(1)
    except TimeoutError:
        ready = b""
    if not ready:
        said = (directory / "output").read_text(errors="replace")
        raise _packages.PeerError(f"{name} did not start listening:\n{said}")
