"""One request to the tree, with what its resource needs; and how an operation of a POST is found and reported."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from inspect import isawaitable
from typing import NamedTuple

from purevirt.channels.files import HostFiles
from purevirt.daemons.xend.classic.answers import STRAY, Answer, failed
from purevirt.daemons.xend.classic.arguments import Arguments, Refusal
from purevirt.daemons.xend.classic.gather import Facts, Reads
from purevirt.daemons.xend.classic.halted import Halted
from purevirt.daemons.xend.http import Request
from purevirt.errors import Denied, ReadOnly, XenError
from purevirt.model.access import Role

__all__ = ["Background", "Context", "Operation", "Operations", "perform", "unavailable"]

_HOST = re.compile(r"[A-Za-z0-9.:\-\[\]_]{1,255}")


class Background:
    """What goes on after its request was answered with 202. A failure then is in the audit log, as every change is."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._tasks: set[asyncio.Task[object]] = set()

    async def begin(self, work: Coroutine[object, object, object]) -> None:
        """Start it, and wait a moment: a failure within it is raised here."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait({task}, timeout=self._patience)
        if task.done():
            task.result()

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # seen, whether or not somebody still waits for it

    async def close(self) -> None:
        """Give up what still goes on."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Context(NamedTuple):
    """A request, its path, its arguments, and the means to answer it."""

    request: Request
    path: str
    arguments: Arguments
    reads: Reads
    facts: Facts
    halted: Halted
    files: HostFiles
    background: Background

    @property
    def url(self) -> str:
        """Where this resource is, as the client sees it."""
        host = self.request.header("host") or ""
        return f"http://{host if _HOST.fullmatch(host) else 'localhost'}{self.path}"

    @property
    def accepted(self) -> Answer:
        """202: begun, the domain's parent is the place to look."""
        return Answer(status=202, reason="Accepted", location=f"{self.url}/..")


Operation = Callable[[Context], Awaitable[Answer]]
Operations = Mapping[str, Operation]


async def perform(context: Context, operations: Operations) -> Answer:
    """The operation that a request names, and what went wrong with it."""
    named = context.arguments.all("op")
    if len(named) != 1:
        return Answer(status=406, reason="Invalid request")
    name = named[0]
    operation = operations.get(name)
    if operation is None:
        words = f"Operation not implemented: {name}"
        return Answer(words + STRAY, status=501, reason=words, words=words)
    try:
        return await operation(context)
    except Refusal as error:
        return failed(name, str(error))
    except (Denied, ReadOnly) as error:
        return failed(name, str(error), 403)
    except XenError as error:
        return failed(name, str(error))
    finally:
        if context.request.method == "POST":
            context.facts.forget()


def unavailable(words: str, **arguments: Callable[[Arguments, str], object]) -> Operation:
    """An operation that this daemon has not (yet): its arguments are looked at as ever, then it says so.

    Nobody in the supervisor is asked whether the caller might do it: an operator might.
    """

    async def operation(context: Context) -> Answer:
        if context.reads.caller.role < Role.OPERATOR:
            raise Denied("this takes the role operator")
        for name, read in arguments.items():
            found = read(context.arguments, name)
            if isawaitable(found):
                await found
        raise Refusal(words)

    return operation
