"""Users of the host, over the real sockets: a process without root looks, and changes nothing, whichever way it tries.

The process loads everything as root, since a stranger may not be able to read this checkout, and then gives up what it
is for good. Everything else is as for any user: the kernel says who it is.
"""

from __future__ import annotations

import asyncio
import grp
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import purevirt
from purevirt.daemons.xend.changes import CHANGES
from tests.daemons.xend.world import both

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users, which takes root")

GROUP = next((group for group in grp.getgrall() if group.gr_gid), None)
STRANGER, READER = 54321, 54322
DISK = "<disk><source file='/var/lib/xen/images/x.img'/><target dev='xvdb'/></disk>"

PLAY = r"""
import importlib, json, os, pkgutil, select, socket, struct, sys
import purevirt, purevirt.store
for module in pkgutil.walk_packages(purevirt.__path__, "purevirt."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from purevirt.wire.xenstore.packets import Decoder, Op, encode

root, uid, groups, changes = json.loads(sys.argv[1])
os.setgroups(groups)
os.setgid(uid)
os.setuid(uid)
told = {}


def talk(path, sent):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(root + path)
        sock.sendall(sent)
        got = b""
        while piece := sock.recv(65536):
            got += piece
        return got


def call(operation, arguments):
    body = json.dumps({"operation": operation, "domain": {"name": "test"}, "arguments": arguments}).encode()
    head = (
        "POST /purevirt/v1/call HTTP/1.1\r\nHost: x\r\nX-Forwarded-User: root\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    head, _, body = talk("/run/purevirt/xend.sock", head.encode() + body).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


with purevirt.open_read_only(f"xen:///?root={root}") as connection:
    told["listed"] = [(info.name, info.state.name, info.cpu_time_ns is not None) for info in connection.domain_infos()]
    domain = connection.lookup("test")
    told["library"] = {}
    for name, (method, arguments) in changes.items():
        try:
            told["library"][name] = repr(getattr(domain, method)(**arguments))
        except purevirt.XenError as error:
            told["library"][name] = error.kind
told["rpc"] = {name: call(name, arguments)[0] for name, (_, arguments) in changes.items()}
told["whoami"] = call("whoami", {})
form = b"POST /xend/domain/test HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n"
told["classic"] = {}
for op in ("op=pause", "op=unpause", "op=destroy", "op=shutdown&reason=poweroff"):
    sent = form + b"Content-Length: %d\r\n\r\n" % len(op) + op.encode()
    told["classic"][op] = int(talk("/run/purevirt/xend.sock", sent).split()[1])
told["doors"] = {}
for path in ("/var/run/xenstored/socket", "/dev/xen/privcmd", "/var/lib/xend/xend-socket"):
    try:
        talk(path, b"")
        told["doors"][path] = "open"
    except OSError as error:
        told["doors"][path] = error.errno
told["store"] = {}
with socket.socket(socket.AF_UNIX) as sock:
    sock.settimeout(10)
    sock.connect(root + "/run/purevirt/socket_ro")
    for op in Op:
        if op.name in ("WATCH_EVENT", "ERROR", "INVALID"):
            continue
        answers = []
        for payload in (b"/local/domain/1/name\0x", b"/local/domain/1/name\0", b"1\0", b"1\0" * 3):
            decoder = Decoder()
            sock.sendall(encode(op, 1, 0, payload))
            packets = []
            while not packets:
                packets = decoder.feed(sock.recv(65536))
            answers.append(packets[0].payload.rstrip(b"\0").decode() if packets[0].op == Op.ERROR else "answered")
        told["store"][op.name] = sorted(set(answers))
print(json.dumps(told))
"""

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "suspend": ("suspend", {}),
    "resume": ("resume", {}),
    "destroy": ("destroy", {}),
    "shutdown": ("shutdown", {"mode": "poweroff"}),
    "reboot": ("reboot", {}),
    "set_memory": ("set_memory", {"kib": 65536}),
    "set_max_memory": ("set_max_memory", {"kib": 65536}),
    "set_vcpus": ("set_vcpus", {"count": 1}),
    "pin_vcpu": ("pin_vcpu", {"vcpu": 0, "cpus": [0]}),
    "set_scheduler_parameters": ("set_scheduler_parameters", {"weight": 1}),
    "rename": ("rename", {"name": "mine"}),
    "attach_device": ("attach_device", {"device": DISK}),
    "detach_device": ("detach_device", {"device": DISK}),
    "update_device": ("update_device", {"device": DISK}),
    "send_sysrq": ("send_sysrq", {"key": "b"}),
    "inject_nmi": ("inject_nmi", {}),
    "send_trigger": ("send_trigger", {"trigger": "reset"}),
}


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory that every user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


async def become(root: Path, uid: int, groups: list[int]) -> dict[str, Any]:
    """What such a user could do."""
    source = str(Path(purevirt.__file__).parents[1])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PLAY,
        json.dumps([str(root), uid, groups, METHODS]),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": source, "PATH": "/usr/bin:/bin"},
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    told: dict[str, Any] = json.loads(out)
    return told


def test_every_change_is_tried_here() -> None:
    assert METHODS.keys() == CHANGES.keys()


@pytest.mark.parametrize("uid", [STRANGER, READER])
def test_what_a_user_without_root_can_do(root: Path, uid: int) -> None:
    if GROUP is None:
        pytest.skip("there is no group but root's")
    reader = uid == READER

    async def main() -> None:
        async with (
            asyncio.timeout(50),
            both(root, reader_group=GROUP.gr_name, read_only_store=True) as (host, daemon),
        ):
            before = await host.store.read_many(["/local/domain/1/name", "/local/domain/1/memory/target"])
            told = await become(root, uid, [GROUP.gr_gid] if reader else [])

            measured = ["RUNNING", True] if reader else ["NOSTATE", False]
            assert told["listed"] == [["Domain-0", *measured], ["test", *measured]]
            assert told["whoami"][1]["result"]["uid"] == uid
            assert told["whoami"][1]["result"]["role"] == ("reader" if reader else "none")
            assert set(told["library"].values()) == {"ReadOnly"}
            assert set(told["rpc"].values()) == {403}
            assert set(told["classic"].values()) == {403}
            assert set(told["doors"].values()) == {13}, told["doors"]  # EACCES
            for op in ("WRITE", "MKDIR", "RM", "SET_PERMS", "CONTROL", "INTRODUCE", "RELEASE", "RESUME"):
                assert told["store"][op] == ["EROFS"], op
            assert "answered" in told["store"]["READ"]

            (info,) = [one for one in await daemon.call("list_domains") if one.domid == 1]
            assert (info.name, info.state.name) == ("test", "RUNNING")
            assert before == await host.store.read_many(
                ["/local/domain/1/name", "/local/domain/1/memory/target"]
            )
            lines = daemon.audit()
            assert {line["operation"] for line in lines} >= METHODS.keys()
            for line in lines:
                assert (line["uid"], line["role"], line["result"]) == (
                    uid,
                    "reader" if reader else "none",
                    "denied",
                )

    asyncio.run(main())
