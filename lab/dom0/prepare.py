"""Turns a freshly mounted root into a working Domain 0: what an init system and Xen's own scripts would do.

Runs inside Domain 0, on its Python's standard library, called by the agent before it answers anybody. Each
step prints a line on the console, so that a boot that gets stuck shows where.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

XEN_BIN = next(iter(sorted(Path("/usr/lib").glob("xen-*/bin"))), Path("/usr/sbin"))
BRIDGE = "xenbr0"
BRIDGE_ADDRESS = "10.77.0.1/24"

_started = time.monotonic()


def say(text: str) -> None:
    """A line on the console, with the seconds since the agent began."""
    print(f"LAB {time.monotonic() - _started:6.2f} {text}", flush=True)


def prepare(config: dict[str, str]) -> None:
    """All steps. `config` is the agent's configuration; `store` in it chooses the XenStore daemon."""
    mount_filesystems()
    modprobe("xen-evtchn", "xen-gntdev", "xen-gntalloc", "xenfs", "xen-privcmd")
    mount("xenfs", "/proc/xen", "xenfs")
    start_xenstore(config["store"])
    bring_up_network()
    start_xen_services()
    modprobe("xen-netback", "xen-blkback", "loop", "bridge")
    make_bridge()
    if config.get("share"):
        mount("share", "/share", "9p", "trans=virtio,version=9p2000.L,msize=262144,ro")
    say("prepared")


def mount(source: str, target: str, kind: str, options: str = "") -> None:
    """mount(8), made harmless where the target is already mounted; creates the target."""
    if os.path.ismount(target):
        return
    os.makedirs(target, exist_ok=True)
    run("mount", "-n", "-t", kind, *(["-o", options] if options else []), source, target)


def mount_filesystems() -> None:
    """The kernel's filesystems, tmpfs on /run and /tmp, and the links that udev would make."""
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")
    mount("devtmpfs", "/dev", "devtmpfs")
    mount("devpts", "/dev/pts", "devpts", "gid=5,mode=620,ptmxmode=666")
    mount("shm", "/dev/shm", "tmpfs", "mode=1777")
    mount("run", "/run", "tmpfs", "mode=755")
    mount("tmp", "/tmp", "tmpfs", "mode=1777")
    # Without /dev/fd the block hotplug script spins for 40 seconds and fails.
    for link, target in (
        ("fd", "self/fd"),
        ("stdin", "self/fd/0"),
        ("stdout", "self/fd/1"),
        ("stderr", "self/fd/2"),
    ):
        if not os.path.lexists(f"/dev/{link}"):
            os.symlink(f"/proc/{target}", f"/dev/{link}")
    for directory in ("/run/xen", "/run/xenstored", "/var/log/xen/console", "/var/lib/xen", "/run/lock"):
        os.makedirs(directory, exist_ok=True)
    socket.sethostname("lab")
    Path("/etc/hosts").write_text("127.0.0.1 localhost lab\n")
    with open("/etc/xen/xl.conf", "a") as settings:
        settings.write('\nautoballoon="off"\n')
    say("filesystems")


def start_xenstore(store: str) -> None:
    """Start oxenstored or xenstored and introduce Domain 0 to it."""
    daemon = [str(XEN_BIN / store)]
    if store == "xenstored":
        daemon += ["--pid-file", "/run/xen/xenstored.pid"]
        subprocess.run(daemon, check=True, stdin=subprocess.DEVNULL)
    else:
        start([*daemon, "--no-fork"], store)
    wait_for_socket("/run/xenstored/socket")
    run(str(XEN_BIN / "xen-init-dom0"))  # it hangs without a store, so it has a deadline
    say(f"{store} and xen-init-dom0")


def start_xen_services() -> None:
    """xenconsoled, which also writes each guest's console to /var/log/xen/console/guest-NAME.log."""
    start(
        [str(XEN_BIN / "xenconsoled"), "--interactive", "--log=guest", "--log-dir=/var/log/xen/console"],
        "xenconsoled",
    )
    say("xenconsoled")


def bring_up_network() -> None:
    """QEMU's user network, which lets nothing out but the agent's answers."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "address", "add", "10.0.2.15/24", "dev", "eth0")
    say("network")


def make_bridge() -> None:
    """A bridge for guests' interfaces; Domain 0 has an address on it, so guests can be pinged."""
    run("ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0")
    run("ip", "address", "add", BRIDGE_ADDRESS, "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def modprobe(*names: str) -> None:
    """Load modules; a name that is built in is no error."""
    run("modprobe", "-a", *names)
    say(f"modules {' '.join(names)}")


def run(*argv: str, timeout: float = 60) -> None:
    """Run a step to its end; what it says goes to the console. Raises when it fails or takes too long."""
    subprocess.run(argv, check=True, timeout=timeout, stdin=subprocess.DEVNULL)


def start(argv: list[str], name: str) -> None:
    """Start a daemon that stays in the foreground; what it says goes to /var/log/lab-NAME.log."""
    with open(f"/var/log/lab-{name}.log", "ab") as log:
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)


def wait_for_socket(path: str, timeout: float = 60) -> None:
    """Wait until somebody accepts connections at `path`."""
    deadline = time.monotonic() + timeout
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            try:
                client.connect(path)
            except OSError:
                if time.monotonic() > deadline:
                    raise
            else:
                return
        time.sleep(0.05)
