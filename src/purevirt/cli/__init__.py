"""The command line. `app` finds commands, `quick` is the short way to one of them, `output` prints, `commands/` holds
one module per noun."""

from __future__ import annotations

import gc
import sys

__all__ = ["main"]


def main() -> None:
    """The console script."""
    from purevirt.cli import quick, session

    session.ensure_output()
    gc.disable()  # so short a program has no garbage worth looking for
    status = quick.run(sys.argv[1:])
    if status is None:
        gc.enable()
        from purevirt.cli.app import run

        sys.exit(run(sys.argv[1:]))
    quick.leave(status)
