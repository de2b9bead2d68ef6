"""`python -m purevirt.daemons.xenstored --socket PATH`: the Xen Store as a process of its own.

For benchmarks, tests, and simulated hosts whose parts are to be killed one by one. It ends on SIGTERM or
SIGINT with status 0 and removes its files.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from purevirt.daemons.xenstored import state
from purevirt.daemons.xenstored.domains import DEFAULT_QUOTAS
from purevirt.daemons.xenstored.rings import Rings
from purevirt.daemons.xenstored.server import Server
from purevirt.daemons.xenstored.shell import Shell
from purevirt.errors import XenError

__all__ = ["main"]


def _quota(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    if name not in DEFAULT_QUOTAS or not value.isdigit():
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=NUMBER with a NAME of {', '.join(DEFAULT_QUOTAS)}"
        )
    return name, int(value)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon. The exit status: 0 ended by a signal, 2 usage, 5 a socket cannot be served."""
    parser = argparse.ArgumentParser(
        prog="python -m purevirt.daemons.xenstored", description="The Xen Store of a simulated host."
    )
    parser.add_argument("--socket", metavar="PATH", required=True, help="serve domain 0 on this socket")
    parser.add_argument("--read-only-socket", metavar="PATH", help="and, for reading alone, on this one")
    parser.add_argument("--mode", metavar="OCTAL", default="600", help="the mode of the socket (600)")
    parser.add_argument(
        "--read-only-mode", metavar="OCTAL", default="660", help="and of the read-only one (660)"
    )
    parser.add_argument(
        "--pidfile", metavar="PATH", help="write the process id here once the sockets are there"
    )
    parser.add_argument(
        "--quota",
        metavar="NAME=NUMBER",
        type=_quota,
        action="append",
        default=[],
        help="change a default quota",
    )
    parser.add_argument(
        "--keep-orphans", action="store_true", help="keep the nodes of a released domain, as domain 0's"
    )
    parser.add_argument("--bus", metavar="PATH", help="serve guests too: the bus of a simulated host")
    parser.add_argument("--memory", metavar="PATH", help="and the file with its shared pages")
    parser.add_argument(
        "--state", metavar="PATH", help="begin with the store saved here, and save it at the end"
    )
    options = parser.parse_args(argv)
    if bool(options.bus) != bool(options.memory):
        parser.error("--bus and --memory go together")
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    server = Server(quotas=dict(options.quota), keep_orphans=options.keep_orphans)
    rings = Rings(server, options.bus, options.memory) if options.bus else None
    with Shell(server, rings) as shell:
        try:
            unsent = state.read(options.state, server) if options.state else None
            if rings is not None:
                rings.unsent_of.update(unsent or {})
            shell.listen(options.socket, mode=int(options.mode, 8))
            if options.read_only_socket:
                shell.listen(options.read_only_socket, mode=int(options.read_only_mode, 8), read_only=True)
        except XenError as error:
            print(f"xenstored: {error}", file=sys.stderr)
            return error.exit_status
        try:
            if options.pidfile:
                with open(options.pidfile, "w", encoding="ascii") as file:
                    file.write(f"{os.getpid()}\n")
            shell.serve_forever()
        finally:
            if options.state:
                state.save(options.state, server, rings.unsent_to if rings else lambda domid: b"")
            if options.pidfile and os.path.exists(options.pidfile):
                os.unlink(options.pidfile)
    return 0


if __name__ == "__main__":
    sys.exit(main())
