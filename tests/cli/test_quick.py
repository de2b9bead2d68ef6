"""The short way and the long way to `list` say the same; what is not plain is left to the long way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import purevirt
from purevirt import testing
from purevirt.cli import app, quick
from purevirt.programs import change

PLAIN = [
    ["list"],
    ["-r", "list"],
    ["list", "--all"],
    ["list", "--name"],
    ["list", "--uuid", "--all"],
    ["list", "--id"],
    ["list", "--json"],
    ["--readonly", "list", "--json"],
]
NOT_PLAIN = [
    [],
    ["dominfo", "test"],
    ["list", "--inactive"],
    ["list", "--help"],
    ["list", "--nam"],
    ["list", "extra"],
    ["--timeout", "3", "list"],
    ["-c"],
    ["-cxen:///", "list"],
    ["--version"],
    ["suspend"],
    ["suspend", "--timeout", "3", "test"],
    ["shutdown", "test", "--mode", "halt"],
    ["suspend", "one", "two"],
    ["suspend", ""],
]


@pytest.fixture(scope="module")
def host() -> Iterator[testing.Host]:
    with testing.Host(held=True) as simulated:
        yield simulated


@pytest.mark.parametrize("arguments", PLAIN, ids=" ".join)
def test_both_ways_say_the_same(
    host: testing.Host, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    line = ["-c", host.uri, *arguments]
    short = quick.run(line), capsys.readouterr()
    long = app.run(line), capsys.readouterr()
    assert short == long
    assert short[0] == 0
    assert short[1].out


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_both_ways_change_alike(
    host: testing.Host, capsys: pytest.CaptureFixture[str], json: list[str]
) -> None:
    lines = [[command, "test"] for command in ("suspend", "suspend", "resume", "resume")]
    lines += [["destroy", "nobody"], ["destroy", "Domain-0"]]

    def told(way: Callable[[list[str]], int | None]) -> list[object]:
        return [(way(["-c", host.uri, *line, *json]), capsys.readouterr()) for line in lines]

    assert told(quick.run) == told(app.run)


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_both_ways_fail_alike(capsys: pytest.CaptureFixture[str], json: list[str]) -> None:
    line = ["-c", "xen:///?root=/no/such/host", "list", *json]
    short = quick.run(line), capsys.readouterr()
    long = app.run(line), capsys.readouterr()
    assert short == long
    assert short[0] == 5


@pytest.mark.parametrize("arguments", NOT_PLAIN, ids=lambda arguments: " ".join(arguments) or "nothing")
def test_what_is_not_plain_is_left_to_the_long_way(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert quick.run(arguments) is None
    assert capsys.readouterr() == ("", "")


def test_a_completion_is_left_to_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_PUREVIRT_COMPLETE", "bash_complete")
    assert quick.run(["list"]) is None


@pytest.mark.parametrize(
    "name", ["1", "nobody", "0e7bd5c5-9bd4-4f0c-9e5b-0f6b0c0e1d2f", 'a"b', "\xfc", "a\nb", "a\\b"]
)
def test_what_cannot_be_said_at_once_changes_nothing(host: testing.Host, name: str) -> None:
    assert not change.change(host.uri, "suspend", name)


def test_a_change_at_once_is_done(host: testing.Host) -> None:
    with purevirt.open(host.uri) as connection:
        domain = connection.lookup_by_name("test")
        assert change.change(host.uri, "suspend", "test")
        assert domain.state()[0] is purevirt.DomainState.PAUSED
        with pytest.raises(purevirt.errors.WrongState, match="is paused already"):
            change.change(host.uri, "suspend", "test")
        assert change.change(host.uri, "resume", "test")
        assert domain.state()[0] is not purevirt.DomainState.PAUSED


def test_where_nobody_can_be_told_nothing_is_done_at_once() -> None:
    with testing.Host(held=True, xend=False) as alone:
        assert not change.change(alone.uri, "suspend", "test")
    for uri in ("test:///default", "xen:///?root=/no/such/host", "nonsense://"):
        assert not change.change(uri, "suspend", "test")
