"""What of Xen's own is installed in Domain 0: the device model, and what HVM guests boot from.

libxl has these paths compiled in and tells them to nobody, so what is looked for is where Xen's own build puts them,
and where distributions do. A later Xen may be installed beside the one that runs: files of the running one come first.

Sources: Xen's configure options (--libexecdir, --with-system-qemu, --with-system-ovmf), and the packages of Debian,
Fedora and Alpine.
"""

from __future__ import annotations

import os

__all__ = ["DEVICE_MODELS", "HVM_LOADERS", "OVMF", "find"]

DEVICE_MODELS: tuple[str, ...] = (
    "/usr/lib/xen/bin/qemu-system-i386",
    "/usr/libexec/xen/bin/qemu-system-i386",
    "/usr/libexec/xen-qemu-system-i386",
    "/usr/bin/qemu-system-i386",
)
HVM_LOADERS: tuple[str, ...] = (
    "/usr/lib/xen-{version}/boot/hvmloader",
    "/usr/lib/xen/boot/hvmloader",
    "/usr/libexec/xen/boot/hvmloader",
)
OVMF: tuple[str, ...] = (
    "/usr/lib/xen-{version}/boot/ovmf.bin",
    "/usr/lib/xen/boot/ovmf.bin",
    "/usr/libexec/xen/boot/ovmf.bin",
    "/usr/share/ovmf/OVMF.fd",
)
"""`{version}` is the running Xen's ("4.17"); the first that is there counts."""


def find(root: str, paths: tuple[str, ...], version: str) -> str | None:
    """The first of these files that is there, below `root`; as Domain 0 calls it."""
    named = (path.format(version=version) for path in paths)
    return next((path for path in named if os.path.isfile(root + path)), None)
