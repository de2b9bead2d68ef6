"""The daemon's own log: three formats, what a line is about, and what a message cannot do."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from purevirt.daemons.xend import logs
from purevirt.daemons.xend.named_calls import NamedCalls
from purevirt.errors import NoSuchDomain
from purevirt.model import DomainRef
from tests.daemons.xend.world import ADMIN, both

LOG = logging.getLogger("purevirt.daemons.xend.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where lines go; what was configured is undone."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_text(stream: io.StringIO) -> None:
    logs.configure("info", "text", stream)
    LOG.debug("not this")
    LOG.info("serving")
    with logs.about(operation="destroy", domain="web", user=0):
        LOG.warning("lost %s", "it")
    LOG.info("alone")
    found = [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", "", line) for line in lines(stream)]
    assert found == [
        "info xend: serving",
        "warning xend: lost it [operation=destroy domain=web user=0]",
        "info xend: alone",
    ]


def test_json(stream: io.StringIO) -> None:
    logs.configure("debug", "json", stream)
    with logs.about(operation="create", user=1000), logs.about(job="7", domain="größe\n"):
        try:
            raise RuntimeError("broken\npipe")
        except RuntimeError:
            LOG.exception("a fault")
    (line,) = lines(stream)
    found = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
    assert "RuntimeError: broken\npipe" in found.pop("traceback")
    assert found == {
        "level": "error",
        "logger": "purevirt.daemons.xend.test",
        "message": "a fault",
        "operation": "create",
        "domain": "größe\n",
        "job": "7",
        "user": 1000,
    }


def test_journal(stream: io.StringIO) -> None:
    logs.configure("debug", "journal", stream)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        LOG.log(level, "words", extra={"job": "7"})
    assert lines(stream) == [f"<{number}>words [job=7]" for number in (7, 6, 4, 3, 2)]


def test_each_line_of_a_traceback_has_its_priority(stream: io.StringIO) -> None:
    logs.configure("debug", "journal", stream)
    try:
        raise RuntimeError("x\n<0>y")
    except RuntimeError:
        LOG.exception("a fault")
    found = lines(stream)
    assert len(found) > 3
    assert all(line.startswith("<3>") for line in found)


@pytest.mark.parametrize("name", ["text", "journal"])
def test_nothing_that_is_logged_begins_a_line_or_steers_a_terminal(stream: io.StringIO, name: str) -> None:
    logs.configure("info", name, stream)
    with logs.about(domain="a\n<0>b", operation="\x1b[2J"):
        LOG.info("c\r\n<0>d %s", "\x1b[31m\x85\u2028")
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    assert r"c\r\n<0>d \x1b[31m\x85\u2028 [operation=\x1b[2J domain=a\n<0>b]" in text


def test_configured_again_there_is_one_handler(stream: io.StringIO) -> None:
    first = io.StringIO()
    logs.configure("info", "text", first)
    logs.configure("error", "journal", stream)
    LOG.info("not this")
    LOG.error("this")
    assert (first.getvalue(), stream.getvalue()) == ("", "<3>this\n")


def test_auto_is_the_journal_where_standard_error_leads_there(tmp_path: Path) -> None:
    with open(tmp_path / "journal", "wb") as file:
        found = os.fstat(file.fileno())
        there = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert logs.chosen("auto", there, file.fileno()) == "journal"
        assert logs.chosen("auto", {"JOURNAL_STREAM": "1:1"}, file.fileno()) == "text"
        assert logs.chosen("auto", {}, file.fileno()) == "text"
        assert logs.chosen("json", there, file.fileno()) == "json"
    assert logs.chosen("auto", there, -1) == "text"


def test_tasks_know_what_began_them_and_nothing_of_each_other() -> None:
    async def main() -> list[object]:
        async def noted() -> object:
            await asyncio.sleep(0)
            return dict(logs._about.get())

        with logs.about(operation="one"):
            first = asyncio.create_task(noted())
            with logs.about(job="2"):
                second = asyncio.create_task(noted())
        return [await first, await second, await noted()]

    assert asyncio.run(main()) == [{"operation": "one"}, {"operation": "one", "job": "2"}, {}]


def test_what_is_logged_during_a_call_names_it(tmp_path: Path, stream: io.StringIO) -> None:
    """However deep in the toolstack the line is written."""
    logs.configure("info", "json", stream)

    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (_, daemon):
            calls = NamedCalls(daemon.supervisor)

            async def loud(*_: object) -> None:
                LOG.warning("from the depth")

            daemon.supervisor._toolstack.suspend = loud  # type: ignore[method-assign, assignment]
            for detached in (True, False):
                await calls.call(ADMIN, "suspend", DomainRef(b"", None, "test"), {}, None, detached=detached)
            with pytest.raises(NoSuchDomain):
                await calls.call(ADMIN, "suspend", DomainRef(b"", 77, None), {}, None)
            LOG.warning("after it")

    asyncio.run(main())
    found = [json.loads(line) for line in lines(stream)]
    known = {"operation": "suspend", "domain": "test", "user": ADMIN.uid}
    assert [{name: line[name] for name in logs.FIELDS if name in line} for line in found] == [
        known,
        known,
        {},
    ]


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()
