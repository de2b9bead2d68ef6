"""Server-sent events: what comes, where a stream goes on, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from purevirt import testing
from purevirt.daemons.xend.rest import events
from purevirt.model import EventKind, EventSource
from tests.daemons.xend.managed.machine import daemon
from tests.daemons.xend.rest.client import Rest, client_of, on


async def _blocks(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The stream's blocks, as their fields; a comment is the field ""."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, text = line.partition(": ")
            fields[name.rstrip(":")] = text
        elif fields:
            yield fields
            fields = {}


async def _read(rest: Rest, path: str, count: int, **headers: str) -> list[dict[str, Any]]:
    """So many events of a stream."""
    fields = {name.replace("_", "-"): text for name, text in headers.items()}
    found: list[dict[str, Any]] = []
    async with rest.client.stream("GET", path, headers=fields) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for block in _blocks(answer):
            if "data" in block:
                found.append({**json.loads(block["data"]), "id": int(block["id"])})
            if len(found) == count:
                break
    assert all(event["id"] == event["seq"] for event in found)
    return found


def _add(rest: Rest, name: str) -> int:
    return rest.xend.supervisor.journal.add(EventSource.XEND, EventKind.CHANGED, name=name).seq


def test_a_stream_goes_on_where_it_was_cut_off() -> None:
    async def work(rest: Rest) -> None:
        start = rest.xend.supervisor.journal.last
        numbers = [_add(rest, name) for name in ("a", "b", "c")]
        first = await _read(rest, f"/events?since={start}", 2)
        assert [event["name"] for event in first] == ["a", "b"]
        (third,) = await _read(rest, f"/events?since={start}", 1, Last_Event_ID=str(first[-1]["id"]))
        assert (third["name"], third["id"]) == ("c", numbers[-1])

    on(work)


def test_events_come_as_they_happen() -> None:
    async def work(rest: Rest) -> None:
        _add(rest, "before")
        reading = asyncio.create_task(_read(rest, "/events", 2))
        while not rest.xend.supervisor.journal.waiting:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0)
        await rest.define()
        _add(rest, "after")
        found = await reading
        assert [(event["kind"], event["name"]) for event in found] == [
            ("defined", "web"),
            ("changed", "after"),
        ]

    on(work)


def test_a_number_of_another_life_is_told_what_is_lost() -> None:
    async def work(rest: Rest) -> None:
        _add(rest, "a")
        found = await _read(rest, "/events", 2, Last_Event_ID="99999")
        assert (found[0]["kind"], found[0]["id"]) == ("lost", 0)

    on(work)


def test_a_quiet_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE", 0.01)

    async def work(rest: Rest) -> None:
        async with rest.client.stream("GET", "/events") as answer:
            blocks = _blocks(answer)
            assert await anext(blocks) == {"retry": "2000"}
            assert await anext(blocks) == {"": "still here"}
            await blocks.aclose()  # type: ignore[attr-defined]

    on(work)


def test_streams_that_are_refused() -> None:
    async def work(rest: Rest) -> None:
        assert (await rest.ask("GET", "/events", Last_Event_ID="x")).status_code == 400
        assert (await rest.ask("GET", "/events?since=x")).status_code == 400
        assert (await rest.ask("GET", "/events", Accept="application/json")).status_code == 406
        head = await rest.ask("HEAD", "/events", Accept="text/event-stream")
        assert (head.status_code, head.content) == (200, b"")

    on(work)


def test_a_stream_ends_with_the_daemon() -> None:
    async def main() -> None:
        with testing.Host(xend=False) as host:
            async with client_of(f"{host.root}/run/purevirt/rest.sock") as client:
                async with daemon(host) as xend:
                    journal = xend.supervisor.journal
                    request = client.build_request("GET", "/events")
                    answer = await client.send(request, stream=True)
                    while not journal.waiting:  # noqa: ASYNC110 - it tells nobody
                        await asyncio.sleep(0)
                assert (await answer.aread()).startswith(b"retry: 2000\n\n")
                await answer.aclose()

    asyncio.run(main())
