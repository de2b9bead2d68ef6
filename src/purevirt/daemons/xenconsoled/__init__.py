"""xenconsoled: what the guests of a simulated host print, in files. A real host keeps its own."""

from purevirt.daemons.xenconsoled.daemon import ConsoleDaemon

__all__ = ["ConsoleDaemon"]
