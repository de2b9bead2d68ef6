"""One command line: its global options, its connection, and how its failure is told. Without click: see `quick`."""

from __future__ import annotations

import os
import sys

from purevirt._typing import TYPE_CHECKING

if TYPE_CHECKING:
    import purevirt
    from purevirt.errors import XenError

__all__ = ["Session", "abandon_output", "ensure_output", "report", "report_unwritten"]


class Session:
    """The global options, and the connection, opened when first needed."""

    def __init__(self) -> None:
        self.uri: str | None = None
        self.read_only = False
        self.timeout = 5.0
        self.json = False
        self._connection: purevirt.Connection | None = None

    @property
    def connection(self) -> purevirt.Connection:
        """The host that -c and -r name."""
        if self._connection is None:
            import purevirt

            opener = purevirt.open_read_only if self.read_only else purevirt.open
            self._connection = opener(self.uri, timeout=self.timeout)
        return self._connection

    def close(self) -> None:
        """Close what was opened."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def report(error: XenError, *, as_json: bool) -> int:
    """Tell an error in one line on standard error; returns the exit status."""
    if as_json:
        import json

        print(json.dumps({"error": error.as_dict()}), file=sys.stderr)
    else:
        print("purevirt: " + " ".join(str(error).split("\n")), file=sys.stderr)
    return error.exit_status


def report_unwritten(error: OSError, *, as_json: bool) -> int:
    """Tell that the output could not be written (a full disk), or a file not be used; returns the exit status."""
    from purevirt.errors import XenError

    abandon_output()  # what is left in its buffer fails no second time
    what = "cannot write the output" if error.filename is None else f"cannot use {error.filename}"
    return report(XenError(f"{what}: {error.strerror or error}"), as_json=as_json)


def ensure_output() -> None:
    """Streams that were closed (`>&-`) are written nowhere: no socket of ours may get their number."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the process lives


def abandon_output() -> None:
    """The reader has gone (`| head`): not our error. Keeps the interpreter from flushing into the void."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
