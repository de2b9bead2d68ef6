"""How a daemon reaches the bus of a simulated host: event channels, and the pages that guests grant it.

On a real host, /dev/xen/evtchn and /dev/xen/gntdev do this. `client`: the socket; `memory`: the shared pages.
"""

from purevirt.channels.bus.client import BusClient
from purevirt.channels.bus.memory import SharedMemory

__all__ = ["BusClient", "SharedMemory"]
