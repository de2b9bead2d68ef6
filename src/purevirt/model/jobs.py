"""What takes long, and goes on without whoever asked for it: a job of the Xen daemon."""

from __future__ import annotations

import enum

from purevirt._typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["Job", "JobKind", "JobState"]


class JobKind(enum.Enum):
    """What a job does."""

    CREATE = "create"
    START = "start"
    RESTART = "restart"
    SAVE = "save"
    RESTORE = "restore"
    DUMP = "dump"
    MIGRATE = "migrate"
    RECEIVE = "receive"


class JobState(enum.Enum):
    """How far it is. INTERRUPTED: the daemon ended in the middle of it; what it had begun was undone, or finished, when
    the daemon came back, and the job's message says which."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Job(NamedTuple):
    """One look at a job. Times are seconds since 1970.

    `id` counts up, and is never given again on that host. `revision` grows with everything that changes in it.
    `progress` is a fraction from 0 to 1, None where nobody can tell; `step` what is being done, in words. `error` and
    `message` are there if it did not end well: the kind of a `purevirt.errors` class, and its text. `domid` is the id
    of the domain that it made, or that it works on. `user` is the uid of whoever asked (-1: nobody, a policy did).
    """

    id: int
    kind: JobKind
    uuid: UUID
    name: str
    state: JobState
    revision: int
    started: float
    ended: float | None = None
    progress: float | None = None
    step: str | None = None
    domid: int | None = None
    error: str | None = None
    message: str | None = None
    user: int = -1

    @property
    def ended_well(self) -> bool:
        """Whether it has done what it was for."""
        return self.state is JobState.DONE
