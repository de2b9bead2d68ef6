"""`(image (linux|hvm …))`: how the domain is built and what machine it finds, where that is no single value.

Where xend's own hvmloader and qemu-dm are named, in the places where Xen's old releases had them, nothing is said: the
clients of xend had to name them, and no host has them any more. A root or an address that the image names beside its
arguments is added to them, as xend did, unless they have one.
"""

from __future__ import annotations

import re

import purevirt.wire.sxp as sxp
from purevirt._typing import Any
from purevirt.formats.xend_sxpr.vm.pairs import Pairs
from purevirt.formats.xend_sxpr.vm.source import sayable
from purevirt.formats.xend_sxpr.vm.table import mebibytes
from purevirt.model.description import BootDevice, Disk, DiskDevice, DomainDescription, Input, Serial, Video
from purevirt.model.domain import DomainType

__all__ = ["KINDS", "floppy", "read_image", "write_image"]

KINDS = {"linux": DomainType.PV, "other": DomainType.PV, "hvm": DomainType.HVM}
"""What stands behind `image`: whose kernel it is mattered to nobody but the one who built it."""

_LOADER = re.compile(r"/usr(?:/local)?/lib(?:64|exec)?/xen(?:-[^/]*)?/boot/hvmloader")
_DEVICE_MODEL = re.compile(r"/usr(?:/local)?/lib(?:64|exec)?/xen(?:-[^/]*)?/bin/qemu-dm")
_ORDER = {"a": BootDevice.FLOPPY, "c": BootDevice.DISK, "d": BootDevice.CDROM, "n": BootDevice.NETWORK}
_LETTERS = {device: letter for letter, device in _ORDER.items()}
_FLOPPIES = ("fda", "fdb")
_INPUTS = ("tablet", "mouse", "keyboard")

Fields = dict[str, dict[str, Any]]


def read_image(image: Pairs, into: Fields, kind: DomainType) -> None:
    """What the image says, but for its screens and what is in the table."""
    boot, top = into["boot"], into[""]
    _read_kernel(image, boot, kind)
    boot["command_line"] = _command_line(image)
    letters = image.text("boot") or ""
    if not set(letters) <= set(_ORDER):
        message = (
            f"boot: expected letters of a (floppy), c (disk), d (CD-ROM), n (network), found {letters!r}"
        )
        image.fail(message, image.take("boot") or image.expression)
    boot["order"] = tuple(_ORDER[letter] for letter in letters)
    model = image.text("device_model")
    if model is not None and not _DEVICE_MODEL.fullmatch(model):
        into["device_model"]["path"] = model
    if image.flag("viridian"):
        into["features"]["viridian"] = ("defaults",)
    serial, sound, device = image.text("serial"), image.text("soundhw"), image.text("usbdevice")
    if serial is not None:
        top["serials"] = (Serial(serial),)
    if sound is not None:
        top["sound"] = tuple(word.strip() for word in sound.split(",") if word.strip())
    if device is not None:
        if device in _INPUTS:
            top["inputs"] = (Input(device),)
        else:
            top["usb_devices_emulated"] = (device,)
    video = _video(image)
    if video is not None:
        top["video"] = video
    floppies = [(name, image.text(name)) for name in _FLOPPIES]
    top["disks"] = tuple(
        Disk(name, path, device=DiskDevice.FLOPPY) for name, path in floppies if path is not None
    )
    _pass_over_idle(image)


def _pass_over_idle(image: Pairs) -> None:
    """What xend showed of every image, where it says nothing; and what it told of the kernel that it had built."""
    image.pass_over("notes")
    for key in ("superpages", "monitor", "vncconsole", "vhpt", "xen_extended_power_mgmt", "isa"):
        pair = image.take(key) if image.has(key) else None
        if pair is not None and not (len(pair) == 2 and pair[1] in ("0", "")):
            image.unknown(pair)
    pci = image.take("pci")
    if pci is not None and len(pci) > 1 and pci[1] not in ([], "", "()"):
        image.unknown(pci)


def _read_kernel(image: Pairs, boot: dict[str, Any], kind: DomainType) -> None:
    kernel, loader = image.text("kernel"), image.text("loader")
    if kind is DomainType.HVM and kernel is not None and kernel.rpartition("/")[2] == "hvmloader":
        kernel, loader = None, loader or kernel  # so it was called at first
    if loader is not None and not _LOADER.fullmatch(loader):
        boot["loader"] = loader
    if kernel is not None:
        boot["kernel"] = kernel


def _command_line(image: Pairs) -> str | None:
    line = image.text("args")
    for key, sign in (("ip", r"(?:^|\s)ip="), ("root", r"(?:^|\s)root=")):
        more = image.text(key)
        if more is not None and not re.search(sign, line or ""):
            line = f"{line} {key}={more}" if line else f"{key}={more}"
    return line


def _video(image: Pairs) -> Video | None:
    standard, ram, passed = image.flag("stdvga"), image.number("videoram"), image.flag("gfx_passthru")
    if standard is None and ram is None and not passed:
        return None
    model = None if standard is None else "stdvga" if standard else "cirrus"
    return Video(model, None if ram is None else ram * 1024, "default" if passed else None)


def floppy(disk: Disk) -> bool:
    """Whether a disk is one that the image names."""
    return disk.device is DiskDevice.FLOPPY and disk.target in _FLOPPIES and disk.source is not None


def write_image(description: DomainDescription) -> list[tuple[str, sxp.Value]]:
    """The image's pairs, but for its screens and what is in the table."""
    boot = description.boot
    written: dict[str, sxp.Value] = {
        "kernel": boot.kernel,
        "loader": boot.loader,
        "args": boot.command_line,
        "boot": "".join(_LETTERS[device] for device in boot.order),
        "device_model": description.device_model.path,
        "viridian": 1 if description.features.viridian else None,
        "serial": description.serials[0].connected if description.serials else None,
        "soundhw": ",".join(description.sound),
        "usbdevice": _usb_device(description),
    }
    video = description.video
    if video is not None:
        if video.model in ("stdvga", "cirrus"):
            written["stdvga"] = int(video.model == "stdvga")
        if video.vram_kib is not None and video.vram_kib >= 0:
            written["videoram"] = mebibytes(video.vram_kib)
        if video.passthrough is not None:
            written["gfx_passthru"] = 1
    for disk in description.disks:
        if floppy(disk):
            written.setdefault(disk.target, disk.source)
    return [
        (key, value)
        for key, value in written.items()
        if value not in (None, "") and (not isinstance(value, str) or sayable(value))
    ]


def _usb_device(description: DomainDescription) -> str | None:
    """xend's clients named one."""
    words = (*(one.type for one in description.inputs), *description.usb_devices_emulated)
    return words[0] if words else None
