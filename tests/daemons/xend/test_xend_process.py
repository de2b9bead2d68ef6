"""The daemon as a process, with a service manager that listens, a watchdog, and settings that change under it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import purevirt
from purevirt import testing
from tests.daemons.xend.test_xend_service import post

SOURCES = str(Path(purevirt.__file__).parents[1])


class Running:
    """A daemon, and the manager that hears it."""

    def __init__(self, process: subprocess.Popen[str], manager: socket.socket, host: testing.Host) -> None:
        self.process = process
        self.host = host
        self._manager = manager
        assert process.stderr is not None
        self._stderr = process.stderr

    def hears(self) -> dict[str, str]:
        """The next message."""
        lines = self._manager.recv(65536).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)

    def hears_after_watchdog(self) -> dict[str, str]:
        """The next message that is not the watchdog's."""
        while (found := self.hears()) == {"WATCHDOG": "1"}:
            pass
        return found

    def logs(self) -> str:
        """The next line of the log."""
        return self._stderr.readline().rstrip("\n")

    def reload(self, text: str) -> None:
        self.settings.write_text(text)
        self.process.send_signal(signal.SIGHUP)

    @property
    def settings(self) -> Path:
        return Path(self.host.root, "etc/purevirt/xend.toml")

    def call(self, operation: str, **arguments: Any) -> Any:
        document = {"operation": operation, "domain": {"name": "test"}, "arguments": arguments}
        return asyncio.run(post(f"{self.host.root}/run/purevirt/xend.sock", document))


