"""The Xen daemon in Domain 0, and the users who come to it; `xl`'s words about what it did.

The daemon runs as an administrator would start it, from this checkout. Its output, and the audit log of the tests that
share it, are looked at by them.
"""

from __future__ import annotations

import json
import signal
from typing import Any

import lab
from lab.checkout import ENVIRONMENT

READER = "purevirt-reader"
"""A user of the group xen."""

STRANGER = "purevirt-stranger"
"""A user of no group that the daemon knows."""

SOCKET = "/run/purevirt/xend.sock"
AUDIT = "/var/log/purevirt/audit.log"


class Program:
    """A purevirt program that stays and says "ready" when it serves."""

    def __init__(self, dom0: lab.Host, *arguments: str) -> None:
        self.dom0 = dom0
        self.arguments = arguments
        self.process = self._start()

    def _start(self) -> lab.Background:
        process = self.dom0.spawn(["python3", "-m", "purevirt", *self.arguments], env=ENVIRONMENT)
        script = 'until grep -qx ready "$1"; do kill -0 "$2" 2>/dev/null || exit 1; sleep 0.1; done'
        done = self.dom0.shell(script, process.log, str(process.pid), timeout=120, check=False)
        assert done.status == 0, process.output()
        return process

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal, and wait until it is gone."""
        self.process.kill(number)
        self.dom0.shell('while kill -0 "$1" 2>/dev/null; do sleep 0.1; done', str(self.process.pid))

    def restart(self) -> None:
        """Start it again, after it has ended."""
        self.process = self._start()


def as_user(dom0: lab.Host, user: str, *arguments: str, check: bool = False) -> lab.Completed:
    """`purevirt` as somebody else."""
    return dom0.purevirt(list(arguments), user=user, check=check)


def audit(dom0: lab.Host) -> list[dict[str, Any]]:
    """The audit log, whole; it begins with the first line."""
    return [json.loads(line) for line in dom0.run(["cat", AUDIT], check=False).stdout.splitlines()]


def xl_row(dom0: lab.Host, name: str) -> list[str]:
    """[id, MiB, vCPUs, state, CPU seconds] of a domain, as `xl list` prints them."""
    lines = dom0.run(["xl", "list", name]).stdout.splitlines()
    return lines[1].rsplit(maxsplit=5)[1:]


def wait_until(dom0: lab.Host, condition: str, timeout: float = 120) -> None:
    """Until a shell command in Domain 0 succeeds."""
    dom0.shell('until eval "$1" >/dev/null 2>&1; do sleep 0.2; done', condition, timeout=timeout)


def waiting(dom0: lab.Host) -> set[str]:
    """The processes of `xl create` that wait for their guests' ends: other tests' as well."""
    return set(dom0.shell("pgrep -af '[x]l create' || true").stdout.splitlines())


def store_paths(dom0: lab.Host) -> set[str]:
    """Every path in the store that has to do with a domain.

    Not the directories for all of them, which stay when the last domain has gone, after `xl destroy` as well; nor
    Domain 0's memory, which the first `xl create` after boot writes down.
    """
    lines = dom0.run(["xenstore-ls", "-f"]).stdout.splitlines()
    paths = {line.partition(" = ")[0] for line in lines}
    backends = "/local/domain/0/backend"
    shared = {"/libxl", "/vm", backends, *(f"{backends}/{kind}" for kind in ("vbd", "vif", "console"))}
    own = ("/tool", "/local/domain/0/memory")
    return {path for path in paths - shared if not path.startswith(own)}
