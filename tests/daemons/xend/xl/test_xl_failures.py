"""What xl said in the lab when it failed, and what becomes of it: one line that names what it was about."""

from __future__ import annotations

from pathlib import Path

import pytest

from purevirt.daemons.xend.toolstack.xl.failures import cause, overdue
from purevirt.errors import DomainExists, InvalidConfig, NoMemory, OperationError, Timeout, Unsupported
from purevirt.model import DomainType
from purevirt.model.description import Boot, Disk, DomainDescription, Interface, Memory

DATA = Path(__file__).parents[3] / "data" / "xl"

DOMAIN = DomainDescription(
    "one",
    memory=Memory(99999 << 10),
    boot=Boot(kernel="/tmp/text"),
    disks=(Disk("xvda", "/tmp/ok.img", backend_domain="nobody"),),
    interfaces=(Interface(bridge="xenbr9"),),
)
LOADED = DOMAIN._replace(boot=Boot(bootloader="pygrub"))
SCRIPTS = "/etc/xen/scripts"

FAILURES: dict[str, tuple[type[Exception], str]] = {
    "4.17-nodisk": (OperationError, "disk xvda: /tmp/nothere.img: no such file or directory"),
    "4.17-nodiskqdisk": (OperationError, "disk xvda: /tmp/nothere.img: no such file or directory"),
    "4.17-nodev": (OperationError, "disk xvda: /dev/nothere: no such file or directory"),
    "4.17-diskdir": (
        OperationError,
        "device model /usr/libexec/xen-qemu-system-i386: no such file or directory",
    ),
    "4.17-badvdev": (InvalidConfig, "disks[foo9].target: 'foo9' is no name of a disk, such as xvda"),
    "4.17-backend": (OperationError, "disk xvda: there is no backend for it in the domain nobody"),
    "4.17-blockfail": (
        OperationError,
        f"disk xvda: its hotplug script {SCRIPTS}/block-fail exited with error status 1",
    ),
    "4.17-nobridge": (OperationError, "interface 0: bridge xenbr9 does not exist"),
    "4.17-viffail": (
        OperationError,
        f"interface 0: its hotplug script {SCRIPTS}/vif-fail exited with error status 3",
    ),
    "4.17-vifhang": (Timeout, f"interface 0: its hotplug script {SCRIPTS}/vif-hang did not end in time"),
    "4.17-vifnoscript": (
        OperationError,
        f"interface 0: its hotplug script {SCRIPTS}/vif-nothere cannot be run: no such file or directory",
    ),
    "4.17-nodriver": (
        OperationError,
        "vtpm 0: its backend did not get ready (/local/domain/0/backend/vtpm/23/0)",
    ),
    "4.17-badkernel": (OperationError, "kernel /tmp/text: not a kernel that a PV domain can start"),
    "4.17-truncated": (OperationError, "kernel /tmp/text: not a kernel that a PV domain can start"),
    "4.17-pvhbad": (OperationError, "kernel /tmp/text: not a kernel that a PVH domain can start"),
    "4.17-nokernel": (OperationError, "kernel /tmp/nokernel: no such file or directory"),
    "4.17-dirkernel": (OperationError, "kernel /tmp/dir: it is not a file"),
    "4.17-noramdisk": (OperationError, "ramdisk /tmp/noramdisk: no such file or directory"),
    "4.17-hvmnodm": (
        OperationError,
        "the firmware of HVM domains cannot be read: no such file or directory",
    ),
    "4.17-memory": (NoMemory, "not enough memory: 99999 MiB asked"),
    "4.17-badloader": (
        OperationError,
        "boot loader pygrub: exited with error status 255; its log is /var/log/xen/bootloader.18.log",
    ),
    "4.17-pygrub": (
        OperationError,
        "boot loader pygrub: exited with error status 1; its log is /var/log/xen/bootloader.19.log",
    ),
    "4.17-nameinuse": (DomainExists, "the name holder is another domain's"),
    "4.17-badpool": (OperationError, "there is no CPU pool nopool"),
    "4.17-badpci": (
        Unsupported,
        "this host cannot give its devices to domains: it has no IOMMU that Xen uses",
    ),
    "4.17-toomanyvcpus": (InvalidConfig, "cpus.online: more virtual CPUs than a domain may have"),
    "4.17-badsyntax": (
        InvalidConfig,
        "xl does not understand the configuration: syntax error, unexpected NEWLINE, "
        "expecting STRING or NUMBER or '['",
    ),
    "4.17-badtype": (InvalidConfig, "type: 'pvx' is no type of domain that xl knows"),
    "4.17-savefull": (OperationError, "its state cannot be written: no space left on device"),
    "4.17-savenodir": (OperationError, "Failed to open temp file /nodir/x for writing"),
    "4.17-savecancel": (OperationError, "sending its state was stopped"),
    "4.17-savedeaf": (Unsupported, "its memory cannot be read: its kernel tells Xen nothing of it"),
    "4.17-dumpbad": (OperationError, "/nodir/one.core: no such file or directory"),
    "4.17-dumpfull": (OperationError, "its state cannot be written: no space left on device"),
    "4.17-restorebad": (OperationError, "not the saved state of a domain, as xl writes it"),
    "4.17-restorecut": (OperationError, "the saved state is cut off or damaged"),
    "4.17-restorenofile": (OperationError, "the saved state cannot be read: no such file or directory"),
    "4.17-migratefail": (
        OperationError,
        "the other host does not receive: the command that reaches it ended without a word",
    ),
    "4.17-migratenossh": (
        OperationError,
        "the other host does not receive: sh: 1: exec: /tmp/nothere: not found",
    ),
    "4.17-migratenoxl": (OperationError, "the other host does not receive: no such host"),
}
# Xen 4.20 says the same.
_ALSO_4_20 = (
    "backend badkernel badpool badvdev blockfail diskdir memory nobridge nodisk nokernel noramdisk savedeaf "
    "viffail vifnoscript"
)
FAILURES |= {f"4.20-{what}": FAILURES[f"4.17-{what}"] for what in _ALSO_4_20.split()}
FAILURES["4.20-badloader"] = (
    OperationError,
    "boot loader pygrub: exited with error status 255; its log is /var/log/xen/bootloader.13.log",
)
WELL = {"ok", "save", "restore", "migrate", "dump"}


