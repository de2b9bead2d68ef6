"""Devices added and taken away, where something goes wrong: guests that never answer or hold on, callers that may not,
scripts that fail or hang, a record that somebody else has locked. The host is simulated; scripts and locks are real.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import purevirt
from purevirt import testing
from purevirt.channels.files.libxl import record_path
from purevirt.channels.xenstore.client import StoreClient
from purevirt.daemons.xend.toolstack import hotplug
from purevirt.daemons.xend.toolstack.base import Host
from purevirt.errors import Denied, InvalidConfig, OperationError, Timeout, WrongState
from tests.daemons.xend.world import ADMIN, OPERATOR, both

IMAGE = "/var/lib/xen/images/more.img"
DISK = f"<disk><source file='{IMAGE}'/><target dev='xvdb'/></disk>"


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host() as made:
        yield made


@pytest.fixture
def connection(host: testing.Host) -> Iterator[purevirt.Connection]:
    with purevirt.open(host.uri) as opened:
        yield opened


def device_nodes(connection: purevirt.Connection, domid: int) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for path in ("/libxl", "/local/domain/0/backend", f"/local/domain/{domid}/device"):
        found.update(connection.store.tree(path))
    return {path: value for path, value in found.items() if path.count("/") > 5}


def record(host: testing.Host, domain: purevirt.Domain) -> dict[str, Any]:
    text = Path(record_path(host.root, domain.id() or 0, str(domain.uuid))).read_text()
    found: dict[str, Any] = json.loads(text.rstrip("\0"))
    return found


def test_libxls_record_is_kept_in_step(host: testing.Host, connection: purevirt.Connection) -> None:
    domain = connection.lookup_by_name("test")
    before = record(host, domain)
    domain.attach_disk(IMAGE, "xvdb")
    domain.attach_interface("xenbr0", mac="00:16:3e:00:00:01", rate="10Mb/s")
    after = record(host, domain)
    assert after.pop("disks") == [
        *before["disks"],
        {"pdev_path": IMAGE, "vdev": "xvdb", "format": "raw", "readwrite": 1},
    ]
    assert after.pop("nics") == [
        *before["nics"],
        {
            "devid": 1,
            "mac": "00:16:3e:00:00:01",
            "bridge": "xenbr0",
            "nictype": "vif",
            "rate_bytes_per_interval": 62500,
            "rate_interval_usecs": 50000,
        },
    ]
    assert after == {key: value for key, value in before.items() if key not in ("disks", "nics")}
    directory = os.path.dirname(record_path(host.root, 1, str(domain.uuid)))
    assert not [name for name in os.listdir(directory) if not name.startswith("userdata-d.")]


def test_a_record_that_somebody_has_locked_is_waited_for(
    host: testing.Host, connection: purevirt.Connection
) -> None:
    domain = connection.lookup_by_name("test")
    path = record_path(host.root, 1, str(domain.uuid)).replace("userdata-d.", "userdata-l.")
    path = path.replace("libxl-json", "domain-userdata-lock")
    before = device_nodes(connection, 1)
    with open(path, "w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with pytest.raises(Timeout, match="holds libxl's lock of domain test"):
            domain.attach_disk(IMAGE, "xvdb", timeout=0.3)
        assert device_nodes(connection, 1) == before
        os.unlink(path)  # as libxl does when it lets go: whoever waits finds out
    domain.attach_disk(IMAGE, "xvdb")
    assert not os.path.exists(path)


def test_a_guest_that_never_answers_gets_nothing(host: testing.Host, connection: purevirt.Connection) -> None:
    host.create_domain("deaf", pv_drivers=False)
    domain = connection.lookup_by_name("deaf")
    domid = domain.id()
    assert domid is not None
    before = device_nodes(connection, domid), record(host, domain)
    for text, form in ((DISK, "xml"), ("bridge=xenbr0", "xl-vif")):
        with pytest.raises(Timeout) as caught:
            domain.attach_device(text, format=form, timeout=0.4)
        words = str(caught.value)
        said = r"its guest did not connect it within 0\.\d+ s: the backend is InitWait \(2\), the frontend"
        assert re.search(said, words)  # so long was left of the time
        assert words.endswith("Initialising (1); it was taken away again")
        assert (caught.value.operation, caught.value.domain) == ("attach_device", "deaf")
    assert (device_nodes(connection, domid), record(host, domain)) == before


def test_a_paused_domain_finds_the_device_when_it_runs(
    host: testing.Host, connection: purevirt.Connection
) -> None:
    domain = connection.lookup_by_name("test")
    domain.suspend()
    domain.attach_disk(IMAGE, "xvdb")
    assert [disk.connected for disk in domain.block_devices()] == [True, False]
    domain.detach_disk("xvdb")  # which it has never taken up
    with pytest.raises(WrongState, match="the domain is paused, and its guest cannot let go"):
        domain.detach_disk("xvda")
    domain.attach_disk(IMAGE, "xvdb")
    domain.resume()
    path = "/local/domain/1/device/vbd/51728/state"
    with connection.store.watch(path) as events:
        while connection.store.read(path) != "4":
            assert events.next(10) is not None


def test_a_guest_that_does_not_let_go_keeps_it_unless_forced(
    host: testing.Host, connection: purevirt.Connection
) -> None:
    domain = connection.lookup_by_name("test")
    host.hold_devices("test")
    before = device_nodes(connection, 1)
    with pytest.raises(Timeout) as caught:
        domain.detach_disk("xvda", timeout=0.3)
    words = str(caught.value)
    assert "disk xvda of domain test: its guest did not let go of it within 0.3 s" in words
    assert "the backend is Closing (5), the frontend Connected (4)" in words
    assert "(16 Device in use; refusing to close); it is still attached" in words
    assert device_nodes(connection, 1) == before
    assert domain.block_devices()[0].connected
    domain.detach_disk("xvda", force=True)
    assert domain.block_devices() == ()


def test_what_an_operator_may_give(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            await xend.call("suspend", "test", by=OPERATOR)
            outside = DISK.replace(IMAGE, "/etc/shadow")
            around = DISK.replace(IMAGE, "/var/lib/xen/images/../../../../etc/shadow")
            os.makedirs(tmp_path / "var/lib/xen/images")
            os.symlink(tmp_path / "etc", tmp_path / "var/lib/xen/images/link")
            linked = DISK.replace(IMAGE, "/var/lib/xen/images/link/shadow")
            for text in (outside, around, linked, DISK.replace("file=", "dev=").replace(IMAGE, "/dev/sda")):
                with pytest.raises(Denied, match="takes the role admin"):
                    await xend.call("attach_device", "test", by=OPERATOR, device=text)
            for text, form in (
                (f"vdev=xvdb,script=block-evil,target={IMAGE}", "xl-disk"),
                (f"vdev=xvdb,backend=storage,target={IMAGE}", "xl-disk"),
                ("script=/tmp/evil", "xl-vif"),
            ):
                with pytest.raises(Denied, match="takes the role admin"):
                    await xend.call("attach_device", "test", by=OPERATOR, device=text, format=form)
            assert [line["result"] for line in xend.audit()][-1] == "denied"
            made = await _attached(host.store, xend, DISK)
            assert made.name == "xvdb"
            with pytest.raises(InvalidConfig, match="must be text of at most 65536 characters"):
                await xend.call("attach_device", "test", by=ADMIN, device="x" * 70000)

    asyncio.run(main())


def test_where_an_operators_files_may_be_is_a_setting(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path, roots=("/srv",)) as (host, xend):
            await xend.call("suspend", "test", by=OPERATOR)
            with pytest.raises(Denied, match="which is not below /srv, takes the role admin"):
                await xend.call("attach_device", "test", by=OPERATOR, device=DISK)
            xend.service.apply(xend.service.settings._replace(roots=()))
            with pytest.raises(Denied, match="which is not below any directory for that, takes"):
                await xend.call("attach_device", "test", by=OPERATOR, device=DISK)
            xend.service.apply(xend.service.settings._replace(roots=(os.path.dirname(IMAGE),)))
            assert (await _attached(host.store, xend, DISK)).name == "xvdb"

    asyncio.run(main())


async def _attached(store: StoreClient, xend: Any, text: str) -> Any:
    """Attach, with the backend's part played: it gets ready."""
    path = "/local/domain/0/backend/vbd/1/51728"

    async def be_ready() -> None:
        watcher = await store.open_watcher()
        try:
            await watcher.add(path)
            while await watcher.next(10) is not None and not await store.exists(f"{path}/state"):
                pass
            await store.write(f"{path}/state", "2")
        finally:
            await watcher.close()

    driver = asyncio.create_task(be_ready())
    made = await xend.call("attach_device", "test", by=OPERATOR, device=text)
    await driver
    return made


