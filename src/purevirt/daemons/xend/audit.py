"""The audit log: one JSON line for each change that was asked for, and for each call that was refused for its role.

    {"time": "2026-01-31T12:00:00.123Z", "uid": 1000, "gid": 1000, "pid": 4711, "role": "operator",
     "operation": "set_memory", "domain": {"domid": 3, "uuid": …, "name": "web"}, "arguments": {"kib": 131072},
     "result": "done", "error": null, "seconds": 0.004}

`result` is "done", "denied" or the kind of the error, whose message is in `error`. A file that was moved away is opened
anew within a second, so that rotating it needs no signal, never through a symlink, and each line is one write. A line
that cannot be written fails no call: the daemon's own log says so, once until it works again, and `lost` counts.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import time
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as _quoted

from purevirt.formats import xend_json
from purevirt.model import Caller, DomainRef, Role

__all__ = ["DEFAULT", "DENIALS", "AuditLog"]

DEFAULT = "/var/log/purevirt/audit.log"

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LONGEST = 256  # characters of one argument
_MOST = 16  # arguments
_TEXTS = frozenset(("text", "config"))  # descriptions: there may be passwords in them
_MOVED = 1.0  # seconds: how often to look whether the file was moved away
_MINUTE = 60.0
_USERS = 4096  # whose refusals are counted at a time

DENIALS = 100
"""How many refusals of one user are written in a minute."""

_ROLES = tuple(role.name.lower() for role in Role)

_log = logging.getLogger(__name__)


class AuditLog:
    """A file of lines. Its directory is made (0755) if it is missing; the file is 0640."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lost = 0
        """How many lines could not be written."""
        self._complained = False
        self._refusals: dict[int, tuple[float, int]] = {}
        self._second = (0, "")  # the last one written about, and its name
        self._fd = -1
        self._looked = 0.0  # when the file behind it was last seen to be the one at the path

    def record(
        self,
        caller: Caller,
        operation: str,
        domain: DomainRef | None,
        arguments: Mapping[str, object],
        *,
        result: str,
        error: str | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Write one line. Never raises."""
        try:
            now = time.time()  # the one look at the clock: each is a system call in Domain 0
            self._write(self._line(now, caller, operation, domain, arguments, result, error, seconds), now)
        except (OSError, ValueError, TypeError) as problem:
            self.close()
            self.lost += 1
            if not self._complained:
                self._complained = True
                _log.error("the audit log %s cannot be written: %s", self.path, problem)
        else:
            self._complained = False

    def _line(
        self,
        now: float,
        caller: Caller,
        operation: str,
        domain: DomainRef | None,
        arguments: Mapping[str, object],
        result: str,
        error: str | None,
        seconds: float,
    ) -> bytes:
        """As `json.dumps` would write it, put together by hand: each change waits for its line, and most of an entry is
        the same every time."""
        asked = "{}"
        if arguments:
            asked = json.dumps(
                {
                    _short(key): _plain(value) if key not in _TEXTS else _measured(value)
                    for key, value in itertools.islice(arguments.items(), _MOST)
                }
            )
        return (
            f'{{"time": "{self._stamp(now)}", '
            f'"uid": {caller.uid}, "gid": {caller.gid}, "pid": {caller.pid}, "role": "{_ROLES[caller.role]}", '
            f'"operation": {_quoted(operation)}, "domain": {_domain(domain)}, "arguments": {asked}, '
            f'"result": {_quoted(result)}, "error": {"null" if error is None else _quoted(error)}, '
            f'"seconds": {round(seconds, 6)!r}}}\n'
        ).encode("ascii")

    def _stamp(self, now: float) -> str:
        second = int(now)
        if second != self._second[0]:
            self._second = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second[1]}.{int(now % 1 * 1000):03d}Z"

    def denied(
        self, caller: Caller, operation: str, domain: DomainRef | None, arguments: Mapping[str, object]
    ) -> None:
        """Write that somebody was refused. Who is refused all the time fills no disk: the rest of a minute is counted,
        and the number is in the next line."""
        now = time.monotonic()
        begun, count = self._refusals.get(caller.uid, (now, 0))
        if now - begun >= _MINUTE or (caller.uid not in self._refusals and len(self._refusals) >= _USERS):
            self._refusals = {uid: seen for uid, seen in self._refusals.items() if now - seen[0] < _MINUTE}
            begun, unsaid = now, max(0, count - DENIALS)
            count = 0
        else:
            unsaid = 0
        self._refusals[caller.uid] = (begun, count + 1)
        if count < DENIALS:
            more = f"and {unsaid} more before" if unsaid else None
            self.record(caller, operation, domain, arguments, result="denied", error=more)

    def _write(self, line: bytes, now: float) -> None:
        if self._fd >= 0 and abs(now - self._looked) >= _MOVED:
            self._looked = now
            if not self._in_place():
                self.close()
        if self._fd < 0:
            self._fd = self._open()
            self._looked = now
        if os.write(self._fd, line) != len(line):
            raise OSError("the line was cut off")

    def _in_place(self) -> bool:
        """Whether the open file is still the one at the path."""
        try:
            return os.path.samestat(os.lstat(self.path), os.fstat(self._fd))
        except OSError:
            return False

    def _open(self) -> int:
        try:
            return os.open(self.path, _FLAGS, 0o640)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
            return os.open(self.path, _FLAGS, 0o640)

    def move(self, path: str) -> None:
        """Write to another file from now on."""
        self.close()
        self.path = path
        self._complained = False

    def close(self) -> None:
        """Let go of the file; the next line opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _domain(domain: DomainRef | None) -> str:
    if domain is None:
        return "null"
    domid = "null" if domain.domid is None else domain.domid
    uuid = "null" if not domain.handle else f'"{xend_json.uuid_text(domain.handle)}"'
    name = "null" if domain.name is None else _quoted(domain.name)
    return f'{{"uuid": {uuid}, "domid": {domid}, "name": {name}}}'


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _measured(value: object) -> object:
    """A description is not for everybody who may read the log; which one it was can be told by its digest."""
    if not isinstance(value, str):
        return None if value is None else _plain(value)
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{len(value)} characters, sha256 {digest[:16]}"


def _plain(value: object) -> object:
    """An argument as it was asked for, but never longer than a line may be."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return _short(value)
    return _short(str(xend_json.encode(value)))
