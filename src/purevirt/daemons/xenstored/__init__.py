"""xenstored: the Xen Store of simulated hosts. A real host keeps its own.

`Server` is the store without I/O, `Rings` serves it to guests, `Shell` puts it on Unix sockets, `state` into a file;
`python -m purevirt.daemons.xenstored` runs it all as a daemon.
"""

from purevirt.daemons.xenstored.connection import Connection
from purevirt.daemons.xenstored.rings import Rings
from purevirt.daemons.xenstored.server import Server
from purevirt.daemons.xenstored.shell import Shell

__all__ = ["Connection", "Rings", "Server", "Shell"]
