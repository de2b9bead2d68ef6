"""What an operation's arguments may be: loose JSON in, what a handler works with out. InvalidConfig says what is wrong.

Types are checked here; what a value may be on this host, for this domain, is the toolstack's to know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from purevirt.errors import InvalidConfig
from purevirt.model import STATS_GROUPS, DomainType, ShutdownMode, Trigger

__all__ = [
    "SCHEMAS",
    "Argument",
    "cpus",
    "domain_type",
    "flag",
    "groups",
    "handle",
    "integer",
    "long_text",
    "mode",
    "read_arguments",
    "seconds",
    "text",
    "trigger",
    "words",
]

_WIDEST = 1 << 63
_LONGEST = 4096
LONGEST_TEXT = 1 << 16
_MISSING = object()


class Argument(NamedTuple):
    """How one argument is read. Without a default it must be given."""

    read: Callable[[object], object]
    default: object = _MISSING

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is _MISSING


def read_arguments(
    operation: str, known: Mapping[str, Argument], given: Mapping[str, object]
) -> dict[str, object]:
    """All of them, by name. Null is the same as absent where there is a default."""
    problems = [f"it has no argument {name[:40]!r}" for name in given if name not in known]
    values: dict[str, object] = {}
    for name, argument in known.items():
        value = given.get(name)
        if value is None and (name not in given or argument.default is not _MISSING):
            if argument.default is _MISSING:
                problems.append(f"{name} is missing")
            else:
                values[name] = argument.default
            continue
        try:
            values[name] = argument.read(value)
        except ValueError as error:
            problems.append(f"{name} {error}")
    if problems:
        raise InvalidConfig(
            f"{operation}: {'; '.join(problems)}", operation=operation, problems=tuple(problems)
        )
    return values


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:60] + "…"


def integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -_WIDEST <= value < _WIDEST:
        raise ValueError(f"must be a whole number, not {_shown(value)}")
    return value


def seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 3600:
        raise ValueError(f"must be 0 to 3600 seconds, not {_shown(value)}")
    return float(value)


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {_shown(value)}")
    return value


def text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or "\0" in value:
        raise ValueError(f"must be text without NUL of at most {_LONGEST} characters, not {_shown(value)}")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ValueError(f"must be text, and {_shown(value)} holds half a character") from None
    return value


def long_text(value: object) -> str:
    """As `text`, but for its length: descriptions are long."""
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError(f"must be text of at most {LONGEST_TEXT} characters")
    for start in range(0, len(value), _LONGEST):
        text(value[start : start + _LONGEST])
    return value


def words(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= _LONGEST:
        raise ValueError(f"must be a list of words, not {_shown(value)}")
    return tuple(text(item) for item in value)


def handle(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) != 16:
        raise ValueError(f"must be a UUID, not {_shown(value)}")
    return value


def cpus(value: object) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple, set, frozenset)) or len(value) > _LONGEST:
        raise ValueError(f"must be a list of CPU numbers, not {_shown(value)}")
    return tuple(integer(item) for item in value)


def groups(value: object) -> frozenset[str]:
    if not isinstance(value, (list, tuple, set, frozenset)) or not STATS_GROUPS.issuperset(
        item if isinstance(item, str) else "" for item in value
    ):
        raise ValueError(f"must be a list of {', '.join(sorted(STATS_GROUPS))}, not {_shown(value)}")
    return frozenset(value)


def domain_type(value: object) -> DomainType:
    if isinstance(value, str):
        for known in DomainType:
            if value == known.value:
                return known
    raise ValueError(f"must be one of {', '.join(known.value for known in DomainType)}, not {_shown(value)}")


def mode(value: object) -> ShutdownMode:
    if isinstance(value, str):
        for known in ShutdownMode:
            if value == known.value:
                return known
    raise ValueError(
        f"must be one of {', '.join(known.value for known in ShutdownMode)}, not {_shown(value)}"
    )


def trigger(value: object) -> Trigger:
    if isinstance(value, str):
        for known in Trigger:
            if value == known.value:
                return known
    raise ValueError(f"must be one of {', '.join(known.value for known in Trigger)}, not {_shown(value)}")


SCHEMAS: Mapping[Callable[[Any], object], Mapping[str, object]] = {
    cpus: {"type": "array", "items": {"type": "integer"}, "maxItems": _LONGEST},
    domain_type: {"type": "string", "enum": [known.value for known in DomainType]},
    flag: {"type": "boolean"},
    groups: {"type": "array", "items": {"type": "string", "enum": sorted(STATS_GROUPS)}},
    handle: {"type": "string", "format": "uuid"},
    integer: {"type": "integer", "minimum": -_WIDEST, "maximum": _WIDEST - 1},
    long_text: {"type": "string", "maxLength": LONGEST_TEXT},
    mode: {"type": "string", "enum": [known.value for known in ShutdownMode]},
    seconds: {"type": "number", "minimum": 0, "maximum": 3600},
    text: {"type": "string", "maxLength": _LONGEST},
    trigger: {"type": "string", "enum": [known.value for known in Trigger]},
    words: {
        "type": "array",
        "items": {"type": "string", "maxLength": _LONGEST},
        "minItems": 1,
        "maxItems": _LONGEST,
    },
}
"""Each kind as a JSON schema: what its reader takes."""
