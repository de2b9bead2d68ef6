"""What the daemon remembers: definitions, the domains that it answers for, jobs, and the event journal.

`database` is the file and its thread, `schema` its tables, `rows` what is in them.
"""

from purevirt.daemons.xend.config_store.database import Database, Opened
from purevirt.daemons.xend.config_store.rows import Stored, Supervised

__all__ = ["FILE", "Database", "Opened", "Stored", "Supervised"]

FILE = "xend.db"
"""Its name, in the directory that the settings name."""
