"""A whole simulated host, with a daemon that a test may end and start again in its own event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from purevirt import testing
from purevirt.daemons.xend.service import Service
from purevirt.daemons.xend.settings import Settings
from purevirt.model import DomainRef, EventKind, Job, JobState
from tests.daemons.xend.world import ADMIN, Xend

UUID_TEXT = "0a7e9b1e-52c4-4e5c-8f0a-1d0b0c2f9a77"
WEB = f"""name = "web"
uuid = "{UUID_TEXT}"
memory = 64
kernel = "/boot/vmlinuz"
disk = ["/images/web,raw,xvda,rw"]
vif = ["bridge=xenbr0"]
"""


class Daemon(Xend):
    """With what the tests of supervision ask again and again."""

    @property
    def manager(self) -> Any:
        return self.supervisor.manager

    async def ended(self, job: Job) -> Job:
        """A job when it has ended."""
        while job.state is JobState.RUNNING:
            job = await self.call("job", id=job.id, since=job.revision, wait=10.0)
        return job

    async def done(self, operation: str, domain: DomainRef | str | None = None, **arguments: Any) -> Job:
        """Have a job done, and see that it ends well."""
        job = await self.ended(await self.call(operation, domain, **arguments))
        assert job.state is JobState.DONE, job.message
        return job

    async def failed(self, operation: str, domain: DomainRef | str | None = None, **arguments: Any) -> Job:
        job = await self.ended(await self.call(operation, domain, **arguments))
        assert job.state is JobState.FAILED, job
        return job

    async def until_event(self, kind: EventKind, name: str, times: int = 1) -> None:
        """Wait for the journal to say so."""
        seen = 0
        while True:
            for event in await self.call("journal", since=seen, wait=10.0):
                seen = event.seq
                times -= event.kind is kind and event.name == name
                if not times:
                    return

    async def settled(self) -> None:
        """Wait until no policy is being carried out and no job is under way."""
        while self.manager._tasks or await self.call("jobs", active=True):
            for job in await self.call("jobs", active=True):
                await self.ended(job)
            if self.manager._tasks:
                await asyncio.wait(self.manager._tasks)

    def told(self, since: int = 0) -> list[tuple[str, str | None]]:
        """What the journal has of events: kind and detail."""
        return [(event.kind.value, event.detail) for event in self.supervisor.journal.since(since)]


@asynccontextmanager
async def daemon(host: testing.Host, **settings: Any) -> AsyncIterator[Daemon]:
    """A life of the daemon."""
    service = Service(Settings(host.root, **{"read_only_store": False, "vcpu_wait": 0.0, **settings}))
    await service.start()
    try:
        yield Daemon(service)
    finally:
        await service.stop()


def by(role: Any) -> Any:
    return ADMIN._replace(uid=1001, role=role)


def there(path: str) -> bool:
    return os.path.exists(path)


def make_directory(path: str) -> None:
    os.makedirs(path, exist_ok=True)
