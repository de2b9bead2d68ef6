"""A simulated host whose Xen daemon dies again and again, and the calls that it gets."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from purevirt import testing

ZYGOTE = Path(__file__).with_name("zygote.py")


class Dead(Exception):
    """The daemon died before it answered."""


class Failed(Exception):
    """The daemon answered an error: its kind and its message."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


class Lives:
    """Use it as a context; `begin` a life, `call` it, `kill` it."""

    def __init__(self) -> None:
        self.host = testing.Host(xend=False)
        self.pid = 0

    def __enter__(self) -> Self:
        self.host.start()
        self.root = self.host.root
        self._log = open(f"{self.root}/xend.log", "w")
        self._zygote = subprocess.Popen(
            [sys.executable, str(ZYGOTE), self.root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself: a test has failed
            if self.pid:
                self.kill()
        assert self._zygote.stdin is not None
        with self._zygote:
            self._zygote.stdin.close()
        self._log.close()
        self.host.stop()

    def _hear(self) -> str:
        assert self._zygote.stdout is not None
        return self._zygote.stdout.readline().strip()

    def begin(self) -> None:
        """Another life, until it serves."""
        assert not self.pid
        assert self._zygote.stdin is not None
        self._zygote.stdin.write("live\n")
        word, number = self._hear().split()
        assert word == "pid"
        self.pid = int(number)
        said = self._hear()
        assert said == "ready", (said, self.log())

    def arm(self, point: int) -> None:
        """Have it die at that point from now on."""
        Path(self.root, "die-at").write_text(str(point))
        os.kill(self.pid, signal.SIGUSR1)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it now."""
        os.kill(self.pid, number)
        self.died()

    def died(self) -> None:
        """Wait for its death."""
        word, _ = self._hear().split()
        assert word == "died"
        self.pid = 0

    def log(self) -> str:
        return Path(self.root, "xend.log").read_text()

    # --- calls

    def call(self, operation: str, domain: dict[str, Any] | None = None, **arguments: Any) -> Any:
        """What it answers. Failed: an error. Dead: nothing."""
        body = json.dumps({"operation": operation, "domain": domain, "arguments": arguments})
        connection = _Connection(f"{self.root}/run/purevirt/xend.sock")
        try:
            connection.request("POST", "/purevirt/v1/call", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Dead(str(error)) from error
        finally:
            connection.close()
        if "error" in answer:
            raise Failed(f"{answer['error']['kind']}: {answer['error']['message']}")
        return answer["result"]

    def ended(self, job: dict[str, Any]) -> dict[str, Any]:
        """A job when it has ended."""
        while job["state"] == "running":
            job = self.call("job", id=job["id"], since=job["revision"], wait=10.0)
        return job

    def done(self, operation: str, domain: dict[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
        """Have a job done. Failed: it was not."""
        job = self.ended(self.call(operation, domain, **arguments))
        if job["state"] != "done":
            raise Failed(f"{job['error']}: {job['message']}")
        return job

    def last_event(self) -> int:
        """The number of the newest event."""
        return max((event["seq"] for event in self.call("journal")), default=0)

    def supervised(self) -> dict[str, sqlite3.Row]:
        """What the database says of the domains that the daemon answers for."""
        with contextlib.closing(
            sqlite3.connect(f"file:{self.root}/var/lib/purevirt/xend.db?mode=ro", uri=True)
        ) as database:
            database.row_factory = sqlite3.Row
            rows = database.execute("SELECT uuid, name, domid, phase, action FROM supervised").fetchall()
        return {str(UUID(bytes=row["uuid"])): row for row in rows}

    def settled(self) -> None:
        """Wait until no job is under way, and no policy is being carried out."""
        while True:
            active = self.call("jobs", active=True)
            for job in active:
                self.ended(job)
            there = {(info["uuid"], info["domid"]): info for info in self.call("list_domains")}
            if not active and all(_at_rest(row, there) for row in self.supervised().items()):
                return


def _at_rest(row: tuple[str, sqlite3.Row], there: dict[tuple[str, int], dict[str, Any]]) -> bool:
    uuid, known = row
    info = there.get((uuid, known["domid"]))
    if known["phase"] == "kept":
        return True
    if known["phase"] != "running" or info is None:
        return False
    return info["name"] == known["name"] and info["state"] not in ("crashed", "shutdown")