def described(name: str) -> DomainDescription:
    if "pvh" in name:
        return DOMAIN._replace(type=DomainType.PVH)
    return LOADED if name.endswith(("badloader", "pygrub")) else DOMAIN


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_one_line_about_what_failed(name: str) -> None:
    said = (DATA / f"{name}.txt").read_text()
    error = cause(said, 3, described(name))
    assert (type(error), str(error)) == FAILURES[name]
    assert error.detail == said.strip()


def test_every_capture_is_looked_at() -> None:
    names = {path.stem for path in DATA.glob("*.txt")}
    assert {name for name in names if name.split("-")[1] not in WELL} == set(FAILURES)


@pytest.mark.parametrize("what", sorted(WELL))
def test_nothing_is_read_into_what_went_well(what: str) -> None:
    said = (DATA / f"4.17-{what}.txt").read_text()
    assert str(cause(said, -9, DOMAIN)) == "xl was ended by signal 9 and did not say why"
    assert str(cause(said, 2, None)) == "xl ended with status 2 and did not say why"


def test_what_is_overdue_is_named() -> None:
    said = (DATA / "4.17-vifhang.txt").read_text()
    begun = said[: said.index("forking to execute: /etc/xen/scripts/vif-hang online") + 60]
    error = overdue(begun, "xl create", 8, DOMAIN)
    assert str(error) == f"interface 0: its hotplug script {SCRIPTS}/vif-hang did not end within 8 s"
    assert error.detail == begun.strip()
    before = said[: said.index("calling hotplug script")]
    for text in (before, (DATA / "4.17-ok.txt").read_text(), ""):
        assert str(overdue(text, "xl create", 0.5, DOMAIN)) == "xl create did not end within 0.5 s"


def test_what_is_in_no_rule_is_told_as_xl_says_it() -> None:
    said = "libxl: error: libxl_new.c:1:libxl__new: Domain 7:Something   new\nxl: also this\n"
    assert str(cause(said, 3, None)) == "Something new"
    assert len(str(cause("x" * 10_000, 3, None))) == 300


@pytest.mark.parametrize(
    ("target", "number"), [("xvdb", 51728), ("xvdq", 268439552), ("hdc", 5632), ("sda1", 2049), ("odd", 7)]
)
def test_a_disk_is_named_as_the_guest_calls_it(target: str, number: int) -> None:
    said = (
        "libxl: debug: libxl_device.c:1285:device_hotplug: Domain 1:\tXENBUS_PATH: backend/vbd/1/"
        f"{number}\nlibxl: error: libxl_exec.c:117:libxl_report_child_exitstatus: /x/block add [5] exited with "
        "error status 1\n"
    )
    expected = "disk 7" if target == "odd" else f"disk {target}"
    error = cause(said, 3, DOMAIN._replace(disks=(Disk(target),)))
    assert str(error) == f"{expected}: its hotplug script /x/block exited with error status 1"
