"""Which Xen speaks which interface versions, and how that is known.

sysctl and domctl carry a version number in every call, and Xen answers EACCES to any number but its own. The
pair of numbers decides the layout of the structs (`structs`); it does not always tell the release (4.19 and
4.20 share one), so the release comes from XENVER_version.

How each row is known:

    compiler    sizes, offsets and numbers were printed by a C compiler from the release's public headers, and
                are kept as data under tests/data/layouts, which a test compares every table with
    documents   as the release's headers were read, not compiled by this project's tool; a struct is either
                the same in the compiled releases around it, or its change is told in `structs`

What does not change between two rows: everything in `structs` but physinfo (sysctl 0x15) and getdomaininfo
(domctl 0x14; on x86 its tail also at 0x13, without a change of size).

Calls that change something are allowed on rows of kind "compiler" only (`Interface.trusted`); reading is allowed on
all of them.
"""

from __future__ import annotations

from purevirt._typing import NamedTuple

__all__ = ["ARCHES", "RELEASES", "Interface", "interface_of", "interfaces_to_probe"]

ARCHES: tuple[str, ...] = ("x86_64", "arm64")


class Interface(NamedTuple):
    """One release's interface.

    `release` is (major, minor); `sysctl` and `domctl` are the versions it answers to; `verified` is
    "compiler", "documents", or "probed" for a release that is not in the table but answers to a pair that is;
    `arch` is "x86_64" or "arm64".
    """

    release: tuple[int, int]
    sysctl: int
    domctl: int
    verified: str
    arch: str = "x86_64"

    @property
    def trusted(self) -> bool:
        """Whether its structs are known well enough to change something with them."""
        return self.verified == "compiler"


# Source: xen/include/public/sysctl.h and domctl.h at the RELEASE tags.
RELEASES: tuple[Interface, ...] = (
    Interface((4, 14), 0x13, 0x12, "compiler"),
    Interface((4, 15), 0x13, 0x13, "documents"),
    Interface((4, 16), 0x14, 0x14, "documents"),
    Interface((4, 17), 0x15, 0x15, "compiler"),
    Interface((4, 18), 0x15, 0x16, "documents"),
    Interface((4, 19), 0x15, 0x17, "documents"),
    Interface((4, 20), 0x15, 0x17, "compiler"),
    Interface((4, 21), 0x16, 0x17, "documents"),
    Interface((4, 22), 0x16, 0x18, "documents"),
)


def interface_of(
    sysctl: int, domctl: int, release: tuple[int, int], arch: str = "x86_64"
) -> Interface | None:
    """The interface of a host that answers to this pair and says its release; None for an unknown pair."""
    rows = [row for row in RELEASES if (row.sysctl, row.domctl) == (sysctl, domctl)]
    if not rows:
        return None
    for row in rows:
        if row.release == release:
            return row._replace(arch=arch)
    return rows[-1]._replace(release=release, verified="probed", arch=arch)


def interfaces_to_probe(release: tuple[int, int]) -> list[Interface]:
    """In which order to ask: first what the release should speak, then the rest, newest to oldest."""
    own = [row for row in RELEASES if row.release == release]
    rest = [row for row in reversed(RELEASES) if row.release != release]
    return own + rest
