"""On a real Xen: purevirt's words beside xl's and xenstore-ls's."""

from __future__ import annotations

import json
import re

import lab

from .conftest import Guests


def xl_list(dom0: lab.Host) -> dict[str, list[str]]:
    """Name -> [id, memory MiB, vCPUs, state, CPU seconds] as `xl list` prints them."""
    rows = {}
    for line in dom0.run(["xl", "list"]).stdout.splitlines()[1:]:
        name, *fields = line.rsplit(maxsplit=5)
        rows[name.strip()] = fields
    return rows


def test_list_says_what_xl_list_says(dom0: lab.Host, guests: Guests) -> None:
    """Field by field. CPU time grows between the two commands, and a running domain may have blocked."""
    before = xl_list(dom0)
    ours = {info["name"]: info for info in json.loads(dom0.purevirt(["list", "--json"]).stdout)}
    after = xl_list(dom0)
    assert set(ours) == set(before) == set(after)
    for name, info in ours.items():
        domid, memory, vcpus, _, seconds = before[name]
        assert info["domid"] == int(domid)
        assert (info["memory_kib"] + info["outstanding_kib"]) // 1024 == int(memory)
        assert info["vcpus"] == int(vcpus)
        assert re.fullmatch(r"[r-][b-]----", info["flags"])
        assert float(seconds) - 0.1 <= info["cpu_time_ns"] / 1e9 <= float(after[name][4]) + 0.1


def test_a_paused_domain_is_paused(dom0: lab.Host) -> None:
    (name,) = dom0.create_mini_guests(1, paused=True, prefix="paused")
    try:
        assert dom0.purevirt(["domstate", name]).stdout.strip() == "paused"
        dom0.run(["xl", "unpause", name])
        assert dom0.purevirt(["domstate", name]).stdout.strip() in ("running", "idle")
    finally:
        dom0.run(["xl", "destroy", name])
    gone = dom0.purevirt(["domstate", name], check=False)
    assert (gone.status, gone.stdout) == (3, "")
    assert gone.stderr == f"purevirt: no domain has the id, name or UUID '{name}'\n"


def test_a_rename_is_seen_by_an_open_connection(dom0: lab.Host) -> None:
    (name,) = dom0.create_mini_guests(1, paused=True, prefix="renamed")
    script = f"""
import subprocess, purevirt
with purevirt.open() as host:
    for _ in range(3):
        assert {name!r} in [info.name for info in host.domain_infos()]
    subprocess.run(["xl", "rename", {name!r}, "another-name"], check=True)
    names = [info.name for info in host.domain_infos()]
    assert "another-name" in names and {name!r} not in names, names
"""
    try:
        dom0.python(["-c", script])
    finally:
        dom0.run(["sh", "-c", f"xl destroy another-name || xl destroy {name}"])


def test_the_store_tree_is_what_xenstore_ls_prints(dom0: lab.Host, guests: Guests) -> None:
    home = f"/local/domain/{guests.pv.domid}"
    theirs = {}
    for line in dom0.run(["xenstore-ls", "-f", home]).stdout.splitlines():
        path, _, value = line.partition(" = ")
        theirs[path] = value.strip('"')
    ours = json.loads(dom0.purevirt(["store", "tree", "--json", home]).stdout)
    assert {path for path in ours if path != home} == set(theirs)
    for path, value in theirs.items():
        assert ours[path] == value.encode().decode("unicode_escape")


def test_version_and_node_are_xl_infos(dom0: lab.Host) -> None:
    rows = (line.partition(":") for line in dom0.run(["xl", "info"]).stdout.splitlines())
    info = {key.strip(): value.strip() for key, _, value in rows}
    version = json.loads(dom0.purevirt(["version", "--json"]).stdout)["hypervisor"]
    assert f"{version['major']}.{version['minor']}{version['extra']}" == info["xen_version"]
    assert version["verified"] == "compiler"
    node = json.loads(dom0.purevirt(["nodeinfo", "--json"]).stdout)
    assert node["cpus"] == int(info["nr_cpus"])
    assert node["memory_kib"] // 1024 == int(info["total_memory"])
    assert (node["cores"], node["threads"]) == (int(info["cores_per_socket"]), int(info["threads_per_core"]))
    free = json.loads(dom0.purevirt(["freecell", "--json"]).stdout)["free_kib"]
    assert free // 1024 == int(info["free_memory"])


def test_a_user_without_root_is_told_what_is_missing(dom0: lab.Host) -> None:
    refused = dom0.purevirt(["list"], check=False, user="nobody")
    assert (refused.status, refused.stdout) == (5, "")
    assert "hypercalls need root" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    read_only = dom0.purevirt(["-r", "list"], check=False, user="nobody")
    assert (read_only.status, read_only.stdout) == (5, "")
    assert "no read-only Xen Store socket" in read_only.stderr


def test_list_all_says_that_definitions_are_unknown(dom0: lab.Host, guests: Guests) -> None:
    listed = dom0.purevirt(["list", "--all", "--name"])
    assert guests.pv.name in listed.stdout.splitlines()
    assert "inactive domains are not known" in listed.stderr


def test_the_kernels_xenbus_device_serves_the_store(dom0: lab.Host, guests: Guests) -> None:
    script = f"""
import asyncio, purevirt.store
def check(value): assert value == {guests.pv.name!r}, value
path = "/local/domain/{guests.pv.domid}/name"
with purevirt.store.open("/dev/xen/xenbus") as store:
    check(store.read(path))
    assert "0" in store.list("/local/domain")
async def main():
    async with await purevirt.store.open_async("/dev/xen/xenbus") as store:
        check(await store.read(path))
asyncio.run(main())
"""
    dom0.python(["-c", script])
