"""The one table: every operation of the daemon, the least role it takes, and whether it changes anything."""

from __future__ import annotations

from collections.abc import Mapping

from purevirt.daemons.xend.changes import CHANGES
from purevirt.daemons.xend.managed.operations import MANAGED
from purevirt.daemons.xend.reads import READS
from purevirt.daemons.xend.work import Operation

__all__ = ["OPERATIONS"]

OPERATIONS: Mapping[str, Operation] = {**READS, **CHANGES, **MANAGED}
