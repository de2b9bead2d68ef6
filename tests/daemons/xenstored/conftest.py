"""A server and its first client for every test of xenstored; after the test the store must be sound."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from purevirt.daemons.xenstored import Server
from tests.daemons.xenstored.talk import Talk, sound


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    sound(server)


@pytest.fixture
def dom0(server: Server) -> Talk:
    return Talk(server)
