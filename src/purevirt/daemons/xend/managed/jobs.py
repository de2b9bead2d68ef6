"""What takes long, and goes on without whoever asked for it.

A job is written down when it begins and when it ends; between, what changes in it is told to those who wait. So many
are worked on at once, the others queue. A job that the daemon's end has interrupted is found when it comes back, and
`startup` says what became of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from purevirt.daemons.xend.config_store import Database, rows
from purevirt.daemons.xend.logs import about
from purevirt.daemons.xend.managed.finishing import to_its_end
from purevirt.errors import InvalidConfig, OperationError, Timeout, WrongState, XenError
from purevirt.model import Job, JobKind, JobState
from purevirt.model.domain import uuid_of

__all__ = ["Jobs", "Step"]

_LINES = 500  # of a job's log
_REPORTS = 0.1  # seconds: reports that only move the bar wake nobody more often than this

_log = logging.getLogger(__name__)


class _Entry:
    """A job that is in memory: how it is, its task, who waits for news, and the lines that are not written yet."""

    __slots__ = ("cancelled", "count", "ending", "job", "lines", "task", "told", "waiters")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.task: asyncio.Task[None] | None = None
        self.waiters: set[asyncio.Future[None]] = set()
        self.lines: list[tuple[int, float, str]] = []
        self.count = 0
        self.told = 0.0
        self.cancelled = False
        self.ending = False


class Step:
    """What the work of a job tells of itself; its `report` is a builder's."""

    def __init__(self, jobs: Jobs, entry: _Entry) -> None:
        self._jobs = jobs
        self._entry = entry

    @property
    def id(self) -> int:
        """The job's number."""
        return self._entry.job.id

    def report(self, step: str | None, progress: float | None) -> None:
        """What is done now (None: the same as before), and how much of the whole is done (None: nobody knows)."""
        self._jobs._reported(self._entry, step, progress)

    def made(self, domid: int) -> None:
        """The domain that it makes has this id."""
        self._jobs._changed(self._entry, domid=domid)

    def note(self, line: str) -> None:
        """A line of its log."""
        self._jobs._line(self._entry, line)


Work = Callable[[Step], Awaitable[object]]
Writes = Callable[[sqlite3.Connection], object]


