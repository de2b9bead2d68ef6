"""The command line. `app` finds commands, `output` prints, `commands/` holds one module per noun."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """The console script."""
    from purevirt.cli.app import run

    sys.exit(run(sys.argv[1:]))
