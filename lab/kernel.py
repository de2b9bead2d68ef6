"""Debian's kernel, taken apart: the ELF inside a bzImage, and modules in the order in which they must load.

`xl create` unpacks a bzImage on every call, about 6 seconds under emulation; from the ELF inside it, it needs
one. So guests get the ELF.
"""

from __future__ import annotations

import lzma
from pathlib import Path

from lab.errors import LabError


def unpack_bzimage(image: bytes) -> bytes | None:
    """The ELF inside a bzImage, or None where it is packed in a way that the standard library cannot read.

    Offsets are those of the Linux boot protocol (Documentation/arch/x86/boot.rst): setup_sects at 0x1f1, and
    from version 2.08 payload_offset and payload_length at 0x248, counted from the start of the protected-mode
    code.
    """
    if image[0x202:0x206] != b"HdrS":
        raise LabError("the kernel in the image is not a bzImage")
    start = ((image[0x1F1] or 4) + 1) * 512 + int.from_bytes(image[0x248:0x24C], "little")
    payload = image[start : start + int.from_bytes(image[0x24C:0x250], "little")]
    if not payload.startswith(b"\xfd7zXZ\0"):
        return None
    # The four bytes of size that follow the stream would be an error to lzma.decompress().
    elf = lzma.LZMADecompressor().decompress(payload)
    return elf if elf.startswith(b"\x7fELF") else None


def module_closure(modules: Path, names: list[str]) -> list[Path]:
    """The files of `names` and of all they depend on, each after what it needs.

    `modules` is /lib/modules/VERSION. A name that is in modules.builtin needs no file and is left out; an
    unknown name raises LabError, because a Domain 0 without its disk driver only hangs.
    """
    depends: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, needed = line.partition(":")
        depends[path] = needed.split()
    by_name = {_module_name(path): path for path in depends}
    builtin = {_module_name(path) for path in (modules / "modules.builtin").read_text().splitlines()}
    ordered: dict[str, None] = {}
    for name in names:
        if name in builtin:
            continue
        if name not in by_name:
            raise LabError(f"the kernel in the image has no module {name}")
        path = by_name[name]
        # modules.dep lists a module's needs with the innermost last.
        for needed in [*reversed(depends[path]), path]:
            ordered.setdefault(needed)
    return [modules / path for path in ordered]


def read_module(path: Path) -> bytes:
    """A module's ELF, also where Debian ships it as .ko.xz."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _module_name(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")
