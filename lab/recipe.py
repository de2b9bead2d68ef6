"""What a Domain 0 is made of, and where the made thing is kept.

A recipe is data: the Xen version, the Debian suite it comes from, the packages. Its key is a hash of that
data and of the code that turns it into an image, so that a changed recipe makes a new image beside the old
one and never a stale mixture. `image` builds what is described here.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.errors import LabError

#: The files whose text decides what an image contains.
_SOURCES = ("recipe.py", "apt.py", "image.py", "kernel.py", "cpio.py", "mini.S")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A Domain 0: `xen` is the version's short name, `suite` the Debian release that ships it."""

    xen: str
    suite: str
    packages: tuple[str, ...]

    @property
    def key(self) -> str:
        """The name of this recipe's directory in the cache, for example `xen-4.17-1f0c…`."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode())
        for name in _SOURCES:
            digest.update(Path(__file__).with_name(name).read_bytes())
        return f"xen-{self.xen}-{digest.hexdigest()[:12]}"


#: What every Domain 0 holds besides Xen itself. The second half is for the benchmarks' peers.
_COMMON = (
    "xenstore-utils",
    "linux-image-amd64",
    "kmod",
    "iproute2",
    "busybox-static",
    "python3",
    "util-linux",
    "mount",
    "procps",
    "libvirt-daemon",
    "libvirt-daemon-driver-xen",
    "libvirt-clients",
    "python3-libvirt",
)

RECIPES = {
    "4.17": Recipe("4.17", "bookworm", ("xen-hypervisor-4.17-amd64", "xen-utils-4.17", *_COMMON)),
    "4.20": Recipe("4.20", "trixie", ("xen-hypervisor-4.20-amd64", "xen-utils-4.20", *_COMMON)),
}


def find(xen: str) -> Recipe:
    """The recipe of a Xen version; raises LabError for one the lab does not know."""
    try:
        return RECIPES[xen]
    except KeyError:
        raise LabError(f"no recipe for Xen {xen}; the lab knows {', '.join(RECIPES)}") from None


def cache_dir() -> Path:
    """`$PUREVIRT_LAB_CACHE`, or `~/.cache/purevirt/lab`. Nothing of the lab is written anywhere else."""
    configured = os.environ.get("PUREVIRT_LAB_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "purevirt" / "lab"
