"""libvirtd in Domain 0, as a peer for benchmarks.

Debian's needs help there: its QEMU driver refuses to start and takes the daemon with it, its socket wants
polkit, and Xen under emulation offers neither `sep` nor `vme`, which its CPU models for capabilities ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.errors import LabError

if TYPE_CHECKING:
    from lab.host import Host

_SETUP = """
drivers=$(echo /usr/lib/*/libvirt/connection-driver)
mkdir -p /root/unused-drivers /etc/libvirt /var/lib/libvirt /run/libvirt
for driver in "$drivers"/*_qemu.so; do if [ -e "$driver" ]; then mv "$driver" /root/unused-drivers/; fi; done
printf 'auth_unix_%s = "none"\\n' rw ro > /etc/libvirt/libvirtd.conf
for model in kvm64 qemu64; do
    sed -i -e "/feature name='sep'/d" -e "/feature name='vme'/d" /usr/share/libvirt/cpu_map/x86_$model.xml
done
"""
_WAIT = """
until virsh -c xen:/// list >/dev/null 2>&1; do
    if ! kill -0 "$1" 2>/dev/null; then echo "libvirtd ended" >&2; exit 1; fi
    sleep 0.5
done
"""


def start(host: Host, timeout: float) -> None:
    """Start libvirtd and wait for its Xen driver; does nothing where it already answers."""
    if host.run(["virsh", "-c", "xen:///", "list"], check=False).status == 0:
        return
    host.shell(_SETUP)
    daemon = host.spawn(["libvirtd"])
    done = host.shell(_WAIT, str(daemon.pid), timeout=timeout, check=False)
    if done.status != 0:
        raise LabError(f"libvirtd does not start: {daemon.output()}")
