"""`Host`: a booted Domain 0, as tests and benchmarks see it."""

from __future__ import annotations

import signal as signals
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import checkout, files, guests, libvirt
from lab.client import Client, CommandFailed, text
from lab.image import Image
from lab.qemu import Qemu


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished command in Domain 0, its output as text."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


class Host:
    """A machine with Xen and a Domain 0, as long as the context of `lab.boot()` lasts.

    `xen` is the version's short name; `boot_seconds` how long it took to answer; `console_log` the file that
    Xen and Domain 0 write their console to; `run_dir` the directory of this boot.
    """

    def __init__(self, image: Image, qemu: Qemu, client: Client, *, xen: str, boot_seconds: float) -> None:
        self._image, self._qemu, self._client = image, qemu, client
        self.xen = xen
        self.boot_seconds = boot_seconds
        self.console_log = qemu.console
        self.run_dir = qemu.console.parent

    def __repr__(self) -> str:
        return f"<Host Xen {self.xen}, 127.0.0.1:{self._qemu.port}>"

    @property
    def client(self) -> Client:
        """The way to the agent, for what `run` does not offer (a terminal)."""
        return self._client

    @property
    def versions(self) -> dict[str, str]:
        """Debian package -> version, of everything in Domain 0."""
        return self._image.versions

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        timeout: float | None = 60,
        input: str | bytes | None = None,  # noqa: A002 - the name that subprocess.run gave it
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        on_output: Callable[[bytes, bytes], None] | None = None,
    ) -> Completed:
        """Run a command in Domain 0 and wait for its end, at most `timeout` seconds.

        Raises CommandFailed (a LabError with argv, status and both outputs) when `check` is true and its
        status is not 0, and always when it cannot run or takes too long (its status is None then). Time goes
        5 to 15 times slower there than outside.
        """
        data = input.encode() if isinstance(input, str) else input or b""
        result = self._client.run(
            argv, timeout=timeout, data=data, env=env, user=user, cwd=cwd, on_output=on_output
        )
        stdout, stderr = text(result.stdout), text(result.stderr)
        if check and result.status != 0:
            raise CommandFailed(argv, result.status, stdout, stderr)
        return Completed(tuple(argv), result.status, stdout, stderr)

    def shell(
        self, script: str, *arguments: str, timeout: float | None = 60, check: bool = True
    ) -> Completed:
        """Run a few lines of shell in Domain 0; `arguments` are its $1, $2, …"""
        return self.run(["sh", "-euc", script, "sh", *arguments], timeout=timeout, check=check)

    def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, user: str | None = None
    ) -> Background:
        """Start a program that goes on running in the background; its output goes to a file in Domain 0."""
        script = 'log=$(mktemp /tmp/spawn-XXXXXX.log); setsid "$@" >"$log" 2>&1 </dev/null & echo "$! $log"'
        pid, log = self.run(["sh", "-c", script, "sh", *argv], env=env, user=user).stdout.split()
        return Background(self, int(pid), log)

    def put(self, local: str | Path, remote: str, *, compiled: bool = False, timeout: float = 120) -> None:
        """Copy a file or a directory to the path `remote` (absolute; its directories are made).

        Leaves out .git, .venv and the like, and __pycache__ unless `compiled`.
        """
        directory, name = files.split(remote)
        archive = files.pack(Path(local), name, compiled=compiled)
        self._tar(["sh", "-euc", 'mkdir -p "$1"; exec tar -C "$1" -xf -', "sh", directory], archive, timeout)

    def get(self, remote: str, local: str | Path, *, timeout: float = 120) -> None:
        """Copy a file or a directory out of Domain 0 to `local`; into it, where it is a directory."""
        directory, name = files.split(remote)
        files.unpack(self._tar(["tar", "-C", directory, "-cf", "-", name], b"", timeout), name, Path(local))

    def _tar(self, argv: list[str], archive: bytes, timeout: float) -> bytes:
        result = self._client.run(argv, data=archive, timeout=timeout)
        if result.status != 0:
            raise CommandFailed(argv, result.status, "", text(result.stderr))
        return result.stdout

    def create_guest(
        self,
        name: str,
        kind: str = "pv",
        *,
        disks: Sequence[str | int] = (),
        vifs: Sequence[str] = (),
        memory: int = 96,
        vcpus: int = 1,
        paused: bool = False,
        timeout: float = 120,
    ) -> int:
        """Create a guest with `xl create`; see lab/guests.py. Returns its domid."""
        guest = guests.Guest(name, kind, tuple(disks), tuple(vifs), memory, vcpus)
        return guests.create(self, guest, paused=paused, timeout=timeout)

    def wait_for_guest(self, name: str, timeout: float = 120) -> str:
        """Wait until a guest made by `create_guest` says GUEST-UP; returns its console's text."""
        return guests.wait_until_up(self, name, timeout)

    def domid(self, name: str) -> int:
        """A guest's domid now: another one than before where it has rebooted."""
        return int(self.run(["xl", "domid", name]).stdout)

    def create_mini_guests(
        self, count: int, *, paused: bool = True, by: str = "xl", prefix: str = "mini", timeout: float = 600
    ) -> dict[str, int]:
        """Create `count` guests of 4 MiB that do nothing, by "xl" or "libvirt". Returns name -> domid."""
        return guests.create_minis(self, count, paused=paused, by=by, prefix=prefix, timeout=timeout)

    def install_checkout(self, directory: str | Path) -> None:
        """Put purevirt, its tests and what they need into Domain 0 from a checkout; see lab/checkout.py."""
        checkout.install(self, Path(directory))

    def purevirt(
        self,
        arguments: Sequence[str],
        *,
        check: bool = True,
        timeout: float | None = 60,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run the command `purevirt` of the checkout put there by `install_checkout`."""
        return self.python(["-m", "purevirt", *arguments], check=check, timeout=timeout, user=user, env=env)

    def python(
        self,
        arguments: Sequence[str],
        *,
        check: bool = True,
        timeout: float | None = 60,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        on_output: Callable[[bytes, bytes], None] | None = None,
    ) -> Completed:
        """Run Domain 0's Python with the checkout's modules, in the checkout's root."""
        return self.run(
            ["python3", *arguments],
            check=check,
            timeout=timeout,
            user=user,
            env={**checkout.ENVIRONMENT, **(env or {})},
            cwd=checkout.ROOT,
            on_output=on_output,
        )

    def start_libvirtd(self, timeout: float = 120) -> None:
        """Start libvirtd and wait until `virsh -c xen:/// list` works; harmless when it already does."""
        libvirt.start(self, timeout)


@dataclass(frozen=True, slots=True)
class Background:
    """A program that `Host.spawn` started; `log` is the file in Domain 0 with its output."""

    host: Host
    pid: int
    log: str

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.host.run(["test", "-d", f"/proc/{self.pid}"], check=False).status == 0

    def output(self) -> str:
        """What it has written so far."""
        return self.host.run(["cat", self.log]).stdout

    def kill(self, signal: int = signals.SIGTERM) -> None:
        """Send a signal to it and its children; harmless when it is gone."""
        self.host.shell(f"kill -{int(signal)} -{self.pid}", check=False)
