"""How the daemon is to run: a table of settings, from which their file, their checks and their documentation are made.

Neighbours: `settings_file` reads and writes them as TOML, `service` uses them, `process` reads them again on SIGHUP.

Paths are the host's: on a simulated one they lie below its root (`Settings.below`). What the table calls live takes
effect on SIGHUP, the rest when the daemon is started anew. A setting in PENDING is known and checked, but nothing uses
it yet, and the daemon says so of one that is set; a test keeps that list true.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from purevirt.daemons.xend import access, audit

__all__ = [
    "DEFAULTS",
    "PENDING",
    "SECTIONS",
    "TABLE",
    "Setting",
    "Settings",
    "changes",
    "effective",
    "overridden",
]


class Settings(NamedTuple):
    """All settings, by the names that the table gives their fields. `root` is none: it says where the host is.

    "" means none where text may be empty: no group, no socket. Times are in seconds.
    """

    root: str = ""
    socket: str = "/run/purevirt/xend.sock"
    classic: str = "/var/lib/xend/xend-socket"
    tcp: str = ""
    rest_socket: str = "/run/purevirt/rest.sock"
    rest: str = ""
    reader_group: str = access.READERS
    operator_group: str = ""
    roots: tuple[str, ...] = ("/var/lib/xen/images", "/var/lib/libvirt/images")
    autostart: bool = True
    on_host_shutdown: str = "save"
    restart_count: int = 5
    restart_seconds: float = 60.0
    restart_slowdown: float = 30.0
    parallel_jobs: int = 4
    job_deadline: float = 0.0
    state: str = "/var/lib/purevirt"
    read_only_store: bool = True
    vcpu_wait: float = 1.0
    backend_wait: float = 5.0
    log_level: str = "info"
    log_format: str = "auto"
    audit: str = audit.DEFAULT

    def below(self, path: str) -> str:
        """Where a path of the host is on this machine: below the root, if it is not there already."""
        root = self.root.rstrip("/")
        return path if path.startswith(f"{root}/") else root + path


DEFAULTS = Settings()

PENDING: frozenset[str] = frozenset()
"""The fields that nothing uses yet."""

_LONGEST = 4096


class Kind(NamedTuple):
    """What a value may be: `expected` says it, after "must be"; `check` returns the value as Settings has it, or None.

    No value of any kind is None.
    """

    expected: str
    check: Callable[[object], object]


class Setting(NamedTuple):
    """A row: the field of Settings, where the file has it, what it may be, whether SIGHUP changes it, and its help."""

    field: str
    section: str
    key: str
    kind: Kind
    live: bool
    help: str

    @property
    def name(self) -> str:
        """As messages and the documentation call it: section.key."""
        return f"{self.section}.{self.key}"

    @property
    def default(self) -> Any:
        return getattr(DEFAULTS, self.field)

    def read(self, value: object) -> object:
        """The value as Settings has it. ValueError: "must be …, not …"."""
        found = self.kind.check(value)
        if found is None:
            shown = repr(value)
            shown = shown if len(shown) <= 60 else shown[:60] + "…"
            raise ValueError(f"must be {self.kind.expected}, not {shown}")
        return found


# --- kinds


def _words(value: object) -> str | None:
    """Text of one line that every file and terminal can show; None for anything else."""
    if not isinstance(value, str) or len(value) > _LONGEST or not (value.isprintable() or value == ""):
        return None
    return value


def _path(value: object) -> str | None:
    found = _words(value)
    if not found or not found.startswith("/") or found.endswith("/"):
        return None
    return None if {".", ".."}.intersection(found.split("/")) else found


def _path_or_none(value: object) -> str | None:
    return "" if value == "" else _path(value)


def _paths(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, (list, tuple)):
        return None
    found = [path for item in value if (path := _path(item)) is not None]
    return tuple(found) if len(found) == len(value) else None


def _address(value: object) -> str | None:
    found = _words(value)
    if not found:
        return found
    host, colon, port = found.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 65536):
        return None
    try:
        if host:
            ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return found


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _choice(*words: str) -> Kind:
    def check(value: object) -> str | None:
        return value if isinstance(value, str) and value in words else None

    return Kind("one of " + ", ".join(f'"{word}"' for word in words), check)


def _count(least: int, most: int) -> Kind:
    def check(value: object) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return None
        return value if least <= value <= most else None

    return Kind(f"a whole number from {least} to {most}", check)


def _seconds(least: float, most: float) -> Kind:
    def check(value: object) -> float | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        return float(value) if least <= value <= most else None

    return Kind(f"{least:g} to {most:g} seconds", check)


_PATH = Kind("an absolute path", _path)
_PATH_OR_NONE = Kind('an absolute path, or ""', _path_or_none)
_PATHS = Kind("a list of absolute paths", _paths)
_ADDRESS = Kind('ADDRESS:PORT with a numeric address, or ""', _address)
_GROUP = Kind('the name of a group, or ""', _words)
_FLAG = Kind("true or false", _flag)

_DAY = 86400.0

SECTIONS: Mapping[str, str] = {
    "listen": "Where the daemon is reached.",
    "access": "Who may do what. root is always admin.",
    "supervision": "What the daemon does with domains on its own.",
    "jobs": "Work that takes long: building, saving, migrating.",
    "state": "What is kept on disk.",
    "store": "The Xen Store for users without root.",
    "guests": "How long guests and Domain 0's drivers are waited for.",
    "log": "What is written down, and how.",
}
"""The sections, in the order in which they are shown, and what each is about."""

TABLE: tuple[Setting, ...] = (
    Setting("socket", "listen", "socket", _PATH, False,
            "The socket of the RPC and of the classic tree, for everybody."),
    Setting("classic", "listen", "classic", _PATH_OR_NONE, False,
            "The same for root, where old clients look; empty: not there."),
    Setting("tcp", "listen", "tcp", _ADDRESS, False,
            "Where readers are served over TCP, whoever they are; empty: nowhere."),
    Setting("rest_socket", "listen", "rest_socket", _PATH_OR_NONE, False,
            "The socket of the REST interface, where purevirt[daemon] is installed; empty: not there."),
    Setting("rest", "listen", "rest", _ADDRESS, False,
            "Where REST is served to readers over TCP, whoever they are; empty: nowhere."),
    Setting("reader_group", "access", "reader_group", _GROUP, True,
            "Whose members may look; empty: nobody's."),
    Setting("operator_group", "access", "operator_group", _GROUP, True,
            "Whose members may change domains; empty: nobody's."),
    Setting("roots", "access", "roots", _PATHS, True,
            "Directories below which operators may name disks and images."),
    Setting("autostart", "supervision", "autostart", _FLAG, False,
            "Whether domains marked so are started with the host."),
    Setting("on_host_shutdown", "supervision", "on_host_shutdown", _choice("save", "shutdown", "none"), True,
            "What becomes of running domains when the host is shut down."),
    Setting("restart_count", "supervision", "restart_count", _count(1, 1000), True,
            "How many restarts of a domain within restart_seconds are made at once; further ones are slowed down."),
    Setting("restart_seconds", "supervision", "restart_seconds", _seconds(1, _DAY), True,
            "The time over which a domain's restarts are counted."),
    Setting("restart_slowdown", "supervision", "restart_slowdown", _seconds(0, _DAY), True,
            "How long a restart that is one too many waits."),
    Setting("parallel_jobs", "jobs", "parallel", _count(1, 64), True,
            "How many jobs are worked on at once; others queue."),
    Setting("job_deadline", "jobs", "deadline", _seconds(0, 7 * _DAY), True,
            "After how long a job that names no deadline is given up; 0: never."),
    Setting("state", "state", "directory", _PATH, False,
            "Where definitions, jobs and saved domains are kept."),
    Setting("read_only_store", "store", "read_only", _FLAG, False,
            "Whether the read-only Xen Store is served, unless another process does."),
    Setting("vcpu_wait", "guests", "vcpu_wait", _seconds(0, 60), True,
            "How long a guest is given to bring vCPUs up or down before its answer is reported."),
    Setting("backend_wait", "guests", "backend_wait", _seconds(0, 60), True,
            "How long the backends of a destroyed domain are given to close."),
    Setting("log_level", "log", "level", _choice("debug", "info", "warning", "error"), True,
            "The least that is worth a line."),
    Setting("log_format", "log", "format", _choice("auto", "text", "json", "journal"), True,
            "How lines look; auto: for the journal where standard error is one, else text."),
    Setting("audit", "log", "audit", _PATH, True, "The file of changes and refusals."),
)  # fmt: skip
"""Every setting, in the order in which they are shown."""


def overridden(settings: Settings, given: Mapping[str, object]) -> Settings:
    """With other values for some fields, as the command line gives them. ValueError names the setting."""
    values: dict[str, Any] = {}
    for row in TABLE:
        if row.field in given:
            try:
                values[row.field] = row.read(given[row.field])
            except ValueError as error:
                raise ValueError(f"{row.name} {error}") from None
    return settings._replace(**values)


def changes(old: Settings, new: Settings) -> tuple[Setting, ...]:
    """The settings in which the two differ."""
    return tuple(row for row in TABLE if getattr(old, row.field) != getattr(new, row.field))


def effective(old: Settings, new: Settings) -> Settings:
    """What holds after a reload: the new value of what is live, the old one of what takes a restart."""
    return old._replace(**{row.field: getattr(new, row.field) for row in TABLE if row.live})
