"""The Xen Store daemons that the client's contract is tested on: Debian's two, and ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import peers
from tests.channels.xenstore.daemons import Daemon, ours


@pytest.fixture(
    scope="module",
    params=[
        "purevirt",
        pytest.param("xenstored", marks=pytest.mark.peers),
        pytest.param("oxenstored", marks=pytest.mark.peers),
    ],
)
def daemon(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    kind: str = request.param
    if kind == "purevirt":
        with ours(tmp_path_factory.mktemp("store") / "socket") as path:
            yield Daemon(kind, path)
    else:
        peers.need()
        with peers.DAEMONS[kind]() as peer:
            yield Daemon(kind, peer.socket)
