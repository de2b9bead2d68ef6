"""Kinds of arguments that several commands take: sizes as virsh reads them, lists of CPUs, time limits."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

if TYPE_CHECKING:
    import purevirt

__all__ = [
    "CpuList",
    "Scope",
    "Size",
    "live_option",
    "parse_cpus",
    "parse_size",
    "scope_options",
    "timeout_option",
]

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = "kmgtpe"
_SIZE = re.compile(r"(\d+)\s*([a-z]*)", re.IGNORECASE | re.ASCII)
_MOST_CPUS = 1 << 16


def parse_size(text: str) -> int:
    """A size in KiB: "524288" (KiB), "512M", "512MiB" (1024 x 1024), "512MB" (1000 x 1000), "b" for bytes, rounded
    up.

    ValueError for anything else.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size: write 524288 (KiB), 512M or 1G")
    number, unit = int(match[1]), match[2].lower()
    if unit in ("b", "byte", "bytes"):
        factor = 1
    elif not unit:
        factor = 1024
    else:
        power = _UNITS.find(unit[0]) + 1
        if not power or unit[1:] not in ("", "b", "ib"):
            raise ValueError(f"{text!r} is no size: {match[2]!r} is no unit (b, K, M, G, T; MiB, MB)")
        factor = int((1000 if unit[1:] == "b" else 1024) ** power)
    kib = -(-number * factor // 1024)
    if kib >= 1 << 53:
        raise ValueError(f"{text!r} is more than any machine has")
    return kib


def parse_cpus(text: str, available: int) -> list[int]:
    """A list of CPUs as virsh writes it: "0-3,^2,5"; "r": all that the host has. ValueError for anything else."""
    if text.strip() == "r":
        return list(range(available))
    wanted: set[int] = set()
    for part in text.split(","):
        word = part.strip()
        match = re.fullmatch(r"(\^?)(\d{1,5})(?:-(\d{1,5}))?", word, re.ASCII)
        if match is None or (match[1] and match[3]):
            raise ValueError(f"{text!r} is no list of CPUs: write 0-3,5 or 0-7,^2, or r for all")
        first, last = int(match[2]), int(match[3] or match[2])
        if not first <= last < _MOST_CPUS:
            raise ValueError(f"{text!r} is no list of CPUs: {word} is no range")
        if match[1]:
            wanted.discard(first)
        else:
            wanted.update(range(first, last + 1))
    if not wanted:
        raise ValueError(f"{text!r} leaves no CPU")
    return sorted(wanted)


class Size(click.ParamType[int]):
    """A size, as a number of KiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class CpuList(click.ParamType[str]):
    """A list of CPUs; how many there are is not known before the host is open, so the text stays."""

    name = "cpulist"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            parse_cpus(value, 1)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


def timeout_option(function: F) -> F:
    """--timeout, of a change."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0.001),
        default=30.0,
        metavar="SECONDS",
        help="How long it may take. Default: 30.",
    )(function)


class Scope(NamedTuple):
    """What a change is to change, as virsh's options say it."""

    live: bool
    config: bool
    persistent: bool

    def of(self, domain: purevirt.Domain) -> dict[str, bool]:
        """The library's arguments for this domain: without any option, what runs if it runs, else its definition."""
        if self.persistent:
            return {"live": domain.is_active(), "config": True}
        if self.live or self.config:
            return {"live": self.live, "config": self.config}
        active = domain.is_active()
        return {"live": active, "config": not active}


def scope_options(function: F) -> F:
    """--live, --config, --persistent and --current, as virsh has them; the command gets them as `scope`."""

    @click.option("--live", is_flag=True, help="The running domain.")
    @click.option("--config", is_flag=True, help="The definition, for the next start.")
    @click.option("--persistent", is_flag=True, help="The definition, and the domain if it runs.")
    @click.option("--current", is_flag=True, help="The domain if it runs, else its definition. The default.")
    @functools.wraps(function)
    def with_scope(
        *args: Any, live: bool, config: bool, persistent: bool, current: bool, **kwargs: Any
    ) -> Any:
        if current and (live or config or persistent):
            raise click.UsageError("--current goes with none of --live, --config and --persistent")
        return function(*args, scope=Scope(live, config, persistent), **kwargs)

    return with_scope  # type: ignore[return-value]


def live_option(function: F) -> F:
    """--live and --current, as virsh has them, of what only a running domain has."""
    return click.option(
        "--live/--current",
        "_live",
        default=True,
        expose_value=False,
        help="Change the running domain: the only choice, for virsh's sake.",
    )(function)