# --- scripts ------------------------------------------------------------------------------------------------

BACKEND = "/local/domain/0/backend/vbd/1/51712"

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root's files are trusted")


def bring_up(
    tmp_path: Path, body: str | None, seconds: float = 20.0, nodes: dict[str, str] | None = None
) -> None:
    """Run a script for the disk of a domain, whose backend has these nodes."""
    script = tmp_path / "script"
    if body is not None:
        script.write_text(f"#!/bin/sh\n{body}\n")
        script.chmod(0o755)

    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, _):
            await host.store.write_many(
                [
                    (f"{BACKEND}/{key}", value)
                    for key, value in {"script": str(script), **(nodes or {})}.items()
                ]
            )
            real = cast(Host, SimpleNamespace(root="", store=host.store))
            await hotplug.bring_up(real, BACKEND, "disk xvda", seconds)

    asyncio.run(main())


@root_only
def test_a_script_is_told_what_libxl_tells_it(tmp_path: Path) -> None:
    bring_up(tmp_path, f'{{ echo "$0 $*"; env | sort; pwd; }} > {tmp_path}/told')
    told = (tmp_path / "told").read_text().splitlines()
    assert told[0] == f"{tmp_path}/script add"
    assert [line for line in told if line.startswith(("XENBUS", "script"))] == [
        "XENBUS_BASE_PATH=backend",
        "XENBUS_PATH=backend/vbd/1/51712",
        "XENBUS_TYPE=vbd",
        f"script={tmp_path}/script",
    ]
    assert told[-1] == "/"


