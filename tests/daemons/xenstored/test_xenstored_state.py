"""The saved store: what comes back, and what a file that is none does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from purevirt.daemons.xenstored import Server, state
from purevirt.errors import ConfigError
from purevirt.wire.xenstore import Op
from tests.daemons.xenstored.talk import Talk, sound


def filled() -> Server:
    server = Server(quotas={"nodes": 77})
    dom0 = Talk(server)
    guest = dom0.guest(5)
    dom0.write(b"/local/domain/5/name", b"web")
    dom0.allow(b"/local/domain/5", b"n5 r0")
    guest.write(b"/local/domain/5/data", bytes(range(256)))
    guest.watch(b"/local/domain/5/data", b"token", depth=b"3")
    guest.watch(b"@releaseDomain", b"r")
    dom0.ask(Op.SET_QUOTA, b"5\0nodes\x009\0")
    dom0.ask(Op.SET_FEATURE, b"6\x000\0")
    dom0.allow(b"@releaseDomain", b"n0 r5")
    guest.events()
    return server


def test_a_store_comes_back_as_it_was(tmp_path: Path) -> None:
    server = filled()
    path = str(tmp_path / "var/lib/state")
    state.save(path, server, lambda domid: b"unsent" * domid)
    assert Path(path).stat().st_mode & 0o777 == 0o600
    again = Server()
    assert state.read(path, again) == {5: b"unsent" * 5}
    sound(again)
    assert state.dump(again, lambda domid: b"unsent" * domid) == state.dump(
        server, lambda domid: b"unsent" * domid
    )
    dom0 = Talk(again)
    guest = Talk(again, again.domain_connection(5))
    assert guest.read(b"/local/domain/5/data") == bytes(range(256))
    assert dom0.ask(Op.GET_QUOTA, b"nodes\0") == b"77\0"
    assert dom0.ask(Op.GET_QUOTA, b"5\0nodes\0") == b"9\0"
    dom0.write(b"/local/domain/5/data", b"new")
    assert guest.paths() == [b"/local/domain/5/data"]
    dom0.ask(Op.RELEASE, b"5\0")
    sound(again)
    assert dom0.read(b"/local/domain/5/data") == "ENOENT"


def test_open_transactions_and_sockets_are_not_saved() -> None:
    server = filled()
    guest = Talk(server, server.domain_connection(5))
    tx_id = guest.start()
    again = Server()
    state.load(state.dump(server), again)
    assert len(again.connections) == 1
    assert Talk(again, again.domain_connection(5)).end(tx_id) == "ENOENT"


def test_without_a_file_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert state.read(str(tmp_path / "none"), Server()) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2}',
        "\N{SNOWMAN}",
        json.dumps({"version": 1, "quotas": {}, "nodes": [], "domains": []}),
    ],
)
def test_a_file_that_is_no_saved_store_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "state").write_text(text)
    with pytest.raises(ConfigError, match="saved Xen Store"):
        state.read(str(tmp_path / "state"), Server())


@pytest.mark.parametrize(
    "nodes", [[["/a/b", "", "n0"]], [["/", "", "n0"], ["/a/b", "", "n0"]], [["/", "", "x0"]]]
)
def test_nodes_that_cannot_be_are_an_error(tmp_path: Path, nodes: list[list[str]]) -> None:
    saved = json.loads(state.dump(Server()))
    (tmp_path / "state").write_text(json.dumps({**saved, "nodes": nodes}))
    with pytest.raises(ConfigError, match="no saved Xen Store"):
        state.read(str(tmp_path / "state"), Server())
