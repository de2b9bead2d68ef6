"""xenstored: the Xen Store of simulated hosts. A real host keeps its own.

`Server` is the store without I/O, `Shell` puts it on Unix sockets; `python -m purevirt.daemons.xenstored`
runs both as a daemon.
"""

from purevirt.daemons.xenstored.connection import Connection
from purevirt.daemons.xenstored.server import Server
from purevirt.daemons.xenstored.shell import Shell

__all__ = ["Connection", "Server", "Shell"]