class Jobs:
    """The jobs of one daemon. `parallel` and `deadline` (seconds, 0: none) are settings."""

    def __init__(
        self,
        database: Database,
        parallel: int = 4,
        deadline: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._parallel = parallel
        self.deadline = deadline
        self._database = database
        self._clock = clock
        self._entries: dict[int, _Entry] = {}  # by number, and so by age
        self._at_work: dict[bytes, _Entry] = {}
        self._running = 0
        self._queue: list[asyncio.Future[None]] = []
        self.on_end: Callable[[bytes], None] | None = None

    @property
    def parallel(self) -> int:
        """How many are worked on at once."""
        return self._parallel

    @parallel.setter
    def parallel(self, value: int) -> None:
        self._parallel = value
        self._fill()

    async def load(self) -> list[Job]:
        """Read those that are kept; those that were under way when the daemon ended last are returned."""
        found = await self._database.run(rows.jobs, changes=False)
        self._entries = {job.id: _Entry(job) for job in found}
        return self.all(active=True)

    async def stop(self, wait: float) -> None:
        """Let those that are under way end for `wait` seconds; then cut them off. They are found again at the start."""
        tasks = [entry.task for entry in self._entries.values() if entry.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=wait)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # --- looks

    def all(self, active: bool) -> list[Job]:
        """Those that are kept, or those that are under way; the oldest first."""
        jobs = [entry.job for entry in self._entries.values()]
        return [job for job in jobs if job.state is JobState.RUNNING] if active else jobs

    def of(self, handle: bytes) -> Job | None:
        """The job that is at work on a domain."""
        entry = self._at_work.get(handle)
        return None if entry is None else entry.job

    async def look(self, number: int, since: int, wait: float) -> Job:
        """A job, as soon as its revision is above `since`; as it is after `wait` seconds."""
        entry = self._find(number)
        loop = asyncio.get_running_loop()
        end = loop.time() + wait
        while entry.job.revision <= since and entry.task is not None and (left := end - loop.time()) > 0:
            waiter: asyncio.Future[None] = loop.create_future()
            entry.waiters.add(waiter)
            timer = loop.call_later(left, _finish, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                entry.waiters.discard(waiter)
        return entry.job

    async def log(self, number: int) -> list[str]:
        """Its log, a line each: the time of day (UTC), and what was said."""
        entry = self._find(number)
        lines = await self._database.run(lambda db: rows.job_lines(db, number), changes=False)
        lines += [(when, text) for _, when, text in entry.lines]
        return [f"{time.strftime('%H:%M:%S', time.gmtime(when))} {text}" for when, text in lines]

    def _find(self, number: int) -> _Entry:
        entry = self._entries.get(number)
        if entry is None:
            raise InvalidConfig(f"there is no job {number}", problems=(f"id: there is no job {number}",))
        return entry

    # --- work

    async def begin(
        self,
        kind: JobKind,
        handle: bytes,
        name: str,
        work: Work,
        *,
        user: int = -1,
        deadline: float | None = None,
        writes: Writes | None = None,
        holding: contextlib.ExitStack | None = None,
        must: bool = True,
    ) -> Job:
        """Begin one: as it is now. `writes` is written in the same transaction. WrongState: the domain has one.

        What the caller is `holding` for it is let go of when it has ended. Without `must`, one that cannot be written
        down is begun all the same, with a number below zero. `deadline`: how long it may be worked on, in seconds;
        None: the setting's.
        """
        if (other := self.of(handle)) is not None:
            raise WrongState(
                f"job {other.id} ({other.kind.value}) of domain {name} is under way", domain=name
            )
        new = Job(0, kind, uuid_of(handle), name, JobState.RUNNING, 0, self._clock(), user=user)
        entry = self._at_work[handle] = _Entry(new)
        try:
            number = await self._written(entry, writes, must)
        except BaseException:
            del self._at_work[handle]
            raise
        self._entries[number] = entry
        for old in [key for key in self._entries if key <= number - rows.JOBS_KEPT]:
            if self._entries[old].task is None:
                del self._entries[old]
        entry.task = asyncio.get_running_loop().create_task(
            self._run(entry, work, self.deadline if deadline is None else deadline),
            name=f"xend: job {number}",
        )
        if holding is not None:
            held = holding.pop_all()
            entry.task.add_done_callback(lambda _: held.close())
        return entry.job

    async def _written(self, entry: _Entry, writes: Writes | None, must: bool) -> int:
        def add(db: sqlite3.Connection) -> int:
            if writes is not None:
                writes(db)
            return rows.add_job(db, entry.job)

        try:
            number = await self._database.run(add, durable=False)
        except OperationError as error:
            if must:
                raise
            _log.error(
                "%s of domain %s is no job that is kept: %s", entry.job.kind.value, entry.job.name, error
            )
            number = min(0, *self._entries) - 1
        entry.job = entry.job._replace(id=number)
        return number

    async def _run(self, entry: _Entry, work: Work, deadline: float) -> None:
        job = entry.job
        state, error = JobState.DONE, None
        with about(operation=job.kind.value, domain=job.name, job=str(job.id), user=job.user):
            try:
                async with self._turn(entry):
                    async with asyncio.timeout(deadline or None):
                        await work(Step(self, entry))
            except XenError as found:
                state, error = JobState.FAILED, found
            except TimeoutError:
                state = JobState.FAILED
                error = Timeout(
                    f"{job.kind.value} of domain {job.name} was not done within {deadline:g} s, and was undone",
                    domain=job.name,
                )
            except asyncio.CancelledError:
                if not entry.cancelled:
                    raise  # the daemon ends: whoever comes next resolves it
                state = JobState.CANCELLED
            except Exception as found:
                _log.exception("job %d met a fault", job.id)
                state = JobState.FAILED
                error = OperationError(
                    f"{job.kind.value} met a fault of the daemon's: {type(found).__name__}: {found}"
                )
            entry.ending = True
            await to_its_end(self.ended(entry.job.id, state, error))

    async def ended(
        self, number: int, state: JobState, error: XenError | None, message: str | None = None
    ) -> None:
        """Write down how one has ended, and tell whoever waits."""
        entry = self._entries[number]
        kind, text = (None, message) if error is None else (error.kind, str(error))
        if state is JobState.CANCELLED:
            kind, text = (
                "Cancelled",
                message or f"{entry.job.kind.value} of domain {entry.job.name} was cancelled",
            )
        elif state is JobState.INTERRUPTED:
            kind = "Interrupted"
        done = 1.0 if state is JobState.DONE else entry.job.progress
        if text is not None:
            self._line(entry, text)
        lines, entry.lines = entry.lines, []
        final = entry.job._replace(
            state=state,
            ended=self._clock(),
            progress=done,
            error=kind,
            message=text,
            revision=entry.job.revision + 1,
        )

        def write(db: sqlite3.Connection) -> None:
            rows.change_job(db, final)
            rows.add_job_lines(db, number, lines)

        try:
            await self._database.run(write, durable=False)
        except OperationError as problem:
            _log.error("how job %d ended is not kept: %s", number, problem)
            entry.lines = lines
        entry.job, entry.task = final, None
        self._at_work.pop(final.uuid.bytes, None)
        self._wake(entry)
        if self.on_end is not None:
            self.on_end(final.uuid.bytes)

    @contextlib.asynccontextmanager
    async def _turn(self, entry: _Entry) -> AsyncIterator[None]:
        """One of the places for work; waited for in the order of asking."""
        if self._running >= self._parallel or self._queue:
            self._reported(entry, "waiting for its turn", None)
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            try:
                await turn
            except BaseException:
                if turn in self._queue:
                    self._queue.remove(turn)
                else:
                    self._leave()
                raise
        else:
            self._running += 1
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        self._running -= 1
        self._fill()

    def _fill(self) -> None:
        while self._queue and self._running < self._parallel:
            turn = self._queue.pop(0)
            if not turn.done():
                self._running += 1
                turn.set_result(None)

    def cancel(self, number: int) -> Job:
        """Have one give up, and undo what it has begun. WrongState: it has ended. As it is now."""
        entry = self._find(number)
        if entry.task is None or entry.ending:
            raise WrongState(f"job {number} has ended already ({entry.job.state.value})")
        entry.cancelled = True
        entry.task.cancel()
        self._reported(entry, "cancelling", None)
        return entry.job

    # --- what it tells of itself

    def _reported(self, entry: _Entry, step: str | None, progress: float | None) -> None:
        job = entry.job
        if step is not None and step != job.step:
            self._line(entry, step)
        elif progress is not None and self._clock() - entry.told < _REPORTS:
            entry.job = job._replace(progress=progress)
            return
        entry.told = self._clock()
        self._changed(
            entry,
            step=job.step if step is None else step,
            progress=job.progress if progress is None else progress,
        )

    def _changed(self, entry: _Entry, **fields: object) -> None:
        entry.job = entry.job._replace(revision=entry.job.revision + 1, **fields)  # type: ignore[arg-type]
        self._wake(entry)

    def _line(self, entry: _Entry, text: str) -> None:
        entry.count += 1
        if entry.count <= _LINES:
            entry.lines.append((entry.count, self._clock(), text))

    def _wake(self, entry: _Entry) -> None:
        for waiter in entry.waiters:
            _finish(waiter)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
