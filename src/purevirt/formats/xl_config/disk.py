"""A string of `disk = [ … ]` <-> a disk: the language of xl-disk-configuration(5), old spellings included.

Parts are `key=value`, words alone, and up to four positional ones (target, format, vdev, access). `target=` takes all
that is left, commas too. Words before a colon that begin a part are what xend wanted to know (`phy:`, `tap:aio:`):
they name a format or a script, or nothing; after one, no format follows, and the vdev may have `:cdrom` behind it.
What is written is always the plain form, `vdev=…, format=…, target=…`, since no target can be misread in it.

Known from libxlutil 4.17 itself: that an empty format is "raw" and not "unsaid" for a second one, that `trusted`,
which its manual has, is not in its grammar, that an access mode is passed over where the device is a CD-ROM.
"""

from __future__ import annotations

import re

from purevirt._typing import Any
from purevirt.formats.xl_config.reading import Reader
from purevirt.formats.xl_config.specs import whole
from purevirt.formats.xl_config.syntax import Atom
from purevirt.model.description import Colo, Disk, DiskBackend, DiskDevice, DiskFormat

__all__ = ["read", "write"]

_OPTION = re.compile(r"([a-z][a-z0-9-]*)=")
_PREFIX = re.compile(r"([a-z][a-z0-9]*):")
_FORMATS = {member.value: member for member in DiskFormat} | {"": DiskFormat.RAW}
_BACKENDS = {member.value: member for member in DiskBackend}
_ACCESS = {"rw": False, "w": False, "": False, "ro": True, "r": True}
_DEVICES = {"cdrom": DiskDevice.CDROM, "disk": DiskDevice.DISK}
_FLAGS: dict[str, tuple[str, Any]] = {
    "direct-io-safe": ("direct_io_safe", True),
    "discard": ("discard", True),
    "no-discard": ("discard", False),
    "trusted": ("trusted", True),
    "untrusted": ("trusted", False),
}
_TEXTS = {
    "vdev": "target",
    "script": "script",
    "backend": "backend_domain",
    "specification": "specification",
    "transport": "transport",
}
_COLO = {
    "colo-host": "host",
    "colo-port": "port",
    "colo-export": "export",
    "active-disk": "active_disk",
    "hidden-disk": "hidden_disk",
}
_WORDS = {
    "specification": ("xen", "virtio"),
    "transport": ("mmio", "pci", "grant"),
}
_SCRIPTS = ("iscsi", "nbd", "enbd", "drbd")
_IDLE_PREFIXES = ("tapdisk", "tap", "tap2", "aio", "ioemu", "file", "phy")
_KEYS = ", ".join(
    f"{key}=" for key in ("target", "format", "vdev", "access", "devtype", "backendtype", *_TEXTS, *_COLO)
)


class _Reading:
    """One string, part by part."""

    __slots__ = ("colo", "deprecated", "fields", "item", "name", "offset", "reader", "said")

    def __init__(self, reader: Reader, name: str, item: Atom) -> None:
        self.reader = reader
        self.name = name
        self.item = item
        self.fields: dict[str, Any] = {}
        self.colo: dict[str, Any] = {}
        self.said: set[str] = set()
        self.deprecated = False
        self.offset: int | None = 0

    def fail(self, message: str) -> None:
        self.reader.fail(f"{self.name}: {message}", self.item, self.offset)

    def put(self, field: str, value: Any, key: str) -> None:
        """Takes a value. A word may be said again, if it is the same; a text only if it was empty before."""
        old = self.fields.get(field)
        self.fields[field] = value
        if old if isinstance(old, str) and key not in _WORDS else old not in (None, value):
            self.fail(f"{key} is said twice in {self.item.value!r}")

    def chosen(self, key: str, text: str, known: dict[str, Any]) -> Any:
        if text not in known:
            names = ", ".join(name for name in known if name)
            self.fail(f"{key} is {text!r}, expected one of {names}")
        return known[text]

    def format(self, text: str) -> None:
        self.put("format", self.chosen("format", text, _FORMATS), "format")
        if text:
            self.said.add("format")

    def option(self, key: str, text: str) -> None:
        if key == "format":
            self.format(text)
        elif key == "access":
            self.put("read_only", self.chosen(key, text, _ACCESS), key)
        elif key == "devtype":
            self.put("device", self.chosen(key, text, _DEVICES), key)
        elif key == "backendtype":
            self.put("backend", self.chosen(key, text, _BACKENDS), key)
        elif key in _TEXTS:
            if key in _WORDS:
                self.chosen(key, text, dict.fromkeys(_WORDS[key]))
            self.put(_TEXTS[key], text, key)
        elif key in _COLO:
            value: str | int = text
            if key == "colo-port":
                if not (text.isascii() and text.isdigit()):
                    self.fail(f"colo-port is {text!r}, expected a number")
                value = int(text)
            if isinstance(value, str) and self.colo.get(_COLO[key]):
                self.fail(f"{key} is said twice in {self.item.value!r}")
            self.colo[_COLO[key]] = value
        else:
            self.fail(f"expected one of {_KEYS} found {key}={text}")

    def prefixes(self, text: str) -> str:
        """The text without xend's prefixes, which say what they say."""
        while True:
            match = _PREFIX.match(text)
            if match is None:
                return text
            prefix, rest = match[1], text[match.end() :]
            if prefix in _IDLE_PREFIXES:
                pass
            elif prefix in _SCRIPTS:
                self.put("script", f"block-{prefix}", "a script")
            elif prefix in _FORMATS and prefix not in ("empty", "qed"):
                self.format(prefix)
            elif rest[:1].isascii() and rest[:1].isalnum() and rest[:1] == rest[:1].lower():
                return text  # part of a name
            else:
                self.fail(f"{prefix}: is no prefix that is known")
            self.deprecated = True
            text = rest

    def positional(self, part: str, *, last: bool) -> None:
        text = self.prefixes(part)
        if last and part and not text:
            return  # a prefix of nothing
        if "source" not in self.said:
            self.said.add("source")
            self.put("source", text, "target")
        elif not self.deprecated and "format" not in self.fields and not self._is_old_vdev(text):
            self.format(text)
        elif "target" not in self.fields:
            vdev, colon, device = text.rpartition(":")
            if colon:
                self.deprecated = True
                self.put("device", self.chosen("the type of the device", device, _DEVICES), "devtype")
            self.put("target", vdev if colon else text, "vdev")
        elif "access" not in self.said:
            self.said.add("access")
            self.put("read_only", self.chosen("access", text, _ACCESS), "access")
        else:
            self.fail(f"expected no more than target, format, vdev and access, found {text!r} as well")

    def _is_old_vdev(self, text: str) -> bool:
        """xend's empty drive: ",hdc:cdrom,r"."""
        return not self.fields["source"] and ":" in text


