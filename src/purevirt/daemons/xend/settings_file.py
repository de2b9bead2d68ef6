"""The settings as a file: TOML to Settings, and Settings to a TOML in which every default can be seen.

tomllib says what is in a text, not where. So whatever it accepted is gone through once more for the places of its keys
(`places`), and only where something is wrong: a key that nobody knows, a value that cannot be. What is a statement in
TOML is decided by brackets, strings and ends of lines alone; keys are left to tomllib again.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from purevirt.daemons.xend.settings import PENDING, SECTIONS, TABLE, Setting, Settings, overridden
from purevirt.errors import ConfigError, InvalidConfig

__all__ = ["FILE", "Place", "load", "parse", "places", "show", "toml"]

FILE = "/etc/purevirt/xend.toml"
"""Where the settings are, unless another file is named; below the root of a simulated host."""

_MOST = 1 << 20  # bytes of a file

_Path = tuple[str, ...]


class Place(NamedTuple):
    """Where a key and its value begin: lines and columns, from 1."""

    key: tuple[int, int]
    value: tuple[int, int]


def load(root: str, file: str | None, given: Mapping[str, object]) -> Settings:
    """What the file says, and on top of it what was given otherwise, by fields.

    `file` None: the usual one, which need not be there. ConfigError says what is wrong where; InvalidConfig what is
    wrong with a value that was given.
    """
    path = file if file is not None else Settings(root).below(FILE)
    text = _read(path, needed=file is not None)
    settings = (Settings() if text is None else parse(text, path))._replace(root=root.rstrip("/"))
    try:
        return overridden(settings, given)
    except ValueError as error:
        raise InvalidConfig(str(error), operation="xend", problems=(str(error),)) from None


def _read(path: str, *, needed: bool) -> str | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ConfigError(f"{path} is no file", file=path, operation="xend")
            raw = file.read(_MOST + 1)
    except OSError as error:
        if error.errno == errno.ENOENT and not needed:
            return None
        why = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"cannot read {path}: {why}", file=path, operation="xend", errno=error.errno
        ) from error
    if len(raw) > _MOST:
        raise ConfigError(f"{path} has more than {_MOST} bytes", file=path, operation="xend")
    try:
        return raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        raise _wrong(
            "the text must be UTF-8",
            path,
            (before.count(b"\n") + 1, error.start - before.rfind(b"\n")),
        ) from None


def _wrong(message: str, file: str, place: tuple[int, int] | None) -> ConfigError:
    if place is None:
        return ConfigError(f"{file}: {message}", file=file, operation="xend")
    line, column = place
    return ConfigError(
        f"{file}:{line}:{column}: {message}", file=file, line=line, column=column, operation="xend"
    )


def parse(text: str, file: str = "xend.toml") -> Settings:
    """The settings that a text holds; what it does not name has its default. ConfigError: see `load`."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(text, file, error) from None
    values: dict[str, Any] = {}
    known = {(row.section, row.key): row for row in TABLE}
    for section, body in document.items():
        if section not in SECTIONS:
            raise _misplaced(text, file, (section,), f"unknown section {_quoted(section)}", SECTIONS)
        if not isinstance(body, dict):
            place = places(text).get((section,))
            message = f"{section} must be a section, [{section}], not a value"
            raise _wrong(message, file, place and place.value)
        for key, value in body.items():
            row = known.get((section, key))
            if row is None:
                keys = [other.key for other in TABLE if other.section == section]
                raise _misplaced(
                    text, file, (section, key), f"unknown key {_quoted(key)} in [{section}]", keys
                )
            try:
                values[row.field] = row.read(value)
            except ValueError as error:
                raise _wrong(f"{row.name} {error}", file, _value_place(text, (section, key))) from None
    return Settings()._replace(**values)


def _unreadable(text: str, file: str, error: Exception) -> ConfigError:
    """tomllib's words, with the place that they end in taken apart."""
    if isinstance(error, RecursionError):
        return _wrong("the values are nested too deeply", file, None)
    words = str(error)
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", words, re.DOTALL)
    if found is None:
        return _wrong(f"no TOML: {words.splitlines()[0]}", file, None)
    if found[2] is not None:
        place = int(found[2]), int(found[3])
    else:
        place = text.count("\n") + 1, len(text) - text.rfind("\n")
    return _wrong(f"no TOML: {found[1][:1].lower()}{found[1][1:].splitlines()[0]}", file, place)


