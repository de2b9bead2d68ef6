"""`python -m purevirt.daemons.xend [ROOT]`: the daemon with its defaults, without the command line's libraries."""

from __future__ import annotations

import asyncio
import sys

from purevirt.daemons.xend.process import Options, run
from purevirt.errors import XenError

if __name__ == "__main__":
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit("usage: python -m purevirt.daemons.xend [ROOT]; purevirt xend --help has the options")
    try:
        asyncio.run(run(Options(sys.argv[1] if len(sys.argv) > 1 else "")))
    except XenError as error:
        print(f"xend: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
