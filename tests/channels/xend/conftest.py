"""Both transports, driven by the same scenarios."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from purevirt._run import run_blocking
from purevirt.channels.xend import dial
from purevirt.channels.xend.client import XendClient

Scenario = Callable[[XendClient], Coroutine[Any, Any, None]]
Play = Callable[[Scenario, "str | tuple[str, int]"], None]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "xend.sock")


async def _play(scenario: Scenario, address: str | tuple[str, int], mode: str) -> None:
    client = dial.client(address, mode)
    try:
        await scenario(client)
    finally:
        await client.close()


@pytest.fixture(params=["blocking", "aio"])
def play(request: pytest.FixtureRequest) -> Play:
    """Run a scenario, which awaits nothing but the client, over one of the transports."""

    def run(scenario: Scenario, address: str | tuple[str, int]) -> None:
        made = _play(scenario, address, request.param)
        if request.param == "aio":
            asyncio.run(made)
        else:
            run_blocking(made)

    return run
