"""Debian's real XenStore clients, run against any daemon's socket: a real one's or our own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from ._packages import PeerError, available, programs

TOOLS = tuple(
    f"xenstore-{verb}" for verb in ("chmod", "exists", "list", "ls", "read", "rm", "watch", "write")
)
Result = subprocess.CompletedProcess[str]


def tool(name: str, socket: str, *args: str, check: bool = True, deadline: float = 20.0) -> Result:
    """Run ``xenstore-read`` and the like on the daemon behind `socket`.

    Text is UTF-8 with surrogate escapes. Raises PeerError if the tool fails, unless `check` is false (then
    look at ``returncode`` and ``stderr``), or if it does not end in time.
    """
    return _run([_find(name), *args], socket, check, deadline)


@contextmanager
def start_tool(name: str, socket: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Start a tool that keeps running (``xenstore-watch``), with pipes; it is killed when the block ends."""
    command = [_find(name), *args]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=_environment(socket), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe,
        encoding="utf-8", errors="surrogateescape",
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def test_xenstore(socket: str, *, iterations: int = 1, deadline: float = 60.0) -> str:  # noqa: PT028 - no test
    """Run Xen's own ``test-xenstore`` (package xen-utils-4.17) on `socket`; its output, or PeerError."""
    directory = programs()
    if directory is None or not (directory / "test-xenstore").exists():
        raise PeerError("test-xenstore is missing (package xen-utils-4.17)")
    command = [str(directory / "test-xenstore"), "--iterations", str(iterations)]
    return _run(command, socket, True, deadline).stdout


test_xenstore.__test__ = False  # type: ignore[attr-defined]  # pytest is not to collect it


def _find(name: str) -> str:
    if name not in TOOLS:
        raise ValueError(f"{name!r} is none of {', '.join(TOOLS)}")
    path = shutil.which(name)
    if path is None:
        raise PeerError(available() or f"{name} is not on the PATH")
    return path


def _environment(socket: str) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "XENSTORED_PATH": socket}


def _run(command: list[str], socket: str, check: bool, deadline: float) -> Result:
    try:
        done = subprocess.run(
            command, env=_environment(socket), stdin=subprocess.DEVNULL, capture_output=True,
            check=False, timeout=deadline, encoding="utf-8", errors="surrogateescape",
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        raise PeerError(f"{' '.join(command)} did not end within {deadline} s") from late
    if check and done.returncode:
        raise PeerError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done
