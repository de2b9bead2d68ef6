"""Files of `xl save`: whose they are, and whether they are whole. One head is from the lab; its memory is not."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from purevirt.daemons.xend.toolstack.xl import savefile
from purevirt.errors import ConfigError

HEAD = (Path(__file__).parents[3] / "data" / "xl" / "4.17-save.head").read_bytes()


def record(kind: int, body: bytes = b"") -> bytes:
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


# libxc's: static data end, page data (of a guest whose pages are noise), end. libxl's: its emulator's data, end.
WHOLE = HEAD + record(0x10) + record(1, b"\xa5" * 4099) + record(0) + record(2, b"xyz") + record(0)


def write(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "file"
    path.write_bytes(data)
    return str(path)


def test_a_file_tells_whose_it_is(tmp_path: Path) -> None:
    path = write(tmp_path, WHOLE)
    saved = savefile.inspect(path)
    assert saved.description.name == "one"
    assert [disk.target for disk in saved.description.disks] == ["xvda"]
    assert saved.xen_version == "4.17"
    assert savefile.is_whole(path)


def test_a_file_that_is_cut_off_anywhere_is_none(tmp_path: Path) -> None:
    for length in (*range(len(HEAD) + 64), *range(len(WHOLE) - 48, len(WHOLE))):
        path = write(tmp_path, WHOLE[:length])
        assert not savefile.is_whole(path)
        with pytest.raises(ConfigError, match="file: "):
            savefile.inspect(path)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, b"LibvirtQemudSave", "not the saved state of a domain"),
        (32, b"\1\2\3\4", "saved on a machine of the other byte order"),
        (36, b"\2\0\0\0", "saved by a release before Xen 4.5"),
        (36, b"\1\0\0\0", r"a form that is not known here \(flags 0x1\)"),
        (36, b"\7\0\0\0", r"a form that is not known here \(flags 0x7\)"),
        (44, b"\0\0\0\0", "says that 0 bytes"),
        (44, b"\xff\xff\xff\xff", "says that 4294967295 bytes"),
        (48, b"\xff\xff\xff\xff", "the length of its description is wrong"),
        (52, b"?", "no JSON"),
    ],
)
def test_what_is_wrong_with_a_header_is_said(tmp_path: Path, offset: int, value: bytes, message: str) -> None:
    path = write(tmp_path, WHOLE[:offset] + value + WHOLE[offset + len(value) :])
    with pytest.raises(ConfigError, match=message):
        savefile.inspect(path)


def test_a_file_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        savefile.inspect(str(tmp_path / "none"))
    assert not savefile.is_whole(str(tmp_path / "none"))
