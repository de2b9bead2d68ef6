"""What becomes of a domain and of its file, whichever way `xl` ends: a simulated host, and a script in xl's place."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from purevirt import testing
from purevirt.daemons.xend.link import Link
from purevirt.daemons.xend.toolstack.builder import Dump, Migration
from purevirt.daemons.xend.toolstack.native import NativeToolstack
from purevirt.daemons.xend.toolstack.xl import XlBuilder, runs
from purevirt.daemons.xend.toolstack.xl.runs import Part
from purevirt.errors import ConfigError, InvalidConfig, OperationError, Timeout, Unsupported, WrongState
from purevirt.model import DomainInfo
from purevirt.model.description import Boot, DomainDescription, Memory

HEAD = (Path(__file__).parents[3] / "data" / "xl" / "4.17-save.head").read_bytes()
WHOLE = HEAD + struct.pack("<II", 0, 0) + struct.pack("<II", 0, 0)
NEW = DomainDescription(
    "new", uuid=UUID(int=77), memory=Memory(4096), boot=Boot(kernel="/boot/kernel", command_line="quiet")
)


class Bench:
    """A simulated host with one domain, a builder on it, and `xl`: what the shell does with its words."""

    def __init__(self, host: testing.Host, directory: Path) -> None:
        self.host = host
        self.directory = directory
        self.builds = directory / "build"
        self.file = directory / "state"
        self.part = directory / "state.part"
        self.xl = directory / "xl"
        self.script("exit 9")

    def script(self, text: str) -> None:
        self.xl.write_text(f'#!/bin/sh\nshift\necho "$@" >> {self.directory}/words\n{text}\n')
        self.xl.chmod(0o755)

    def words(self) -> list[str]:
        path = self.directory / "words"
        return path.read_text().splitlines() if path.exists() else []

    def do(self, work: Callable[[XlBuilder, DomainInfo], Awaitable[object]], seconds: float = 20) -> object:
        """Some work with the builder, and with the domain as it is now."""

        async def body() -> object:
            link = Link(self.host.root)
            await link.open()
            try:
                builder = XlBuilder(
                    link,
                    NativeToolstack(link),
                    directory=str(self.builds),
                    program=str(self.xl),
                    deadline=seconds,
                )
                (info,) = [one for one in await link.driver.list_domains() if one.domid]
                return await work(builder, info)
            finally:
                await link.close()

        return asyncio.run(body())

    def save(self) -> None:
        self.do(lambda builder, info: builder.save(info, str(self.file), lambda *_: None))

    def names(self) -> set[str]:
        return {path.name for path in self.directory.iterdir() if path.name.startswith("state")}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with testing.Host() as host:
        yield Bench(host, tmp_path)


def test_a_save_that_fails_leaves_no_file_and_the_domain(bench: Bench) -> None:
    bench.script(
        "echo half > $3; echo 'xc: error: Save failed (28 = No space left on device): Internal error'; exit 1"
    )
    with pytest.raises(OperationError, match=r"^its state cannot be written: no space left on device$"):
        bench.save()
    assert bench.names() == set()
    assert [path.name for path in bench.builds.iterdir()] == []
    (words,) = bench.words()
    assert words == f"save 1 {bench.part}"


def test_a_file_gets_its_name_when_it_is_whole_and_the_domain_is_gone(bench: Bench) -> None:
    run = runs.begin(str(bench.builds), str(UUID(int=5)))
    run.note(Part(str(bench.part), str(bench.file), 99, precious=True))
    bench.part.write_bytes(WHOLE)
    bench.do(lambda builder, _: builder.abandon(bytes(15) + b"\5"))
    assert bench.names() == {"state"}
    assert bench.file.read_bytes() == WHOLE
    assert list(bench.builds.iterdir()) == []


def test_a_file_that_is_not_whole_is_kept_when_nothing_else_is_left(bench: Bench) -> None:
    run = runs.begin(str(bench.builds), str(UUID(int=5)))
    run.note(Part(str(bench.part), str(bench.file), 99, precious=True))
    bench.part.write_bytes(WHOLE[:-4])
    bench.do(lambda builder, _: builder.abandon(bytes(15) + b"\5"))
    assert bench.names() == {"state.part"}


@pytest.mark.parametrize("precious", [True, False])
def test_a_file_goes_while_there_is_the_domain_or_if_it_was_a_dump(bench: Bench, precious: bool) -> None:
    def abandoned(builder: XlBuilder, info: DomainInfo) -> Awaitable[object]:
        domid = info.domid if precious else 99
        assert domid is not None
        run = runs.begin(str(bench.builds), str(info.uuid))
        run.note(Part(str(bench.part), str(bench.file), domid, precious))
        bench.part.write_bytes(WHOLE)
        return builder.abandon(info.handle)

    bench.do(abandoned)
    assert bench.names() == set()


def test_what_is_there_is_not_written_over(bench: Bench) -> None:
    bench.file.write_text("mine")
    with pytest.raises(OperationError, match=r"state exists already$"):
        bench.save()
    bench.file.rename(bench.part)
    with pytest.raises(OperationError, match=r"state\.part: file exists$"):
        bench.save()
    assert bench.part.read_text() == "mine"
    assert bench.words() == []


def test_a_path_has_to_be_absolute(bench: Bench) -> None:
    with pytest.raises(InvalidConfig, match="'x' is no absolute path"):
        bench.do(lambda builder, info: builder.save(info, "x", lambda *_: None))


def test_a_domain_that_does_not_run_cannot_be_saved_or_sent(bench: Bench) -> None:
    bench.host.pause("test")
    with pytest.raises(WrongState, match="paused"):
        bench.save()
    with pytest.raises(WrongState, match="paused"):
        bench.do(lambda builder, info: builder.migrate(info, Migration("there"), lambda *_: None))
    assert bench.words() == []


@pytest.mark.parametrize("host", ["a;b", "-oProxyCommand=x", "", "a b", "$(x)"])
def test_no_host_gets_into_a_shell_that_is_no_name(bench: Bench, host: str) -> None:
    with pytest.raises(InvalidConfig, match="is no name of a host"):
        bench.do(lambda builder, info: builder.migrate(info, Migration(host), lambda *_: None))
    assert bench.words() == []


def test_a_migration_is_told_by_which_command_and_where(bench: Bench) -> None:
    bench.script("exit 0")
    where = Migration("root@there", ("ssh", "-i", "my key"))
    bench.do(lambda builder, info: builder.migrate(info, where, lambda *_: None))
    bench.do(lambda builder, info: builder.migrate(info, Migration("there"), lambda *_: None))
    assert bench.words() == [
        "migrate -e -s ssh -i 'my key' 1 root@there",
        "migrate -e -s ssh -o BatchMode=yes 1 there",
    ]
    with pytest.raises(Unsupported, match="while they run"):
        bench.do(lambda builder, info: builder.migrate(info, Migration("a", None, False), lambda *_: None))


def test_a_dump_holds_the_domain_and_lets_it_go(bench: Bench) -> None:
    bench.script("echo core > $3")
    bench.do(lambda builder, info: builder.dump(info, str(bench.file), Dump(), lambda *_: None))
    assert bench.file.read_text() == "core\n"
    assert bench.file.stat().st_mode & 0o777 == 0o600

    async def flags(_: XlBuilder, info: DomainInfo) -> object:
        return info.flags

    assert "p" not in str(bench.do(flags))
    bench.file.unlink()
    bench.script("echo 'xc: error: Could not open corefile x: Internal error'; exit 1")
    with pytest.raises(OperationError, match="Could not open corefile"):
        bench.do(lambda builder, info: builder.dump(info, str(bench.file), Dump(), lambda *_: None))
    assert "p" not in str(bench.do(flags))
    assert bench.names() == set()


def test_xl_is_given_the_configuration_for_its_eyes_alone(bench: Bench) -> None:
    bench.script(f"stat -c %a $5 > {bench.directory}/mode; cat $5 > {bench.directory}/config; exit 7")
    with pytest.raises(OperationError, match=r"^xl ended with status 7 and did not say why$"):
        bench.do(lambda builder, _: builder.create(NEW, lambda *_: None))
    assert (bench.directory / "mode").read_text() == "600\n"
    assert 'name = "new"' in (bench.directory / "config").read_text()
    assert bench.words()[0].startswith(f"create -e -p -q {bench.builds}/{NEW.uuid}.")
    assert list(bench.builds.iterdir()) == []


def test_a_domain_that_xl_says_it_made_has_to_be_there(bench: Bench) -> None:
    bench.script("exit 0")
    with pytest.raises(OperationError, match="xl has made 0 domains instead of one"):
        bench.do(lambda builder, _: builder.create(NEW, lambda *_: None))


def test_xl_that_hangs_is_ended_in_time(bench: Bench) -> None:
    bench.script("sleep 60")
    with pytest.raises(Timeout, match=r"^xl create did not end within 0\.2 s$"):
        bench.do(lambda builder, _: builder.create(NEW, lambda *_: None), 0.2)
    assert list(bench.builds.iterdir()) == []


def test_what_is_no_saved_state_is_not_given_to_xl(bench: Bench) -> None:
    bench.file.write_text("hello")
    with pytest.raises(ConfigError, match="not the saved state of a domain"):
        bench.do(lambda builder, _: builder.restore(str(bench.file), None, lambda *_: None))
    with pytest.raises(OperationError, match="nowhere: no such file or directory"):
        bench.do(lambda builder, _: builder.inspect("/nowhere"))
    assert bench.words() == []
