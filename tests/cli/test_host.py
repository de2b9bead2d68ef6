"""`purevirt host`: a simulated host for several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import purevirt
from purevirt.cli.app import run

ENVIRONMENT = {"PYTHONPATH": str(Path(purevirt.__file__).resolve().parents[1]), "PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize("options", [(), ("--no-xend",)])
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_stopped(
    tmp_path: Path, stop: signal.Signals, options: tuple[str, ...]
) -> None:
    command = [
        sys.executable,
        "-m",
        "purevirt",
        "host",
        "--dir",
        str(tmp_path / "h"),
        "--domains",
        "3",
        "--json",
        *options,
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as served:
        assert served.stdout is not None
        assert served.stderr is not None
        try:
            told = json.loads(served.stdout.readline())
            with purevirt.open(told["uri"]) as host:
                assert [info.name for info in host.domain_infos()] == ["Domain-0", "test1", "test2", "test3"]
                assert host.version().minor == 17
                assert os.path.exists(f"{tmp_path}/h/run/purevirt/xend.sock") is not bool(options)
            served.send_signal(stop)
            assert served.wait(20) == 0
            assert served.stderr.read() == ""
        finally:
            served.kill()
    assert not os.path.exists(f"{tmp_path}/h/var/run/xenstored/socket")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["host"], 2, "Missing option '--dir'"),
        (["host", "--dir", "/proc/nothing/here"], 5, "no simulated host can live in"),
        (["host", "--dir", "/tmp/unused", "--xen", "3.4"], 2, "no Xen that can be simulated"),
        (["host", "--dir", "/tmp/unused", "--domains", "-1"], 2, "-1"),
    ],
)
def test_wrong_input_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, words: str
) -> None:
    assert run(arguments) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1


def test_a_directory_is_taken_over_from_a_host_that_was_killed_and_from_no_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "purevirt", "host", "--dir", str(tmp_path / "h")]
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as served:
            assert served.stdout is not None
            uri = served.stdout.readline().strip()
            second = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
            assert second.returncode == 5
            assert "listens on" in second.stderr
            assert len(second.stderr.splitlines()) == 1
            with purevirt.open(uri) as host:
                assert host.count_domains() == 2
                guest = host.lookup_by_name("test")
                guest.set_memory(200000)
                assert host.store.read("/local/domain/1/device/vbd/51712/state") == "4"
            served.kill()
