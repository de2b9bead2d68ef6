"""The builder with `xl` in a real Domain 0: what it makes, what it refuses, and that it leaves nothing behind.

`building` does it there, in one process, and tells what it saw; so each test is about some of its steps.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

import lab

Seen = dict[str, Any]


def build(dom0: lab.Host, what: str) -> dict[str, Seen]:
    output = dom0.python(["tests/e2e/building.py", what], timeout=240).stdout
    found: dict[str, Seen] = json.loads(output.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def saving(dom0: lab.Host) -> dict[str, Seen]:
    return build(dom0, "saving")


@pytest.fixture(scope="module")
def failing(dom0: lab.Host) -> dict[str, Seen]:
    return build(dom0, "failing")


@pytest.fixture(scope="module")
def moving(dom0: lab.Host) -> dict[str, Seen]:
    return build(dom0, "moving")


def test_a_domain_is_made_paused_and_no_xl_waits_for_it(saving: dict[str, Seen]) -> None:
    seen = saving["created"]
    assert (seen["name"], seen["flags"], seen["runs"], seen["xl"]) == ("built", "--p---", [], "")
    assert [step for step, _ in seen["steps"]] == [
        "beginning",
        "reading the kernel",
        "allocating memory",
        "loading the kernel",
        "adding devices",
        "setting up disks",
        "setting up interfaces",
        "connecting the console",
    ]


def test_what_cannot_be_is_refused_by_field(saving: dict[str, Seen]) -> None:
    assert saving["bad"]["problems"] == [
        "boot.kernel: kernel /etc/passwd: not a kernel, neither ELF nor bzImage",
        "boot.ramdisk: ramdisk /tmp: a directory",
        "disks[xvda].source: /tmp: a directory",
        "disks[foo9].target: 'foo9' is no name of a disk, such as xvda",
        "disks[foo9].source: /tmp/nothere: no such file or directory",
        "interfaces[0].bridge: bridge xenbr9 does not exist",
        "interfaces[1].bridge: lo is no bridge",
        "interfaces[2].script: hotplug script /etc/xen/scripts/vif-nothere: no such file or directory",
        "disks[xvdb].source: /tmp/built.img is a disk of domain built",
    ]
    assert saving["large"]["error"] == "NoMemory"
    assert saving["large"]["message"].startswith("not enough memory: 99999 MiB asked, ")
    assert "error" not in saving["good"]


def test_a_save_that_fails_or_is_cancelled_lets_the_domain_run_on(saving: dict[str, Seen]) -> None:
    full, nowhere, cancelled = (
        saving[f"save {how}"] for how in ("to a full disk", "to nowhere", "cancelled")
    )
    assert full["message"] == "its state cannot be written: no space left on device"
    assert nowhere["message"] == "/nowhere/x.part: no such file or directory"
    assert cancelled["ended"] == "CancelledError"
    assert full["files"] == cancelled["files"] == []
    for seen in (full, nowhere, cancelled):
        assert seen["name"] == "built"
        assert not set(seen["flags"]) & set("pscd")


def test_a_domain_is_saved_whole_and_restored(saving: dict[str, Seen]) -> None:
    """After a save that was cancelled: the guest has answered again."""
    saved, inspected = saving["saved"], saving["inspected"]
    assert (saved["gone"], saved["mode"], saved["last"], saved["xl"]) == (True, "0o600", 1.0, "")
    assert inspected["name"] == "built"
    assert inspected["disks"] == ["/tmp/built.img"]
    assert inspected["xen"] in ("4.17", "4.20")
    assert saving["inspected cut"]["error"] == "ConfigError"
    restored = saving["restored"]
    assert (restored["name"], restored["flags"], restored["same"], restored["xl"]) == (
        "built",
        "--p---",
        True,
        "",
    )


def test_a_core_is_dumped(saving: dict[str, Seen]) -> None:
    dumped = saving["dumped"]
    assert (dumped.get("gone"), dumped["magic"], dumped["mode"]) == (True, "\x7fELF", "0o600")
    assert saving["dumped mini"]["error"] in ("OperationError", "Unsupported")


def test_nothing_is_left_of_all_this(saving: dict[str, Seen]) -> None:
    assert saving["end"]["left"] == []


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("no disk", "OperationError", "disk xvda: /tmp/nothere: no such file or directory"),
        ("no kernel", "OperationError", "kernel /tmp/nothere: no such file or directory"),
        ("no bridge", "OperationError", "interface 0: bridge xenbr9 does not exist"),
        (
            "hangs",
            "Timeout",
            "interface 0: its hotplug script /etc/xen/scripts/vif-hang did not end within 8 s",
        ),
    ],
)
def test_a_domain_that_cannot_be_made_leaves_nothing(
    failing: dict[str, Seen], name: str, error: str, message: str
) -> None:
    seen = failing[name]
    assert (seen["error"], seen["message"]) == (error, message)
    assert (seen["left"], seen["xl"]) == ([], "")


@pytest.mark.full
def test_what_is_cancelled_or_abandoned_leaves_nothing(failing: dict[str, Seen]) -> None:
    assert failing["cancelled"]["ended"] == "CancelledError"
    assert failing["abandoned"]["working"]
    for seen in (failing["cancelled"], failing["abandoned"]):
        assert (seen["left"], seen["xl"]) == ([], "")


@pytest.mark.full
def test_a_domain_is_migrated_to_the_same_host(moving: dict[str, Seen]) -> None:
    moved, nowhere = moving["moved"], moving["moved nowhere"]
    assert moved["then"] == {"gone": True}
    ((name, flags),) = moved["now"]
    assert name == "moved"
    assert not set(flags) & set("pscd")
    assert moved["xl"] == ""
    assert nowhere["message"] == (
        "the other host does not receive: the command that reaches it ended without a word"
    )
    assert nowhere["name"] == "moved"
    assert not set(nowhere["flags"]) & set("pscd")
    assert moving["end"]["left"] == []
