"""The command line. `app` finds commands, `quick` is the short way to one of them, `output` prints, `commands/` holds
one module per noun."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """The console script."""
    from purevirt.cli import quick

    status = quick.run(sys.argv[1:])
    if status is None:
        from purevirt.cli.app import run

        status = run(sys.argv[1:])
    sys.exit(status)
