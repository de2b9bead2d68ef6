"""The daemon's own log: lines on standard error, in one of three formats, with what they are about where that is known.

    text     2026-01-31T12:00:00.123Z warning xend: the script of … [operation=destroy domain=web user=1000]
    json     {"time": …, "level": "warning", "logger": "purevirt.daemons.xend.…", "message": …, "operation": …, …}
    journal  <4>the script of … [operation=destroy domain=web user=1000]

The number in front is syslog's priority, as systemd reads it from a service's standard error (sd-daemon(3)); the
journal adds the time itself. `auto` is journal where standard error leads there ($JOURNAL_STREAM names the device and
inode of that stream, systemd.exec(5)), else text.

`about` names the operation, domain, job and user for all that is logged until it ends, in this task and those that it
starts. Messages hold what guests and clients say, so nothing of a message can begin a line or steer a terminal.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import TextIO

__all__ = ["FIELDS", "FORMATS", "about", "chosen", "configure"]

FIELDS = ("operation", "domain", "job", "user", "request")
"""What a line may say beside its message."""

_HANDLER = "purevirt"

_about: ContextVar[Mapping[str, object]] = ContextVar("purevirt_about", default=MappingProxyType({}))


class _About:
    """What `about` returns; a class, since every call enters one."""

    __slots__ = ("_known", "_token")

    def __init__(self, known: Mapping[str, object]) -> None:
        self._known = known

    def __enter__(self) -> None:
        self._token = _about.set({**_about.get(), **self._known})

    def __exit__(self, *_: object) -> None:
        _about.reset(self._token)


def about(
    *,
    operation: str | None = None,
    domain: str | None = None,
    job: str | None = None,
    user: int | None = None,
    request: str | None = None,
) -> _About:
    """A context: what everything is about that is logged within. What is not named stays as it was around it."""
    given = {"operation": operation, "domain": domain, "job": job, "user": user, "request": request}
    return _About({name: value for name, value in given.items() if value is not None})


# --- lines


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What a line is about: what was passed with it as `extra`, else what holds around it."""
    around = _about.get()
    found = {name: getattr(record, name, around.get(name)) for name in FIELDS}
    return {name: value for name, value in found.items() if value is not None}


def _plain(text: str) -> str:
    """Text that stays on its line: control characters are escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _time(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


class _Lines(logging.Formatter):
    """What text and journal have in common. A traceback's lines follow, indented."""

    def format(self, record: logging.LogRecord) -> str:
        line = _plain(record.getMessage())
        found = _fields(record)
        if found:
            line += f" [{' '.join(f'{name}={_plain(str(value))}' for name, value in found.items())}]"
        if record.exc_info:
            for more in self.formatException(record.exc_info).splitlines():
                line += f"\n    {_plain(more)}"
        return self.finished(record, line)

    def finished(self, record: logging.LogRecord, line: str) -> str:
        """With what stands before it."""
        raise NotImplementedError


class Text(_Lines):
    """For a terminal or a file."""

    def finished(self, record: logging.LogRecord, line: str) -> str:
        return f"{_time(record)} {record.levelname.lower()} xend: {line}"


class Journal(_Lines):
    """For systemd: each line with its priority."""

    def finished(self, record: logging.LogRecord, line: str) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{part}" for part in line.split("\n"))


_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class Json(logging.Formatter):
    """For programs: an object a line, with those of FIELDS that are known, and "traceback" where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


FORMATS: Mapping[str, type[logging.Formatter]] = {"text": Text, "json": Json, "journal": Journal}


def chosen(name: str, environment: Mapping[str, str], fd: int = 2) -> str:
    """A format of FORMATS: what "auto" comes to for a descriptor, any other as it is."""
    if name != "auto":
        return name
    try:
        found = os.fstat(fd)
    except OSError:
        return "text"
    journal = environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
    return "journal" if journal else "text"


def configure(level: str, name: str, stream: TextIO | None = None) -> None:
    """Log from `level` on, in a format, in place of what was configured before: in a process of the daemon's own."""
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if handler.name == _HANDLER]:
        root.removeHandler(old)
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.name = _HANDLER
    handler.setFormatter(FORMATS[chosen(name, os.environ)]())
    root.addHandler(handler)
    root.setLevel(level.upper())
