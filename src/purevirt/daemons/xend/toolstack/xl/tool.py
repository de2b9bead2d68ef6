"""`xl` itself: where it is, and how one run of it ends.

A run either ends well, or raises what `xl` said was wrong; then nothing of it runs any more. What it has left in the
hypervisor and the store is the caller's to see to.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence

from purevirt.channels.files import installed
from purevirt.daemons.xend.toolstack.base import Host
from purevirt.daemons.xend.toolstack.xl import failures, process, runs
from purevirt.daemons.xend.toolstack.xl.runs import Run
from purevirt.errors import OperationError, Unsupported
from purevirt.model.description import DomainDescription

__all__ = ["Tool"]

# Debian's /usr/sbin/xl is a script that looks for the first of these.
_PLACES = ("/usr/lib/xen-{version}/bin/xl", "/usr/sbin/xl", "/usr/local/sbin/xl", "/usr/bin/xl")

_log = logging.getLogger(__name__)


class Tool:
    """The `xl` of this host. `directory`: where runs are noted; `program`: another one, for tests of processes."""

    def __init__(self, host: Host, directory: str, program: str | None) -> None:
        self.host = host
        self.directory = directory
        self._program = program

    async def version(self) -> tuple[int, int]:
        """The version of the Xen that runs, and so of its tools."""
        return await self.host.hypercalls.version()

    async def program(self) -> str:
        """Where it is. Unsupported: nowhere."""
        if self._program is None:
            major, minor = await self.version()
            self._program = installed.find("", _PLACES, f"{major}.{minor}")
            if self._program is None:
                raise Unsupported(
                    f"xl of Xen {major}.{minor} is not installed: nothing else makes domains here"
                )
        return self._program

    @contextlib.asynccontextmanager
    async def run(self, uuid: str) -> AsyncIterator[Run]:
        """A run to be noted, for the length of a block."""
        try:
            run = runs.begin(self.directory, uuid)
        except OSError as error:
            raise OperationError(
                f"{self.directory}: {error.strerror}", path=self.directory, errno=error.errno
            ) from error
        try:
            yield run
        finally:
            run.close()

    async def __call__(
        self,
        run: Run,
        words: Sequence[str],
        on_line: Callable[[str], None],
        *,
        seconds: float | None = None,
        sends: bool = False,
        description: DomainDescription | None = None,
    ) -> str:
        """Run `xl WORDS` to its end; what it said. An exception of `failures`, or Timeout after `seconds`.

        `sends`: see `process`. `description` is what devices are named by in messages.
        """
        program = await self.program()
        if sends:
            run.note_sending()
        lines: list[str] = []

        def heard(line: str) -> None:
            _log.debug("%s: %s", run.mark, line)
            lines.append(line)
            del lines[:-200]
            on_line(line)

        try:
            ended = await process.run(
                [program, "-vvv", *words], run.mark, heard, seconds=seconds, sends=sends
            )
        except TimeoutError as error:
            assert seconds is not None
            raise failures.overdue("\n".join(lines), f"xl {words[0]}", seconds, description) from error
        except OSError as error:
            raise OperationError(f"{program}: {error.strerror}", path=program, errno=error.errno) from error
        if ended.status:
            raise failures.cause(ended.output, ended.status, description)
        return ended.output
