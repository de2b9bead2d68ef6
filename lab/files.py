"""Files to and from Domain 0, as tar archives that travel through a command's input and output."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

#: What no copy needs.
_SKIPPED = {".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


def pack(local: Path, name: str, *, compiled: bool = False) -> bytes:
    """An archive of a file or a directory, in which it is called `name`; with __pycache__ if `compiled`.

    Everything in it belongs to root and may be read by everybody, whatever this machine's umask made of it.
    """
    skipped = _SKIPPED if compiled else _SKIPPED | {"__pycache__"}

    def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if PurePosixPath(member.name).name in skipped:
            return None
        member.uid = member.gid = 0
        member.mode |= 0o555 if member.isdir() else 0o444
        member.uname = member.gname = "root"
        return member

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(local, arcname=name, filter=as_root)
    return buffer.getvalue()


def unpack(archive: bytes, name: str, local: Path) -> None:
    """Put the file or directory that an archive calls `name` at `local`; into it, where it is a directory."""
    target = local / name if local.is_dir() else local
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".lab-", dir=target.parent) as work,
        tarfile.open(fileobj=io.BytesIO(archive)) as members,
    ):
        # Older patch releases of Python 3.11 have no filters; what Domain 0 packs is trusted no less than its
        # code.
        if hasattr(tarfile, "data_filter"):
            members.extractall(work, filter="data")
        else:
            members.extractall(work)
        source = Path(work) / name
        if target.is_dir() and source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            source.replace(target)


def split(remote: str) -> tuple[str, str]:
    """A path in Domain 0 as (directory, name).

    >>> split("/opt/purevirt/")
    ('/opt', 'purevirt')
    """
    path = PurePosixPath(remote)
    if not path.is_absolute() or path.name in ("", ".."):
        raise ValueError(f"a path in Domain 0 must be absolute and have a name: {remote!r}")
    return str(path.parent), path.name
