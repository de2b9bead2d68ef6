"""`(vbd (dev xvda:disk)(uname phy:/dev/vg/a)(mode w))` <-> a disk; `tap` and `tap2` are disks as well.

A uname begins with how it is served: `phy:` is a block device (below /dev unless it has a path), `file:` a file,
`tap:aio:`, `tap:qcow2:` … a file in that format; any other word names a script, block-WORD. Both kinds without a format
of their own are raw. Whether tapdisk is to serve it is not said by `tap:`: xend's clients had to say so for every
format but raw, and whoever serves it now is for the toolstack to choose.
"""

from __future__ import annotations

import re

import purevirt.wire.sxp as sxp
from purevirt.formats.xend_sxpr.domain import uname
from purevirt.formats.xend_sxpr.vm.pairs import Pairs
from purevirt.formats.xend_sxpr.vm.source import sayable
from purevirt.model.description import Disk, DiskDevice, DiskFormat

__all__ = ["read_disk", "write_disk"]

_RAW = ("aio", "sync", "raw")
_WRAPPERS = ("tapdisk", "ioemu")
_FORMATS = {
    **dict.fromkeys(_RAW, DiskFormat.RAW),
    **{member.value: member for member in DiskFormat if member not in (DiskFormat.RAW, DiskFormat.EMPTY)},
}
_WORD = re.compile(r"[a-z][a-z0-9_-]*")
_SERVED = ("phy", "file", "tap", "tap2")
_MODES = {"r": True, "ro": True, "w": False, "rw": False}
_DEVICES = {member.value: member for member in DiskDevice}


def read_disk(pairs: Pairs, index: int) -> Disk:
    """The disk that a device is. ConfigError for what xend could not have meant."""
    dev = pairs.text("dev")
    if dev is None:
        pairs.fail(f"({pairs.what} …) lacks (dev …), as in (dev xvda)", pairs.expression)
    target, device = _target(pairs, dev.removeprefix("ioemu:"))
    mode = (pairs.text("mode") or "r").lower()
    if mode.removesuffix("!") not in _MODES:
        pairs.fail(f"mode: expected r, w or w!, found {mode!r}", pairs.take("mode") or pairs.expression)
    disk = Disk(
        target.removeprefix("/dev/"),
        device=device,
        read_only=_MODES[mode.removesuffix("!")],
        shareable=True if mode.endswith("!") else None,
        backend_domain=backend(pairs),
    )
    pairs.pass_over("uuid", "driver", "devid", "protocol")  # a frontend says itself which protocol it speaks
    if pairs.text("VDI") is not None:
        pairs.unknown(pairs.take("VDI") or pairs.expression)
    if pairs.text("bootable") not in (None, "0" if index else "1"):
        pairs.unknown(pairs.take("bootable") or pairs.expression)
    found = pairs.text("uname")
    return disk if found is None else _with_source(pairs, disk, found)


def backend(pairs: Pairs) -> str | None:
    """The domain that serves a device, None for Domain 0."""
    name = pairs.text("backend")
    return None if name in ("0", "Domain-0") else name


def _target(pairs: Pairs, dev: str) -> tuple[str, DiskDevice]:
    target, colon, word = dev.partition(":")
    if colon and word not in _DEVICES:
        message = f"dev: expected {', '.join(_DEVICES)} behind the colon, found {word!r}"
        pairs.fail(message, pairs.take("dev") or pairs.expression)
    return target, _DEVICES[word] if colon else DiskDevice.DISK


def _with_source(pairs: Pairs, disk: Disk, found: str) -> Disk:
    word, colon, source = found.partition(":")
    format_ = DiskFormat.RAW
    while word in ("tap", "tap2", *_WRAPPERS) and colon:
        word, colon, source = source.partition(":")
        if colon and word in _FORMATS:
            return disk._replace(source=source or None, format=_FORMATS[word])
        if not colon or word not in _WRAPPERS:
            expected = ", ".join(f"tap:{one}:" for one in _FORMATS)
            pairs.fail(
                f"uname: expected one of {expected}, found {found!r}", pairs.take("uname") or pairs.expression
            )
    if not colon or not _WORD.fullmatch(word):
        message = f"uname: expected one like phy:/dev/vg/a, file:/a.img or tap:qcow2:/a, found {found!r}"
        pairs.fail(message, pairs.take("uname") or pairs.expression)
    if not source:
        return disk
    if word == "phy":
        source = source if source.startswith("/") else f"/dev/{source}"
        device = None if source.startswith("/dev/") else True
    elif word == "file":
        device = False if source.startswith("/dev/") else None
    else:
        return disk._replace(source=source, format=format_, script=f"block-{word}")
    return disk._replace(source=source, format=format_, from_device=device)


def write_disk(disk: Disk) -> tuple[tuple[str, sxp.Value], ...] | None:
    """The device's settings; None for one that xend could not have had."""
    texts = (disk.target, disk.source, disk.script, disk.backend_domain)
    if not disk.target or not all(sayable(text) for text in texts if text is not None):
        return None
    settings: list[tuple[str, sxp.Value]] = [("dev", f"{disk.target}:{disk.device.value}")]
    if disk.source:
        settings.append(("uname", _uname(disk, disk.source)))
    settings.append(("mode", ("r" if disk.read_only else "w") + ("!" if disk.shareable else "")))
    if disk.backend_domain is not None:
        settings.append(("backend", disk.backend_domain))
    return tuple(settings)


def _uname(disk: Disk, source: str) -> str:
    word = (disk.script or "").removeprefix("block-")
    if disk.script == f"block-{word}" and _WORD.fullmatch(word) and word not in _SERVED:
        return f"{word}:{source}"
    device = source.startswith("/dev/") if disk.from_device is None else disk.from_device
    format_ = disk.format
    return uname(source, None if format_ in (None, DiskFormat.EMPTY) else format_.value, device=device)
