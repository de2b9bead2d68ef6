"""What is done in Domain 0 after a domain of a real host: device models and hotplug scripts. Decided here, pure."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from purevirt.daemons.xend.toolstack import devicemodel, hotplug, records
from purevirt.daemons.xend.toolstack.hotplug import Command
from purevirt.model import DomainInfo, DomainState, StateReason

BACKEND = "/local/domain/0/backend"


def test_the_scripts_of_disks_and_interfaces() -> None:
    common = {"XENBUS_BASE_PATH": "backend"}
    assert hotplug.command(f"{BACKEND}/vbd/3/51712", "/etc/xen/scripts/block", None) == Command(
        ("/etc/xen/scripts/block", "remove"),
        {
            "script": "/etc/xen/scripts/block",
            "XENBUS_TYPE": "vbd",
            "XENBUS_PATH": "backend/vbd/3/51712",
            **common,
        },
    )
    found = hotplug.command(f"{BACKEND}/vif/3/0", "/etc/xen/scripts/vif-bridge", None)
    assert found is not None
    assert found.arguments == ("/etc/xen/scripts/vif-bridge", "offline", "type_if=vif")
    assert found.environment["vif"] == "vif3.0"
    named = hotplug.command(f"{BACKEND}/vif/3/0", "/s", "web0")
    assert named is not None
    assert named.environment["vif"] == "web0"
    assert hotplug.command(f"{BACKEND}/console/3/0", "/s", None) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's files are trusted")
def test_only_a_script_of_roots_alone_is_run(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert hotplug.trusted(str(script))
    assert not hotplug.trusted(str(tmp_path / "missing"))
    assert not hotplug.trusted(os.path.relpath(script))
    script.chmod(0o775)
    assert not hotplug.trusted(str(script))
    script.chmod(0o644)
    assert not hotplug.trusted(str(script))
    script.chmod(0o755)
    os.chown(script, 12345, 0)
    assert not hotplug.trusted(str(script))
    os.chown(script, 0, 0)
    tmp_path.chmod(0o777)
    assert not hotplug.trusted(str(script))


def test_how_a_script_ended_is_logged_and_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\necho "$1 $XENBUS_PATH" > "$out"\necho went wrong\nexit 3\n')
    script.chmod(0o755)
    command = Command((str(script), "remove"), {"XENBUS_PATH": "backend/vbd/3/1", "out": f"{tmp_path}/out"})
    asyncio.run(hotplug._down(command, "a backend"))
    assert (tmp_path / "out").read_text() == "remove backend/vbd/3/1\n"
    assert "ended with status 3: went wrong" in caplog.text
    asyncio.run(hotplug._down(Command((str(tmp_path / "missing"),), {}), "a backend"))


def test_libxls_records_of_the_domain_go_and_no_others(tmp_path: Path) -> None:
    uuid = UUID("6695eb01-f6a4-8304-79aa-97f2502e193f")
    unknown = (DomainState.NOSTATE, StateReason.UNKNOWN)
    domain = DomainInfo(3, uuid.bytes, "web", None, *unknown, None, None, None, None, None)
    records.forget(domain, str(tmp_path))  # no directory, no matter
    directory = tmp_path / "var/lib/xen"
    directory.mkdir(parents=True)
    gone = [f"userdata-d.3.{uuid}.libxl-json", f"userdata-d.3.{uuid}.xl", f"userdata-n.3.{uuid}.x"]
    kept = [f"userdata-d.33.{uuid}.xl", "userdata-d.3.another.xl", "save", f"userdata-d.4.{uuid}.xl"]
    for name in gone + kept:
        (directory / name).write_text("x")
    records.forget(domain, str(tmp_path))
    assert sorted(path.name for path in directory.iterdir()) == sorted(kept)


def test_which_process_is_a_domains_device_model() -> None:
    line = b"/usr/lib/xen/bin/qemu-system-i386\0-xen-domid\0003\0-nodefaults\0"
    assert devicemodel.serves(line, 3)
    assert not devicemodel.serves(line, 33)
    assert not devicemodel.serves(b"sleep\x003\0", 3)
    assert not devicemodel.serves(b"", 3)


def test_the_device_model_is_ended_and_nobody_else() -> None:
    wait = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        "print('up', flush=True); sys.stdin.read()"
    )
    for arguments, ended in ((["-xen-domid", "3"], True), (["-xen-domid", "4"], False)):
        with subprocess.Popen(
            [sys.executable, "-c", wait, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            noted = b"%d" % process.pid
            devicemodel.end(noted, 3, "/simulated")
            devicemodel.end(None, 3, "")
            devicemodel.end(b"-1", 3, "")
            devicemodel.end(noted, 3, "")
            if not ended:
                assert process.stdin is not None
                process.stdin.close()
            assert process.wait(20) == (-signal.SIGHUP if ended else 0)