def read(reader: Reader, name: str, index: int, item: Atom) -> Disk:
    """The disk that a string describes. ConfigError for what xl refuses, at the part that it refuses."""
    made = _Reading(reader, name, item)
    text, position, size = item.value, 0, len(item.value)
    while position < size:
        if text[position] in " \t\n":
            position += 1
            continue
        made.offset = position
        option = _OPTION.match(text, position)
        if option is not None and option[1] == "target":
            made.put("source", text[option.end() :], "target")
            break
        comma = text.find(",", position)
        end = size if comma < 0 else comma
        part = text[position:end].rstrip(" \t")
        if option is not None and option.end() <= end:
            made.option(option[1], part[option.end() - position :])
        elif part == "cdrom":
            made.put("device", DiskDevice.CDROM, "devtype")
        elif part == "colo":
            made.said.add("colo")
        elif part in _FLAGS:
            field, value = _FLAGS[part]
            made.fields[field] = value
        elif "=" in part:
            made.fail(f"expected one of {_KEYS} found {part!r}")
        else:
            made.positional(part, last=comma < 0)
        position = end + 1
    return _disk(made)


def _disk(made: _Reading) -> Disk:
    fields = made.fields
    made.offset = None  # the whole string
    cdrom = fields.get("device") is DiskDevice.CDROM
    if not fields.get("target"):
        made.fail(f"{made.item.value!r} names no vdev, expected one like vdev=xvda")
    if "source" not in fields and not cdrom:
        made.fail(f"{made.item.value!r} names no target, as only a CD-ROM drive may")
    fields["source"] = fields.get("source") or None
    if cdrom:
        fields["read_only"] = True
    if "format" not in made.said:
        fields.pop("format", None)  # an empty word
    if made.colo or "colo" in made.said:
        fields["colo"] = Colo(**made.colo)
    return Disk(**fields)


def write(disk: Disk, xen: tuple[int, int]) -> str | None:
    """The string for a disk; None where xl could not have it, or would have another one.

    Xen's versions before 4.20 refuse `trusted` and `transport`, which are left out for them.
    """
    target = whole(disk.target)
    if not target or target != target.strip(" \t\n") or disk.device not in _DEVICES.values():
        return None
    written = [f"vdev={target}"]
    if disk.device is DiskDevice.CDROM:
        written.append("devtype=cdrom")
    elif not disk.source:
        return None
    elif disk.read_only:
        written.append("access=ro")
    if disk.format is not None:
        written.append(f"format={disk.format.value}")
    if disk.backend is not None:
        written.append(f"backendtype={disk.backend.value}")
    for key, field in _TEXTS.items():
        text = getattr(disk, field)
        if text is None or key == "vdev" or (key == "transport" and xen < (4, 20)):
            continue
        if whole(text) is None or text != text.strip(" \t\n") or text not in _WORDS.get(key, (text,)):
            return None
        written.append(f"{key}={text}")
    written.extend(_flags(disk, xen))
    colo = _colo(disk.colo)
    if colo is None:
        return None
    written.extend(colo)
    if disk.source is not None:
        if "\n" in disk.source or "\0" in disk.source:
            return None
        written.append(f"target={disk.source}")
    return ", ".join(written)


def _flags(disk: Disk, xen: tuple[int, int]) -> list[str]:
    return [
        flag
        for flag, (field, value) in _FLAGS.items()
        if getattr(disk, field) is value and (field != "trusted" or xen >= (4, 20))
    ]


def _colo(colo: Colo | None) -> list[str] | None:
    if colo is None:
        return []
    written = ["colo"]
    for key, field in _COLO.items():
        value = getattr(colo, field)
        if value is None:
            continue
        text = str(value)
        if whole(text) is None or text != text.strip(" \t\n"):
            return None
        written.append(f"{key}={text}")
    return written
