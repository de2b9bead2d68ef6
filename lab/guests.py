"""Guests for Domain 0: real Linux ones, PV and PVH, and a kernel of a few bytes of which 50 run at once.

The Linux guests run Debian's kernel and an initramfs of busybox (lab/guest/init.sh). They read and write
their disk a little, ping Domain 0, say GUEST-UP on their console and answer control/shutdown. The mini guests
(lab/mini.S) just exist.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import LabError, say

if TYPE_CHECKING:
    from lab.host import Host

KERNEL = "/boot/guest-kernel"
RAMDISK = "/lab/guest.cpio"
MINI_KERNEL = "/lab/mini.elf"
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Guest:
    """What `create` makes.

    A disk is a size in MiB (an empty file is made), the path of a raw file or block device, or a whole xl
    disk specification (anything with a comma or `=`). A vif is an xl vif specification, such as
    `bridge=xenbr0`.
    """

    name: str
    kind: str = "pv"
    disks: tuple[str | int, ...] = ()
    vifs: tuple[str, ...] = ()
    memory: int = 96
    vcpus: int = 1

    def xl_config(self) -> str:
        """The text of its xl.cfg. Strings are written as JSON, which xl's parser reads alike."""
        # The first interface gets an address that Domain 0's bridge can reach.
        address = f" lab.ip=10.77.0.{2 + sum(self.name.encode()) % 250}/24" if self.vifs else ""
        settings: dict[str, object] = {
            "name": self.name,
            "type": self.kind,
            "kernel": KERNEL,
            "ramdisk": RAMDISK,
            "extra": f"console=hvc0 quiet loglevel=3 mitigations=off random.trust_cpu=on{address}",
            "memory": self.memory,
            "vcpus": self.vcpus,
            "disk": [self.disk_spec(index, disk) for index, disk in enumerate(self.disks)],
            "vif": list(self.vifs),
            "on_crash": "preserve",
        }
        return "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())

    def disk_spec(self, index: int, disk: str | int) -> str:
        """One entry of xl's `disk` list; the first disk is xvda."""
        if isinstance(disk, str) and ("," in disk or "=" in disk):
            return disk
        return f"format=raw,vdev=xvd{'abcdefgh'[index]},access=rw,target={self.disk_path(index, disk)}"

    def disk_path(self, index: int, disk: str | int) -> str:
        """Where the file behind a disk is, in Domain 0."""
        return f"/tmp/{self.name}-{index}.img" if isinstance(disk, int) else disk


def create(host: Host, guest: Guest, *, paused: bool, timeout: float) -> int:
    """Write /etc/xen/NAME.cfg, make the files of its disks, call `xl create`; returns the domid.

    The console's log begins anew, so that `wait_until_up` hears of no earlier guest of that name.

    It is created paused, so that its id is known before anything can happen to it: under emulation a PVH guest
    triple-faults now and then as it begins to boot, and while `xl` starts it again its name belongs to nobody.
    """
    if guest.kind not in ("pv", "pvh") or not _NAME.fullmatch(guest.name):
        raise LabError(f"cannot create a guest of kind {guest.kind!r} with the name {guest.name!r}")
    sizes = [
        f"{disk}M {guest.disk_path(index, disk)}"
        for index, disk in enumerate(guest.disks)
        if isinstance(disk, int)
    ]
    script = """
        name=$1 run=$2
        cat > /etc/xen/$name.cfg
        shift 2
        for disk; do truncate -s $disk; done
        rm -f /var/log/xen/console/guest-$name.log
        xl create -q -p /etc/xen/$name.cfg >&2
        domid=$(xl domid $name)
        [ -z "$run" ] || xl unpause $domid
        echo $domid
    """
    argv = ["sh", "-euc", script, "sh", guest.name, "" if paused else "run", *sizes]
    return int(host.run(argv, input=guest.xl_config(), timeout=timeout).stdout)