@root_only
@pytest.mark.parametrize(
    ("body", "nodes", "words"),
    [
        ("echo first; echo no such thing >&2; exit 1", {}, "failed: no such thing"),
        ("exit 3", {}, "failed: it ended with status 3"),
        (
            "exit 1",
            {"hotplug-error": "Device /x is mounted\nelsewhere."},
            "failed: Device /x is mounted elsewhere.",
        ),
        (
            "exit 0",
            {"hotplug-status": "error", "hotplug-error": "not found"},
            "failed: not found",
        ),
        (None, {}, "does not exist"),
    ],
)
def test_a_script_that_fails_says_why(
    tmp_path: Path, body: str | None, nodes: dict[str, str], words: str
) -> None:
    with pytest.raises(
        OperationError, match=f"^disk xvda: its hotplug script {tmp_path}/script {words}$"
    ) as caught:
        bring_up(tmp_path, body, nodes=nodes)
    assert caught.value.path == f"{tmp_path}/script"


@root_only
def test_a_script_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(Timeout, match=r"did not end within 0\.5 s") as caught:
        bring_up(tmp_path, f"echo begun\nsleep 1000 & echo $! > {tmp_path}/child\nwait", 0.5)
    assert caught.value.path == f"{tmp_path}/script"
    child = int((tmp_path / "child").read_text())
    stat = Path(f"/proc/{child}/stat")
    assert not stat.exists() or stat.read_text().split()[2] == "Z"


@root_only
def test_a_script_that_others_may_write_is_not_run(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    script.chmod(0o777)
    with pytest.raises(OperationError, match="is not a program that only root may write"):
        bring_up(tmp_path, None)
    assert not (tmp_path / "ran").exists()
