"""The read-only store as its clients find it: our client, Xen's own tools, and whoever sends garbage."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import purevirt
from purevirt import testing
from purevirt.channels.xenstore import aio
from purevirt.channels.xenstore.client import StoreClient
from purevirt.channels.xenstore.watches import Event, Watcher
from purevirt.daemons.rostore import client as limits
from purevirt.daemons.rostore.server import ReadOnlyStore
from purevirt.errors import (
    Closed,
    ConnectError,
    Denied,
    NodeExists,
    NoSuchNode,
    QuotaExceeded,
    ReadOnly,
    Unsupported,
)
from purevirt.wire.xenstore import HEADER, Op
from purevirt.wire.xenstore.packets import Decoder, Packet
from tests import peers
from tests.daemons.xend.world import World, until, world, xend
from tests.daemons.xenstored.talk import request

SECRETS = {
    "/local/domain/0/backend/vfb/1/0/vncpasswd": "hush",
    "/local/domain/0/backend/vfb/1/0/state": "4",
    "/local/domain/1/data/secret": "hush",
    "/local/domain/1/control/shutdown": "hush",
    "/local/domain/1/device": "hush",
    "/vm/6695eb01-f6a4-8304-79aa-97f2502e193f/image/vncpasswd": "hush",
    "/tool/hush": "hush",
}


@asynccontextmanager
async def served(root: Path) -> AsyncIterator[tuple[World, ReadOnlyStore]]:
    """A host with the domain "test" and some secrets, and its read-only store."""
    async with world(root) as host:
        await host.toolstack.create_test()
        await host.store.write_many(SECRETS.items())
        store = ReadOnlyStore(host.root)
        await store.start()
        try:
            yield host, store
        finally:
            await store.stop()


@asynccontextmanager
async def client(store: ReadOnlyStore, *, read_only: bool = False) -> AsyncIterator[StoreClient]:
    async with await StoreClient.open(aio.Connector(store.path), read_only=read_only) as opened:
        yield opened


@asynccontextmanager
async def watcher(store: StoreClient) -> AsyncIterator[Watcher]:
    opened = await store.open_watcher()
    try:
        yield opened
    finally:
        await opened.close()


def play(root: Path, scene: Callable[[World, ReadOnlyStore, StoreClient], Any]) -> None:
    async def main() -> None:
        async with asyncio.timeout(50), served(root) as (host, store), client(store) as guest:
            await scene(host, store, guest)

    asyncio.run(main())


def test_what_a_listing_needs_is_there(tmp_path: Path) -> None:
    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        assert await guest.read("/local/domain/1/name") == b"test"
        assert await guest.read("domid") == b"0"  # relative to Domain 0's home, as ever
        assert await guest.directory("/local/domain") == ["0", "1"]
        assert await guest.get_domain_path(1) == "/local/domain/1"
        assert await guest.is_domain_introduced(1)
        assert not await guest.is_domain_introduced(9)
        assert (await guest.get_perms("/local/domain/1/name"))[0].domid == 0
        tree = await guest.tree("/")
        assert tree["/local/domain/0/backend/vbd/1/51712/params"] == b"/var/lib/xen/images/test.img"
        assert tree["/local/domain/0/backend/vfb/1/0/state"] == b"4"

    play(tmp_path, scene)


def test_no_secret_is_there(tmp_path: Path) -> None:
    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        tree = await guest.tree("/")
        assert b"hush" not in tree.values()
        assert set(tree) < set(await host.store.tree("/"))
        for path in SECRETS:
            if path in tree:
                continue
            for ask in (guest.read, guest.directory, guest.get_perms):
                with pytest.raises(NoSuchNode):  # whether it exists cannot be told
                    await ask(path)
        assert await guest.read("/local/domain/1/device") == b""

    play(tmp_path, scene)


def test_nothing_can_be_changed(tmp_path: Path) -> None:
    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        before = await host.store.tree("/")
        for change in (
            guest.write("/local/domain/1/name", "mine"),
            guest.mkdir("/mine"),
            guest.rm("/local/domain/1"),
            guest.set_perms("/local/domain/1", ["n0"]),
            guest.introduce(5, 1, 1),
            guest.release(1),
            guest.resume(1),
            guest.set_target(1, 0),
            guest.control("check"),
            guest.set_feature(1, 0),
            guest.set_quota("nodes", 1),
        ):
            with pytest.raises(ReadOnly):
                await change
        for unknown in (guest.get_feature(), guest.get_quota("nodes")):
            with pytest.raises(Unsupported):
                await unknown
        transaction = await guest.begin()
        with pytest.raises(ReadOnly):
            await transaction.write("/mine", "1")
        await transaction.abort()
        assert await host.store.tree("/") == before

    play(tmp_path, scene)


def test_transactions_read_what_everybody_reads(tmp_path: Path) -> None:
    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        one, two = await guest.begin(), await guest.begin()
        assert await one.read("/local/domain/1/name") == b"test"
        await host.store.write("/local/domain/1/name", "new")
        assert await one.read("/local/domain/1/name") == b"new"
        await one.commit()
        await two.abort()
        with pytest.raises(NoSuchNode):
            await _in(guest, one.tx_id)
        many = [await guest.begin() for _ in range(limits.TRANSACTIONS)]
        with pytest.raises(QuotaExceeded):
            await guest.begin()
        await many[0].commit()
        await guest.begin()

    play(tmp_path, scene)


async def _in(guest: StoreClient, tx_id: int) -> None:
    from purevirt.channels.xenstore.nodes import Nodes

    await Nodes(guest._transport, read_only=False, timeout=10, tx_id=tx_id).read("/local/domain/1/name")


def test_watches(tmp_path: Path) -> None:
    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        async with watcher(guest) as one, watcher(guest) as two:
            for each in (one, two):
                await each.add("/local/domain/1/name", "n")
                await each.add("/local/domain/1/control")
                await each.add("@releaseDomain")
            assert store.upstream.watched == 3
            assert [await one.next() for _ in range(3)] == [
                Event("/local/domain/1/name", "n"),
                Event("/local/domain/1/control", "w"),
                Event("@releaseDomain", "w"),
            ]
            with pytest.raises(NodeExists):
                await one.add("/local/domain/1/name", "n")
            for path in ("/local/domain", "/local/domain/1/data", "/tool"):
                with pytest.raises(Denied):
                    await one.add(path)

            # Below control, the features are shown and told; a request to shut down is not.
            await host.store.write("/local/domain/1/control/shutdown", "poweroff")
            await host.store.write("/local/domain/1/control/feature-reboot", "0")
            assert await one.next() == Event("/local/domain/1/control/feature-reboot", "w")
            await host.store.write("/local/domain/1/name", "new")
            assert await one.next() == Event("/local/domain/1/name", "n")
            await host.release(1)
            while await one.next() != Event("@releaseDomain", "w"):
                pass

            await one.remove("/local/domain/1/name", "n")
            with pytest.raises(NoSuchNode):
                await one.remove("/local/domain/1/name", "n")
            assert store.upstream.watched == 3
            await two.remove("/local/domain/1/name", "n")
            await until(lambda: store.upstream.watched == 2)
        await until(lambda: store.upstream.watched == 0)

    play(tmp_path, scene)


def test_watches_are_bounded_and_can_be_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WATCHES", 3)

    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        async with watcher(guest) as one:
            for number in range(3):
                await one.add("/vm", str(number))
            with pytest.raises(QuotaExceeded):
                await one.add("/vm", "3")
            assert store.upstream.watched == 1
        await guest.reset_watches()
        await until(lambda: store.upstream.watched == 0)

    play(tmp_path, scene)


def test_long_listings(tmp_path: Path) -> None:
    """More domains than fit a packet: told in parts, as the C daemon would, and without what is not shown."""

    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        ids = [str(number) for number in range(1000, 2500)]
        await host.store.write_many([(f"/local/domain/{number}/name", "x") for number in ids])
        await host.store.write_many([(f"/vm/hidden-{number}/name", "x") for number in ids])
        assert await guest.directory("/local/domain") == sorted(["0", "1", *ids])
        assert (
            len(await guest.directory("/vm")) == 1
        )  # too long for a packet as it is, and short as it is shown
        with pytest.raises(NoSuchNode):
            await guest.directory("/tool/xenstored")

    play(tmp_path, scene)


def test_many_reads_are_one_exchange(tmp_path: Path) -> None:
    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        paths = ["/local/domain/1/name", "/local/domain/1/data/secret", "/local/domain/7/name"] * 1000
        assert await guest.read_many(paths) == [b"test", None, None] * 1000

    play(tmp_path, scene)


def test_xenstored_restarted(tmp_path: Path) -> None:
    """Clients are dropped, as by a daemon that was restarted; who watches finds its way back."""

    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        async with watcher(guest) as one:
            await one.add("/local/domain/1/name")
            await one.next()
            assert await guest.read("/local/domain/1/name") == b"test"
            host.kill_xenstored()
            await until(lambda: guest.closed)
            with pytest.raises(Closed):
                await guest.read("/local/domain/1/name")
            await until(lambda: store.upstream.watched == 0)
            host.start_xenstored()
            await host.store.close()
            host.store = await host.connect()
            await host.store.write("/local/domain/1/name", "new")
            notice = await one.next(20.0)
            assert type(notice).__name__ == "Reconnected"
            async with client(store) as again:
                assert await again.read("/local/domain/1/name") == b"new"

    play(tmp_path, scene)


def test_500_idle_clients_and_more_than_one_user_may_have(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))

    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        idle = [await asyncio.open_unix_connection(store.path) for _ in range(500)]
        try:
            assert await guest.read("/local/domain/1/name") == b"test"
            assert store.clients == 501
            store._limit = 501
            async with client(store) as late:
                with pytest.raises(Closed):
                    await late.read("/local/domain/1/name")
        finally:
            for _, writer in idle:
                writer.close()
        await until(lambda: store.clients == 1)

    play(tmp_path, scene)


def test_a_client_that_does_not_read_is_not_read_either(tmp_path: Path) -> None:
    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        reader, writer = await asyncio.open_unix_connection(store.path, limit=1024)
        payload = request(Op.DIRECTORY, b"/local/domain/1\0") * 4000
        writer.write(payload * 40)
        await until(lambda: any(each._paused for each in store._clients))
        waiting = max(each._transport.get_write_buffer_size() for each in store._clients if each._transport)
        assert waiting <= 2 * limits.ROOM
        assert await guest.read("/local/domain/1/name") == b"test"
        writer.close()
        del reader

    play(tmp_path, scene)


def test_a_client_that_does_not_take_its_events_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ROOM", 4096)

    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        _, writer = await asyncio.open_unix_connection(store.path, limit=16)
        writer.write(b"".join(request(Op.WATCH, b"/vm\0%d\0" % number) for number in range(200)))
        await until(lambda: store.upstream.watched)
        while store.clients > 1:
            await host.store.write("/vm/6695eb01-f6a4-8304-79aa-97f2502e193f/name", "x")
        writer.close()
        assert await guest.read("/local/domain/1/name") == b"test"

    play(tmp_path, scene)


def test_requests_before_a_half_close_are_answered(tmp_path: Path) -> None:
    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        reader, writer = await asyncio.open_unix_connection(store.path)
        writer.write(request(Op.READ, b"/local/domain/1/name\0") * 3)
        writer.write_eof()
        found = Decoder().feed(await reader.read())
        assert found == [Packet(Op.READ, 7, 0, b"test")] * 3
        writer.close()

    play(tmp_path, scene)


MALFORMED = [
    (Op.READ, b"", "EINVAL"),
    (Op.READ, b"/local/domain/1/name", "EINVAL"),
    (Op.READ, b"/local/domain/1/name\0x\0", "EINVAL"),
    (Op.READ, b"//\0", "EINVAL"),
    (Op.READ, b"@releaseDomain\0", "EINVAL"),
    (Op.READ, b"/local/domain/1/../0/name\0", "EINVAL"),
    (Op.GET_DOMAIN_PATH, b"x\0", "EINVAL"),
    (Op.GET_DOMAIN_PATH, b"1\0002\0", "EINVAL"),
    (Op.WATCH, b"/vm\0", "EINVAL"),
    (Op.WATCH, b"name\0t\0", "EINVAL"),
    (Op.WATCH, b"/vm\0t\0001\0", "EINVAL"),
    (Op.WATCH, b"/vm\0" + b"t" * 1000 + b"\0", "EINVAL"),
    (Op.UNWATCH, b"/vm\0t\0", "ENOENT"),
    (Op.TRANSACTION_END, b"T\0", "ENOENT"),
    (Op.TRANSACTION_END, b"X\0", "EINVAL"),
    (Op.DIRECTORY_PART, b"/vm\0", "EINVAL"),
    (Op.DIRECTORY_PART, b"/vm\0-1\0", "EINVAL"),
    (Op.DIRECTORY_PART, b"/tool\0000\0", "ENOENT"),
    (Op.WRITE, b"", "EROFS"),
    (Op.WATCH_EVENT, b"", "ENOSYS"),
    (Op.ERROR, b"", "ENOSYS"),
    (77, b"", "ENOSYS"),
]


def test_malformed_requests(tmp_path: Path) -> None:
    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        reader, writer = await asyncio.open_unix_connection(store.path)
        writer.write(b"".join(request(op, payload) for op, payload, _ in MALFORMED))
        writer.write_eof()
        packets = Decoder().feed(await reader.read())
        assert [packet.payload.rstrip(b"\0").decode() for packet in packets] == [
            name for *_, name in MALFORMED
        ]
        assert {packet.op for packet in packets} == {Op.ERROR}
        writer.close()

    play(tmp_path, scene)


def test_garbage(tmp_path: Path) -> None:
    """Whatever is sent: whole answers or a closed connection, no secret, nothing changed, everybody else served."""
    ops = st.one_of(st.integers(0, 30), st.sampled_from([int(op) for op in Op]))
    paths = st.sampled_from(
        [b"/", b"/vm", b"/local/domain", *(path.encode() for path in SECRETS), b"@releaseDomain"]
    )
    payloads = st.one_of(
        st.binary(max_size=40),
        st.builds(
            lambda path, rest: path + b"\0" + rest, paths, st.sampled_from([b"", b"t\0", b"0\0", b"n0\0"])
        ),
    )
    packets = st.builds(lambda op, tx, body: request(op, body, tx), ops, st.integers(0, 2), payloads)
    streams = st.one_of(st.binary(max_size=200), st.lists(packets, max_size=20).map(b"".join))

    async def main() -> None:
        async with served(tmp_path) as (host, store), client(store) as guest:
            before = await host.store.tree("/")
            loop = asyncio.get_running_loop()

            async def one(stream: bytes, cut: int) -> None:
                async with asyncio.timeout(20):
                    reader, writer = await asyncio.open_unix_connection(store.path)
                    writer.write(stream[:cut])
                    await asyncio.sleep(0)
                    writer.write(stream[cut:])
                    if writer.can_write_eof() and not writer.is_closing():
                        writer.write_eof()
                    try:
                        answer = await reader.read()
                    except ConnectionResetError:
                        answer = b""
                    writer.close()
                decoder = Decoder()
                decoder.feed(answer)
                assert decoder.broken is None
                assert b"hush" not in answer
                assert await guest.read("/local/domain/1/name") == b"test"

            @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
            @given(streams, st.integers(0, 60))
            def fuzz(stream: bytes, cut: int) -> None:
                asyncio.run_coroutine_threadsafe(one(stream, cut), loop).result(20)

            await asyncio.to_thread(fuzz)
            assert await host.store.tree("/") == before

    asyncio.run(main())


def test_a_packet_that_is_too_long_closes_the_connection(tmp_path: Path) -> None:
    async def scene(host: World, store: ReadOnlyStore, guest: StoreClient) -> None:
        reader, writer = await asyncio.open_unix_connection(store.path)
        writer.write(HEADER.pack(Op.READ, 1, 0, 4097))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()

    play(tmp_path, scene)


# --- who serves it


def test_the_link_is_put_only_where_nothing_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as host:
            link = f"{host.root}/var/run/xenstored/socket_ro"
            os.symlink("/somewhere", link)
            store = ReadOnlyStore(host.root)
            await store.start()
            assert os.readlink(link) == "/somewhere"
            with pytest.raises(ConnectError, match="served already"):
                await ReadOnlyStore(host.root).start()
            async with xend(host, read_only_store=True) as daemon:  # it leaves the store to who has it
                assert daemon.service.read_only_store is None
                async with client(store) as guest:
                    assert await guest.read("/local/domain/0/name") == b"Domain-0"
            await store.stop()
            assert os.readlink(link) == "/somewhere"

    asyncio.run(main())
    assert not (tmp_path / "run/purevirt/socket_ro").exists()


def test_it_goes_on_without_xend(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as host, xend(host, read_only_store=True) as daemon:
            assert daemon.service.read_only_store is not None
            async with client(daemon.service.read_only_store) as guest:
                assert await guest.read("/local/domain/0/name") == b"Domain-0"

    asyncio.run(main())


def test_the_process(tmp_path: Path) -> None:
    sources = str(Path(sys.modules["purevirt"].__file__ or "").parents[1])
    with (
        testing.Host(str(tmp_path / "host"), xend=False) as host,
        subprocess.Popen(
            [sys.executable, "-m", "purevirt", "rostore", "--root", host.root],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": sources},
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

        async def read() -> bytes:
            path = f"{host.root}/var/run/xenstored/socket_ro"
            async with await StoreClient.open(aio.Connector(path), read_only=True) as guest:
                return await guest.read("/local/domain/1/name")

        assert asyncio.run(read()) == b"test"
        with purevirt.open_read_only(host.uri) as connection:  # what the store alone can tell
            (domain,) = [found for found in connection.domain_infos() if found.name == "test"]
            assert (domain.domid, domain.type, domain.cpu_time_ns) == (1, purevirt.DomainType.PV, None)
            devices = connection.lookup_by_name("test").block_devices()
            assert [disk.source for disk in devices] == ["/var/lib/xen/images/test.img"]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 0
        assert not os.path.lexists(f"{host.root}/var/run/xenstored/socket_ro")


# --- Xen's own tools and daemons


@pytest.mark.peers
def test_xens_own_tools(tmp_path: Path) -> None:
    peers.need()

    async def main() -> None:
        async with asyncio.timeout(50), served(tmp_path) as (_, store):

            async def run(tool: str, *arguments: str, check: bool = True) -> peers._tools.Result:
                return await asyncio.to_thread(peers.tool, tool, store.path, *arguments, check=check)

            assert (await run("xenstore-read", "/local/domain/1/name")).stdout == "test\n"
            listed = (await run("xenstore-ls", "-f")).stdout
            assert '/local/domain/1/name = "test"\n' in listed
            assert "hush" not in listed
            assert "shutdown" not in listed
            assert "(n0" in (await run("xenstore-ls", "-fp", "/local/domain/1/memory")).stdout
            assert (await run("xenstore-read", "/local/domain/1/data/secret", check=False)).returncode
            refused = await run("xenstore-write", "/local/domain/1/name", "mine", check=False)
            assert refused.returncode
            assert (await run("xenstore-rm", "/local/domain/1", check=False)).returncode

    asyncio.run(main())


@pytest.mark.peers
@pytest.mark.parametrize("daemon", ["xenstored", "oxenstored"])
def test_in_front_of_xens_own_daemons(tmp_path: Path, daemon: str, monkeypatch: pytest.MonkeyPatch) -> None:
    peers.need()
    with peers.DAEMONS[daemon]() as peer:

        async def main() -> None:
            (tmp_path / "var/run/xenstored").mkdir(parents=True)
            (tmp_path / "var/run/xenstored/socket").symlink_to(peer.socket)
            async with await StoreClient.open(aio.Connector(peer.socket)) as real:
                ids = [str(number) for number in range(1, 1200)]
                await real.write_many([(f"/local/domain/{number}/name", f"d{number}") for number in ids])
                await real.write("/local/domain/1/data/secret", "hush")
                store = ReadOnlyStore(str(tmp_path))
                await store.start()
                try:
                    async with client(store) as guest, watcher(guest) as one:
                        assert await guest.read("/local/domain/7/name") == b"d7"
                        assert await guest.directory("/local/domain/1") == ["name"]
                        # One daemon tells long lists in parts, the other whole; this one always in parts.
                        assert set(await guest.directory("/local/domain")) >= set(ids)
                        await one.add("/local/domain/7/name")
                        await one.next()
                        await real.write("/local/domain/7/name", "new")
                        assert await one.next() == Event("/local/domain/7/name", "w")
                finally:
                    await store.stop()

        asyncio.run(main())