@contextmanager
def running(text: str = "", *options: str, watchdog: float | None = None) -> Iterator[Running]:
    """A daemon that serves a simulated host, by these settings."""
    with testing.Host(xend=False) as host, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(30)
        address = f"@purevirt-manager-{os.getpid()}-{id(manager)}"
        manager.bind(f"\0{address[1:]}")
        os.makedirs(f"{host.root}/etc/purevirt")
        Path(host.root, "etc/purevirt/xend.toml").write_text(text)
        environment = {**os.environ, "PYTHONPATH": SOURCES, "NOTIFY_SOCKET": address}
        if watchdog is not None:
            environment["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        with subprocess.Popen(
            [sys.executable, "-m", "purevirt", "xend", "--root", host.root, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        ) as process:  # fmt: skip
            try:
                yield Running(process, manager, host)
            finally:
                process.kill()


JOURNAL = '[log]\nformat = "journal"\n'


def test_ready_reload_refuse_and_end() -> None:
    with running(JOURNAL + '[access]\nreader_group = "root"\n') as daemon:
        root = daemon.host.root
        serving = f"serving on {root}/run/purevirt/xend.sock"
        assert daemon.hears() == {"READY": "1", "STATUS": serving}
        assert daemon.logs() == f"<6>{serving}"
        assert daemon.call("suspend")[0] == 200
        assert Path(root, "var/log/purevirt/audit.log").exists()

        # What can change changes, and what cannot is named.
        more = '[access]\nreader_group = "no such"\nroots = ["/srv"]\n[listen]\ntcp = "127.0.0.1:1"\n'
        daemon.reload(f'{JOURNAL}audit = "/var/log/other.log"\n{more}')
        heard = daemon.hears()
        assert (heard["RELOADING"], heard["MONOTONIC_USEC"].isdigit()) == ("1", True)
        assert daemon.hears() == {"READY": "1", "STATUS": f"{serving}; waiting for a restart: listen.tcp"}
        assert [daemon.logs() for _ in range(3)] == [
            "<6>the settings were read again; changed: access.reader_group, access.roots, log.audit",
            "<4>these change when the daemon is started anew: listen.tcp",
            "<4>there is no group 'no such': nobody is in it until it is made",
        ]
        assert daemon.call("resume")[0] == 200
        assert '"operation": "resume"' in Path(root, "var/log/other.log").read_text()

        # What is wrong is refused as a whole.
        daemon.reload('[log]\nformat = "json"\nlevel = "loud"\n')
        assert "RELOADING" in daemon.hears()
        words = '"debug", "info", "warning", "error"'
        wrong = f"{daemon.settings}:3:9: log.level must be one of {words}, not 'loud'"
        assert daemon.hears() == {"READY": "1", "STATUS": f"{serving}; settings refused: {wrong}"}
        assert daemon.logs() == f"<3>the settings are refused, and stay as they were: {wrong}"
        assert daemon.call("whoami")[0] == 200

        # And without the file there are the defaults.
        daemon.settings.unlink()
        daemon.process.send_signal(signal.SIGHUP)
        assert "RELOADING" in daemon.hears()
        assert daemon.hears() == {"READY": "1", "STATUS": serving}
        assert " info xend: the settings were read again; changed: access.reader_group," in daemon.logs()

        daemon.process.terminate()
        assert daemon.hears() == {"STOPPING": "1", "STATUS": "ending"}
        assert daemon.process.wait(20) == 0


def test_the_command_line_counts_more_than_the_file_after_a_reload_too() -> None:
    options = ("--reader-group", "root", "--log-level", "warning", "--log-format", "text")
    with running(JOURNAL + 'level = "debug"\n', *options) as daemon:
        daemon.hears()
        daemon.reload('[log]\nlevel = "info"\n[access]\noperator_group = "nobody-has-this"\n')
        daemon.hears()
        assert daemon.hears()["READY"] == "1"
        assert daemon.logs().endswith(
            " warning xend: there is no group 'nobody-has-this': nobody is in it until it is made"
        )


def test_the_watchdog_is_told_nothing_while_the_store_is_gone() -> None:
    with running(JOURNAL, watchdog=3.0) as daemon:
        serving = daemon.hears()["STATUS"]
        assert daemon.hears() == {"WATCHDOG": "1"}
        assert daemon.hears() == {"WATCHDOG": "1"}
        daemon.host.kill("xenstored")
        heard = daemon.hears_after_watchdog()
        assert list(heard) == ["STATUS"]
        assert heard["STATUS"].startswith("does not answer: ")
        daemon.host.restart("xenstored")
        assert daemon.hears() == {"STATUS": serving}  # nothing came between
        assert daemon.hears() == {"WATCHDOG": "1"}


def test_a_start_that_fails_is_told() -> None:
    with running(JOURNAL + "[store]\nread_only = 1\n") as daemon:
        wrong = f"{daemon.settings}:4:13: store.read_only must be true or false, not 1"
        assert daemon.hears() == {"STATUS": f"cannot start: {wrong}"}
        assert daemon.process.wait(20) == 2
        assert daemon.logs() == f"purevirt: {wrong}"


def test_sockets_at_other_places() -> None:
    with running('[listen]\nsocket = "/run/other/x.sock"\nclassic = ""\n') as daemon:
        root = daemon.host.root
        assert daemon.hears()["STATUS"] == f"serving on {root}/run/other/x.sock"
        found = asyncio.run(post(f"{root}/run/other/x.sock", {"operation": "count_domains"}))
        assert found == (200, {"result": 2})
        assert not os.path.exists(f"{root}/run/purevirt/xend.sock")
        assert not os.path.exists(f"{root}/var/lib/xend/xend-socket")


# --- without running


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "purevirt", "xend", *words],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": SOURCES},
    )  # fmt: skip


def test_settings_are_printed_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text('[listen]\ntcp = ":80"\n')
    printed = command("--config", str(file), "--operator-group", "virt", "--print-config")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert '\ntcp = ":80"\n' in printed.stdout
    assert '\n# operator_group = ""\noperator_group = "virt"\n' in printed.stdout
    file.write_text(printed.stdout)
    assert command("--config", str(file), "--print-config").stdout == printed.stdout
    assert command("--config", str(file), "--check-config").stdout == "the settings are good\n"
    file.write_text('[listen]\nrest = ":80"\n')
    said = command("--config", str(file), "--check-config").stdout
    assert said == "the settings are good\n"
    file.write_text("[listen]\nrest = 80\n")
    refused = command("--config", str(file), "--check-config")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"purevirt: {file}:2:8: listen.rest must be ADDRESS:PORT")
    assert refused.stderr.count("\n") == 1
    refused = command("--log-level", "loud", "--check-config")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "log.level must be one of" in refused.stderr
