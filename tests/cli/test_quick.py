"""The short way and the long way say the same; what is not plain is left to the long way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import purevirt
from purevirt import testing
from purevirt.cli import app, quick

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
    ["suspend", "--help"],
    ["suspend", "a", "b"],
    ["suspend", "--timeout", "3", "test"],
    ["-r", "suspend", "test"],
    ["resume", "-1"],
    ["destroy", "test"],
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


def both(capsys: pytest.CaptureFixture[str], host: testing.Host, *arguments: str) -> tuple[object, object]:
    """What the short way and the long way do, from the same state: the domain runs, and runs again afterwards."""
    found: list[object] = []
    for way in (quick.run, app.run):
        line = ["-c", host.uri, *arguments]
        if arguments[0] == "resume":
            app.run(["-c", host.uri, "suspend", "test"])
        capsys.readouterr()
        found.append((way(line), capsys.readouterr()))
        with purevirt.open(host.uri) as connection:
            domain = connection.lookup_by_name("test")
            paused = domain.state()[0] is purevirt.DomainState.PAUSED
            assert paused == (arguments[0] == "suspend")
            if paused:
                domain.resume()
    return found[0], found[1]


@pytest.mark.parametrize("json", [[], ["--json"]])
@pytest.mark.parametrize("operation", ["suspend", "resume"])
def test_both_ways_change_alike(
    host: testing.Host, capsys: pytest.CaptureFixture[str], operation: str, json: list[str]
) -> None:
    short, long = both(capsys, host, operation, "test", *json)
    assert short == long
    assert short == (
        0,
        ('{\n  "done": true\n}\n' if json else f"Domain 'test' {operation[:7].rstrip('e')}ed\n", ""),
    )


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_both_ways_fail_alike_at_a_change(
    host: testing.Host, capsys: pytest.CaptureFixture[str], json: list[str]
) -> None:
    line = ["-c", host.uri, "resume", "test", *json]
    short = quick.run(line), capsys.readouterr()
    long = app.run(line), capsys.readouterr()
    assert short == long
    assert short[0] == 1
    assert "is not paused" in short[1].err


@pytest.mark.parametrize("name", ["1", "nobody", "0e7bd5c5-9bd4-4f0c-9e5b-0f6b0c0e1d2f", 'a"b', "ü", "a\nb"])
def test_a_change_that_cannot_be_said_in_short_changes_nothing(
    host: testing.Host, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert quick.run(["-c", host.uri, "suspend", name]) is None
    assert capsys.readouterr() == ("", "")


def test_without_a_daemon_a_change_is_left_to_the_long_way(capsys: pytest.CaptureFixture[str]) -> None:
    with testing.Host(held=True, xend=False) as alone:
        assert quick.run(["-c", alone.uri, "suspend", "test"]) is None
    for uri in ("test:///default", "xen:///?root=/no/such/host", "nonsense://"):
        assert quick.run(["-c", uri, "suspend", "test"]) is None
    assert capsys.readouterr() == ("", "")
