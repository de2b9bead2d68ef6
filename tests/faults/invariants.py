"""What must be true of a host whenever a daemon has come back and nothing is under way: memory and host agree."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Collection
from typing import Any

import purevirt
from tests.faults.daemon import Lives

__all__ = ["violations"]


def violations(lives: Lives, paused: Collection[str] = ()) -> list[str]:
    """What is wrong, in words, and stays so: a guest that was asked to shut down may do it while one looks.

    `paused` are the UUIDs of domains that somebody may have had paused.
    """
    found: list[str] = []
    for _ in range(3):
        lives.settled()
        found = _violations(lives, paused)
        if not found:
            break
    return found


def _violations(lives: Lives, paused: Collection[str]) -> list[str]:
    found: list[str] = []
    infos = [info for info in lives.call("list_domains") if info["domid"] != 0]
    definitions = {known["uuid"]: known for known in lives.call("list_definitions")}
    supervised = lives.supervised()
    found += [
        f"{uuid} is there {count} times"
        for uuid, count in Counter(i["uuid"] for i in infos).items()
        if count > 1
    ]
    for info in infos:
        name = info["name"]
        row = supervised.get(info["uuid"])
        if name is None:
            found.append(f"domain {info['domid']} has no name")
        if name == "test" or (name or "").startswith("web-"):
            continue  # made by others; or put aside by a policy
        if row is None:
            found.append(f"nobody answers for domain {name}")
        elif row["domid"] != info["domid"] or row["phase"] not in ("running", "kept"):
            found.append(f"domain {name} ({info['domid']}) is {dict(row)} to the daemon")
        if "p" in info["flags"] and not info["cpu_time_ns"]:
            found.append(f"domain {name} is half made: paused, and never ran")
        elif "p" in info["flags"] and info["uuid"] not in paused:
            found.append(f"domain {name} is paused, and nobody asked for that")
        if info["reason"] == "suspend":
            found.append(f"domain {name} is suspended, and nobody saves it")
        known = definitions.get(info["uuid"])
        if known is not None and known["managed_save"]:
            found.append(f"domain {name} runs, and has a saved state")
    there = {info["uuid"] for info in infos}
    found += [
        f"the daemon answers for {uuid}, which is not there" for uuid in supervised if uuid not in there
    ]
    files = {os.path.basename(path) for path in glob.glob(f"{lives.root}/var/lib/purevirt/save/*")}
    wanted = {f"{uuid}.save" for uuid, known in definitions.items() if known["managed_save"]}
    if files != wanted:
        found.append(f"managed saves are {sorted(files)}, and should be {sorted(wanted)}")
    found += [f"{path} is left" for path in glob.glob(f"{lives.root}/**/*.part", recursive=True)]
    for job in lives.call("jobs"):
        if job["state"] == "running":
            found.append(f"job {job['id']} is not resolved")
        if job["state"] == "interrupted" and not job["message"]:
            found.append(f"nothing is said of job {job['id']}")
    return found + _left(lives, {info["domid"] for info in infos}, there) + _lost(lives, infos)


def _lost(lives: Lives, infos: list[dict[str, Any]]) -> list[str]:
    """Devices of domains that are there, and have them no more: each end of them, as libxl's record of it says."""
    found = []
    with purevirt.open(lives.host.uri) as connection:
        store = connection.store
        for info in infos:
            domid, name = info["domid"], info["name"]
            if not _children(store, f"/libxl/{domid}/device"):
                found.append(f"domain {name} has lost its devices")
            for kind in ("vbd", "vif"):
                recorded = set(_children(store, f"/libxl/{domid}/device/{kind}"))
                for end in (
                    f"/local/domain/{domid}/device/{kind}",
                    f"/local/domain/0/backend/{kind}/{domid}",
                ):
                    if set(_children(store, end)) != recorded:
                        found.append(f"domain {name}: {end} has {_children(store, end)}, not {recorded}")
    return found


def _left(lives: Lives, domids: set[int], uuids: set[str]) -> list[str]:
    """Nodes and files of domains that are not there."""
    found = []
    with purevirt.open(lives.host.uri) as connection:
        store = connection.store
        for path, known in (
            ("/local/domain", {str(domid) for domid in domids} | {"0"}),
            ("/libxl", {str(domid) for domid in domids}),
            ("/vm", uuids | {"00000000-0000-0000-0000-000000000000"}),
            ("/local/domain/0/backend/vbd", {str(domid) for domid in domids}),
            ("/local/domain/0/backend/vif", {str(domid) for domid in domids}),
        ):
            found += [f"{path}/{name} is left" for name in _children(store, path) if name not in known]
    for path in glob.glob(f"{lives.root}/var/lib/xen/userdata-*"):
        if int(os.path.basename(path).split(".")[1]) not in {*domids, 0}:
            found.append(f"{os.path.basename(path)} is left")
    return found


def _children(store: Any, path: str) -> list[str]:
    try:
        return list(store.list(path))
    except purevirt.errors.NoSuchNode:
        return []
