"""What libxl keeps of a domain on disk: /var/lib/xen/userdata-KIND.DOMID.UUID.NAME, its configuration among them.

libxl removes the files when it destroys the domain; who destroys it without libxl has to do the same, or they stay
until somebody wonders what they are.

Source: userdata_path and libxl__userdata_destroyall in libxl_dom.c.
"""

from __future__ import annotations

import contextlib
import os

from purevirt.model import DomainInfo

__all__ = ["DIRECTORY", "forget"]

DIRECTORY = "/var/lib/xen"


def forget(domain: DomainInfo, root: str) -> None:
    """Remove the files of a domain that is gone. No error if there are none, or somebody else removes them."""
    middle = f".{domain.domid}.{domain.uuid}."
    try:
        names = os.listdir(root + DIRECTORY)
    except OSError:
        return
    for name in names:
        if name.startswith("userdata-") and name[len("userdata-") + 1 :].startswith(middle):
            with contextlib.suppress(OSError):
                os.unlink(f"{root}{DIRECTORY}/{name}")
