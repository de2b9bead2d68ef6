"""How results are printed: tables, "key: value" blocks, JSON; and how values are written in them.

Nothing unknown is printed as a number: "-" in a table, null in JSON.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

__all__ = ["block", "cpu_ranges", "done", "jsonable", "kib", "print_json", "seconds", "table", "text"]

UNKNOWN = "-"


def text(value: object) -> str:
    """A cell: control characters escaped, so that a guest's name cannot play with the terminal."""
    if value is None:
        return UNKNOWN
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, bool):
        return "yes" if value else "no"
    shown = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    if shown.isprintable():
        return shown
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in shown)


def kib(value: int | None) -> str:
    """A size as virsh writes it."""
    return UNKNOWN if value is None else f"{value} KiB"


def seconds(nanoseconds: int | None) -> str:
    """A CPU time as virsh writes it."""
    return UNKNOWN if nanoseconds is None else f"{nanoseconds / 1e9:.1f}s"


def cpu_ranges(cpus: Iterable[int]) -> str:
    """ "0-3,6": a set of CPUs."""
    runs: list[list[int]] = []
    for cpu in sorted(cpus):
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs) or UNKNOWN


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Columns as virsh prints them: one space before, three between, a rule below the headings."""
    cells = [[text(value) for value in row] for row in rows]
    widths = [
        max([len(heading), *(len(row[index]) for row in cells)]) for index, heading in enumerate(headings)
    ]
    lines = []
    for row in (list(headings), *cells):
        parts = [
            value.rjust(width) if heading in right else value.ljust(width)
            for heading, value, width in zip(headings, row, widths, strict=True)
        ]
        lines.append((" " + "   ".join(parts)).rstrip())
    lines.insert(1, "-" * (sum(widths) + 3 * (len(widths) - 1) + 2))
    print("\n".join(lines))


def block(pairs: Iterable[tuple[str, object]], *, width: int = 16) -> None:
    """One "key:   value" per line."""
    for key, value in pairs:
        print(f"{key + ':':<{width}}{text(value)}".rstrip())


def jsonable(value: object) -> object:
    """Model objects as JSON: named tuples by field, enums by name in lower case, UUIDs as text, sets sorted.

    A handle becomes "uuid".
    """
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        fields = value._asdict()
        if "handle" in fields:
            fields = {("uuid" if key == "handle" else key): fields[key] for key in fields}
            fields["uuid"] = getattr(value, "uuid")  # noqa: B009 - of whatever has a handle
        return {key: jsonable(item) for key, item in fields.items()}
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return [jsonable(item) for item in sorted(value)]
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def print_json(value: object) -> None:
    """The result as JSON, on standard output."""
    import json

    print(json.dumps(jsonable(value), indent=2, ensure_ascii=False))


def done(as_json: bool, words: str | None = None) -> None:
    """That a change was made: virsh's words, if it has any, or {"done": true}."""
    if as_json:
        print_json({"done": True})
    elif words is not None:
        print(text(words))
