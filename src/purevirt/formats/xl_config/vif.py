"""A string of `vif = [ … ]` <-> a network interface: xl-network-configuration(5), its rates too.

xl passes over keys that it does not know, and so do we, but keep them. How a rate is read (which numbers are too
large, that an interval without a unit is in seconds, whatever the manual says) was seen from xl 4.17 itself.
"""

from __future__ import annotations

import re

from purevirt._typing import Any
from purevirt.formats.xl_config.reading import Reader
from purevirt.formats.xl_config.specs import NUMBER, TEXT, Option, Part, Spec, parts, whole, words
from purevirt.formats.xl_config.syntax import Atom
from purevirt.model.description import Interface, Rate

__all__ = ["read", "read_rate", "write", "write_rate"]

_MAC = re.compile(r"[0-9a-fA-F]{1,2}([:-][0-9a-fA-F]{1,2}){5}")
_PROPER_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_RATE = re.compile(r"([0-9]+)([KMG]?)([Bb])/s(?:@([0-9]+)(ms?|us?|s?))?", re.ASCII)
_SCALES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_INTERVALS = {"": 10**6, "s": 10**6, "m": 10**3, "ms": 10**3, "u": 1, "us": 1}
_INTERVAL_US = 50_000
_MOST = 2**32 - 1


def read_rate(text: str) -> Rate:
    """A rate like 10Mb/s or 1MB/s@20ms. ValueError with what was expected."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError("a rate like 10Mb/s or 250KB/s@20ms")
    number, interval = _strtol(match[1]), _INTERVAL_US
    if match[4] is not None:
        interval = _strtol(match[4]) * _INTERVALS[match[5] or ""]
    rate = number * _SCALES[match[2]] // (8 if match[3] == "b" else 1)
    if not (0 < number <= _MOST and 0 < interval <= _MOST and rate * interval < 2**64):
        raise ValueError("a rate above 0, and an interval from 1us to 4294s")
    return Rate(rate * interval // 10**6, interval)


def _strtol(digits: str) -> int:
    """As C reads it: octal after a 0."""
    try:
        return int(digits, 8 if digits.startswith("0") else 10)
    except ValueError:
        raise ValueError("a rate like 10Mb/s, with octal digits behind a 0") from None


def write_rate(rate: Rate) -> str | None:
    """The shortest text for a rate; None if xl would make another one of any."""
    if not 0 < rate.interval_us <= _MOST or rate.bytes < 0:
        return None
    per_second = -(-rate.bytes * 10**6 // rate.interval_us) or 1
    for scale, unit in ((10**9, "G"), (10**6, "M"), (10**3, "K"), (1, "")):
        if per_second % scale == 0:
            text = f"{per_second // scale}{unit}B/s"
            break
        if scale > 1 and per_second * 8 % scale == 0:
            text = f"{per_second * 8 // scale}{unit}b/s"
            break
    if rate.interval_us != _INTERVAL_US:
        divisor, unit = (1000, "ms") if rate.interval_us % 1000 == 0 else (1, "us")
        text += f"@{rate.interval_us // divisor}{unit}"
    try:
        return text if read_rate(text) == rate else None
    except ValueError:
        return None


def _read_mac(text: str) -> str:
    """As it stands, unless it needs to be put into the usual form."""
    if _MAC.fullmatch(text) is None:
        raise ValueError("six groups of hexadecimal digits like 00:16:3e:00:00:01")
    if _PROPER_MAC.fullmatch(text):
        return text
    return ":".join(f"{int(group, 16):02x}" for group in re.split("[:-]", text))


def _write_mac(text: str) -> str | None:
    return text if _PROPER_MAC.fullmatch(text) else None


def _write_addresses(addresses: tuple[str, ...]) -> str | None:
    return whole(" ".join(addresses)) if all(len(one.split()) == 1 for one in addresses) else None


_SPEC = Spec(
    Interface,
    Option("mac", "mac", _read_mac, _write_mac),
    TEXT("bridge", "bridge"),
    TEXT("gatewaydev", "gateway_device"),
    TEXT("script", "script"),
    Option("ip", "addresses", lambda text: tuple(text.split()), _write_addresses),
    words("type", "emulated", {"vif": False, "ioemu": True}),
    TEXT("model", "model"),
    TEXT("vifname", "name"),
    Option("rate", "rate", read_rate, write_rate),
    NUMBER("mtu", "mtu"),
    TEXT("backend", "backend_domain"),
    NUMBER("devid", "number"),
    aliases={"netdev": "gatewaydev"},
    flags={"trusted": ("trusted", True), "untrusted": ("trusted", False)},
    unsayable=("network", "vlan"),
    lenient=True,
)


def read(reader: Reader, name: str, index: int, item: Atom) -> Interface:
    """The interface that a string describes. ConfigError for a value that xl would refuse or pass over."""
    colo: list[tuple[str, str]] = []
    others: list[Part] = []
    for part in parts(item.value):
        if part.value is not None and (part.key.startswith("colo_") or part.key == "forwarddev"):
            colo.append((part.key, part.value))
        else:
            others.append(part)
    fields: dict[str, Any] = _SPEC.fields(reader, name, index, item, iter(others))
    if colo:
        fields["colo"] = tuple(colo)
    made: Interface = _SPEC.made(reader, name, item, fields)
    return made


def write(interface: Interface, xen: tuple[int, int]) -> str | None:
    """The string; None for what xl has no words for: a network of libvirt's, a VLAN that is not part of the bridge."""
    text = _SPEC.write(interface)
    if text is None or not interface.colo:
        return text
    pairs = []
    for key, value in interface.colo:
        if whole(value) is None or whole(key) is None or not (key.startswith("colo_") or key == "forwarddev"):
            return None
        pairs.append(f"{key}={value}")
    return ",".join([text, *pairs] if text else pairs)
