"""What is noted of each run of `xl` while it goes on: a directory below /run/purevirt/build, for root's eyes alone.

Its name, UUID.RANDOM, is the mark of the run's processes. In it are the configuration that `xl` reads, and what file is
being written, and of whom, so that a daemon that comes after one that was killed can finish what that one left.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from typing import NamedTuple

__all__ = ["DIRECTORY", "Part", "Run", "begin", "left"]

DIRECTORY = "/run/purevirt/build"
_NOTE, _SENDING = "part", "sending"


class Part(NamedTuple):
    """A file that is being written as `part`, to be called `path` when it is whole. `domid`: whose state it is.
    `precious`: once the domain is gone, it is all that there is of it."""

    part: str
    path: str
    domid: int
    precious: bool


class Run(NamedTuple):
    """One run, by its directory."""

    directory: str

    @property
    def mark(self) -> str:
        """What its processes carry in their environment."""
        return os.path.basename(self.directory)

    def write(self, name: str, text: str) -> str:
        """A file in the directory, mode 0600; its path."""
        path = f"{self.directory}/{name}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def note_sending(self) -> None:
        """Remember that a guest's state is on its way out, and that `xl` must not be killed; see `process`."""
        self.write(_SENDING, "")

    def sends(self) -> bool:
        """Whether that was noted."""
        return os.path.exists(f"{self.directory}/{_SENDING}")

    def note(self, part: Part) -> None:
        """Remember the file that is being written."""
        self.write(_NOTE, json.dumps(part))

    def noted(self) -> Part | None:
        """The file that was being written, if any. None as well for a note that was not written to its end: it is
        written before anything else is."""
        try:
            with open(f"{self.directory}/{_NOTE}", encoding="utf-8") as file:
                return Part(*json.load(file))
        except (OSError, ValueError, TypeError):
            return None

    def close(self) -> None:
        """Forget it."""
        shutil.rmtree(self.directory, ignore_errors=True)


def begin(directory: str, uuid: str) -> Run:
    """A new run that works on that domain. OSError: its directory cannot be made."""
    os.makedirs(directory, mode=0o755, exist_ok=True)
    return Run(tempfile.mkdtemp(prefix=f"{uuid}.", dir=directory))


def left(directory: str, uuid: str) -> list[Run]:
    """The runs that are noted of that domain."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    return [Run(f"{directory}/{name}") for name in names if name.startswith(f"{uuid}.")]