def wait_until_up(host: Host, name: str, timeout: float) -> str:
    """Wait for GUEST-UP in the log that xenconsoled keeps of a guest's console; returns the log."""
    script = 'until grep -q GUEST-UP "$1" 2>/dev/null; do sleep 0.2; done; cat "$1"'
    log = f"/var/log/xen/console/guest-{name}.log"
    try:
        return host.shell(script, log, timeout=timeout).stdout
    except LabError as error:
        seen = host.shell(
            f"tail -n 30 {log} 2>&1; xl list; tail -n 20 /var/log/xen/xl-{name}.log", check=False
        )
        raise LabError(f"the guest {name} does not come up: {error}\n{seen.stdout}{seen.stderr}") from error


def create_minis(
    host: Host, count: int, *, paused: bool, by: str, prefix: str, timeout: float
) -> dict[str, int]:
    """Create mini guests PREFIX1 … PREFIXn, by `xl` (two at a time, for two processors) or `virsh`."""
    names = [f"{prefix}{index}" for index in range(1, count + 1)]
    if by == "xl":
        _minis_by_xl(host, names, paused, timeout)
    elif by == "libvirt":
        _minis_by_libvirt(host, names, paused, timeout)
    else:
        raise LabError(f"cannot create mini guests by {by!r}; there are xl and libvirt")
    listing = host.run(["xl", "list"], timeout=120).stdout
    domids = {fields[0]: int(fields[1]) for fields in map(str.split, listing.splitlines()[1:])}
    missing = [name for name in names if name not in domids]
    if missing:
        raise LabError(f"of {count} mini guests {len(missing)} are missing: {', '.join(missing)}")
    return {name: domids[name] for name in names}


def _minis_by_xl(host: Host, names: Sequence[str], paused: bool, timeout: float) -> None:
    # -e: no process of xl stays behind to wait for the domain's end. /usr/sbin/xl is a shell script, its
    # target not.
    script = """
        xl=$(echo /usr/lib/xen-*/bin/xl)
        mkdir -p /tmp/mini
        for name; do
            printf 'name="%s"\\ntype="pv"\\nkernel="%s"\\nmemory=4\\n' $name $kernel > /tmp/mini/$name.cfg
        done
        export xl
        create='$xl create -q -e $paused /tmp/mini/NAME.cfg && echo NAME'
        printf '%s\\n' "$@" | xargs -P 2 -I NAME sh -c "$create"
    """
    env = {"paused": "-p" if paused else "", "kernel": MINI_KERNEL}
    argv = ["sh", "-euc", script, "sh", *names]
    host.run(argv, env=env, timeout=timeout, on_output=_progress(len(names)))


def _minis_by_libvirt(host: Host, names: Sequence[str], paused: bool, timeout: float) -> None:
    host.start_libvirtd()
    script = """
        mkdir -p /tmp/mini
        for name; do
            {
                printf "<domain type='xen'><name>%s</name><memory unit='MiB'>4</memory><vcpu>1</vcpu>" $name
                printf "<os><type arch='x86_64' machine='xenpv'>linux</type><kernel>%s</kernel></os>" $kernel
                echo "</domain>"
            } > /tmp/mini/$name.xml
            echo "create /tmp/mini/$name.xml $paused"
        done > /tmp/mini/commands
        virsh -q -c xen:/// < /tmp/mini/commands
    """
    env = {"paused": "--paused" if paused else "", "kernel": MINI_KERNEL}
    argv = ["sh", "-euc", script, "sh", *names]
    host.run(argv, env=env, timeout=timeout, on_output=_progress(len(names)))


def _progress(count: int) -> Callable[[bytes, bytes], None]:
    """Say now and then how many guests there are; both ways of creating print a line for each."""
    made = 0

    def on_output(kind: bytes, data: bytes) -> None:
        nonlocal made
        before = made
        made += data.count(b"\n") if kind == b"O" else 0
        if made // 10 > before // 10:
            say(f"{made} of {count} mini guests")

    return on_output
