"""The file that `xl save` writes: a header, the domain's record as libxl keeps it, then the stream of its state.

```
char     magic[32]              "Xen saved domain, xl format\\n \\0 \\r", filled up with zeros
uint32_t byteorder              0x01020304, as the machine has it that wrote the file
uint32_t mandatory_flags        bit 0: the record is JSON; bit 1: the stream is of version 2 (libxl's, since Xen 4.6)
uint32_t optional_flags
uint32_t optional_data_len      then so many bytes: uint32_t length of the record, the record, what else there may be
```

libxl's stream has a header of 16 bytes and records: type, length, body, filled up to 8 bytes; one of them (type 1)
stands before libxc's stream, which has two headers, of 24 and 16 bytes, and records of the same shape. Both end with a
record of type 0; a file in which one of these is missing was not written to its end.

Source: struct save_file_header and load_domain_config in tools/xl, docs/specs/libxl-migration-stream.pandoc and
libxc-migration-stream.pandoc of Xen.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from purevirt.daemons.xend.toolstack.builder import Saved
from purevirt.errors import ConfigError
from purevirt.formats import libxl_json

__all__ = ["inspect", "is_whole"]

_MAGIC = b"Xen saved domain, xl format\n \0 \r"
_HEADER = struct.Struct("<32s4I")
_BYTEORDER = 0x01020304
_JSON, _STREAM_2 = 1, 2
_MOST = 16 << 20
_STREAM = b"LibxlFmt"
_STREAM_HEADER = 16
_IMAGE = struct.Struct(">QI12x")  # marker, id; then version and options
_DOMAIN = struct.Struct("<IHHII")  # type, page_shift, nothing, Xen's major, minor
_MARKER, _ID = 0xFFFFFFFFFFFFFFFF, 0x58454E46
_RECORD = struct.Struct("<II")
_LAST, _LIBXC = 0, 1


def inspect(path: str) -> Saved:
    """Whom a file was saved of, and by which Xen. ConfigError: it is no such file, or was not written to its end.

    OSError: it cannot be read. Takes a seek for each few MiB in it.
    """
    with open(path, "rb") as file:
        description = libxl_json.parse(_record(file, path), file=path).description
        version = _walk(file, os.fstat(file.fileno()).st_size)
    if version is None:
        raise ConfigError(f"{path}: the saved state of a domain, cut off or damaged", file=path)
    return Saved(description, version)


def is_whole(path: str) -> bool:
    """Whether a file is one, and was written to its end."""
    try:
        inspect(path)
    except (OSError, ConfigError):
        return False
    return True


def _walk(file: BinaryIO, size: int) -> str | None:
    """The version of the Xen that saved it; None if the stream that begins here does not end as it should."""
    if not file.read(_STREAM_HEADER).startswith(_STREAM):
        return None
    version = None
    while (kind := _next(file, size)) is not None:
        if kind == _LAST:
            return version
        if kind == _LIBXC:
            version = _walk_libxc(file, size)
            if version is None:
                return None
    return None


def _walk_libxc(file: BinaryIO, size: int) -> str | None:
    head = file.read(_IMAGE.size + _DOMAIN.size)
    if len(head) < _IMAGE.size + _DOMAIN.size or _IMAGE.unpack_from(head) != (_MARKER, _ID):
        return None
    *_, major, minor = _DOMAIN.unpack_from(head, _IMAGE.size)
    while (kind := _next(file, size)) is not None:
        if kind == _LAST:
            return f"{major}.{minor}"
    return None


def _next(file: BinaryIO, size: int) -> int | None:
    """The type of the next record, whose body is passed over; None if it is not there whole."""
    head = file.read(_RECORD.size)
    if len(head) < _RECORD.size:
        return None
    kind, length = _RECORD.unpack(head)
    after = file.tell() + (length + 7 & ~7)
    if after > size:
        return None
    file.seek(after)
    return int(kind)


def _record(file: BinaryIO, path: str) -> str:
    """The record; the file stands behind it, where the stream begins."""

    def wrong(why: str) -> ConfigError:
        return ConfigError(f"{path}: {why}", file=path)

    head = file.read(_HEADER.size)
    if not head.startswith(_MAGIC):
        raise wrong("not the saved state of a domain, as xl writes it")
    if len(head) < _HEADER.size:
        raise wrong("the saved state of a domain, cut off in its header")
    _, byteorder, mandatory, _, length = _HEADER.unpack(head)
    if byteorder != _BYTEORDER:
        raise wrong("saved on a machine of the other byte order")
    if mandatory & ~(_JSON | _STREAM_2) or not mandatory & _STREAM_2:
        raise wrong(f"saved in a form that is not known here (flags {mandatory:#x})")
    if not mandatory & _JSON:
        raise wrong("saved by a release before Xen 4.5, with a configuration file in it")
    if not 4 <= length <= _MOST:
        raise wrong(f"says that {length} bytes of description are in it")
    data = file.read(length)
    if len(data) < length:
        raise wrong("the saved state of a domain, cut off in its description")
    size = int.from_bytes(data[:4], "little")
    if size > length - 4:
        raise wrong("the length of its description is wrong")
    return data[4 : 4 + size].decode("utf-8", "replace")