def _misplaced(
    text: str, file: str, path: _Path, message: str, known: Mapping[str, object] | list[str]
) -> ConfigError:
    found = _nearest(text, path)
    return _wrong(f"{message}; there are {', '.join(known)}", file, found and found.key)


def _value_place(text: str, path: _Path) -> tuple[int, int] | None:
    found = _nearest(text, path)
    return found and found.value


def _nearest(text: str, path: _Path) -> Place | None:
    """Where a key is, or else what it is a part of: a dotted key or an inline table, a header."""
    found = places(text)
    for length in range(len(path), 0, -1):
        for known, place in found.items():
            if known[:length] == path[:length] and (length < len(path) or len(known) >= length):
                return place
    return None


def _quoted(word: str) -> str:
    return json.dumps(word if len(word) <= 40 else word[:40] + "…")


# --- places

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r'(?:"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|[^="\'\]\n#])*')
_SCAN = re.compile(
    r'"""(?:\\.|(?!""").)*"{3,5}|' + r"'''(?:(?!''').)*'{3,5}|"
    r'"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'|#[^\n]*|[\[\]{}\n]",
    re.DOTALL,
)


def places(text: str) -> dict[_Path, Place]:
    """Where the headers and keys of a text are that is good TOML. What is inside a value has no place of its own."""
    found: dict[_Path, Place] = {}
    for path, key, value in _statements(text):
        found.setdefault(path, Place(_position(text, key), _position(text, value)))
    return found


def _statements(text: str) -> Iterator[tuple[_Path, int, int]]:
    """(the whole path, where its key begins, where its value does), a header's value being its key."""
    above: _Path = ()
    at = 0
    while True:
        at = _skip(_BLANK, text, at)
        if at >= len(text):
            return
        if text[at] == "[":
            begin = at
            while text[at] in "[ \t":
                at += 1
            end = _skip(_KEY, text, at)
            above = _path(text[at:end])
            yield above, begin, begin
            at = end
            while at < len(text) and text[at] in "] \t":
                at += 1
            continue
        end = _skip(_KEY, text, at)
        value = end + 1
        while value < len(text) and text[value] in " \t":
            value += 1
        yield (*above, *_path(text[at:end])), at, value
        at = _end_of_value(text, value)


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    assert found is not None, "each of these patterns matches nothing, too"
    return found.end()


def _path(key: str) -> _Path:
    """What a dotted key names, by tomllib's own judgement."""
    names = []
    inner: object = tomllib.loads(f"{key.strip()} = 0")
    while isinstance(inner, dict):
        ((name, inner),) = inner.items()
        names.append(name)
    return tuple(names)


def _end_of_value(text: str, at: int) -> int:
    """Where the line ends that a value ends on."""
    depth = 0
    for found in _SCAN.finditer(text, at):
        what = found[0]
        if what in ("[", "{"):
            depth += 1
        elif what in ("]", "}"):
            depth -= 1
        elif what == "\n" and depth <= 0:
            return found.end()
    return len(text)


def _position(text: str, at: int) -> tuple[int, int]:
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


# --- writing


def show(settings: Settings) -> str:
    """A TOML with every setting's help and default, and the present value where it differs. `parse` reads it back."""
    lines = [
        "# The settings of the Xen daemon, purevirt xend. What is commented out is the default.",
        f"# They are read from {FILE} at start, and again on SIGHUP.",
    ]
    for section, about in SECTIONS.items():
        lines += ["", f"[{section}]  # {about}"]
        for row in TABLE:
            if row.section == section:
                lines += ["", *_remarks(row), f"# {row.key} = {toml(row.default)}"]
                value = getattr(settings, row.field)
                if value != row.default:
                    lines.append(f"{row.key} = {toml(value)}")
    return "\n".join(lines) + "\n"


def _remarks(row: Setting) -> list[str]:
    when = "" if row.live else "; takes a restart"
    remarks = [f"# {row.help}", f"# {row.kind.expected[:1].upper()}{row.kind.expected[1:]}{when}."]
    if row.field in PENDING:
        remarks.append("# Nothing uses it yet.")
    return remarks


def toml(value: object) -> str:
    """A value in TOML. JSON's strings are TOML's where they hold no control characters, as the table sees to."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(toml(item) for item in value)}]"
    assert isinstance(value, (int, float))
    return repr(value)
