"""Waiting for a job of the Xen daemon, and what it means if it did not end well; for both halves of the API."""

from __future__ import annotations

from collections.abc import Callable

from purevirt import errors
from purevirt._typing import TYPE_CHECKING
from purevirt.errors import OperationError, XenError

if TYPE_CHECKING:
    from purevirt.drivers.base import Driver
    from purevirt.model import Job

__all__ = ["failure", "waited"]

_PATIENCE = 30.0
"""How long one call waits for news, in seconds."""


async def waited(
    driver: Driver, job: Job, progress: Callable[[Job], object] | None = None, *, raises: bool = True
) -> Job:
    """The job when it has ended. `progress` is called with each look at it. Its error, if it did not end well."""
    from purevirt.model import JobState

    while job.state is JobState.RUNNING:
        if progress is not None:
            progress(job)
        job = await driver.job(job.id, job.revision, _PATIENCE)
    if progress is not None:
        progress(job)
    if raises and job.state is not JobState.DONE:
        raise failure(job)
    return job


def failure(job: Job) -> XenError:
    """What a job that did not end well met: an exception of the class that the daemon named."""
    known = job.error if job.error in errors.__all__ else None
    found: type[XenError] = getattr(errors, known) if known else OperationError
    return found(
        job.message or f"{job.kind.value} of domain {job.name} failed",
        operation=job.kind.value,
        domain=job.name,
        channel="daemon",
        detail=f"job {job.id}",
    )
