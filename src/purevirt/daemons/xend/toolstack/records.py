"""What libxl keeps of a domain on disk: /var/lib/xen/userdata-KIND.DOMID.UUID.NAME, its configuration among them.

libxl removes the files when it destroys the domain; who destroys it without libxl has to do the same, or they stay
until somebody wonders what they are.

Source: userdata_path and libxl__userdata_destroyall in libxl_dom.c.
"""

from __future__ import annotations

import contextlib
import os

from purevirt.channels.files.libxl import record_path
from purevirt.model import DomainInfo
from purevirt.model.domain import uuid_of

__all__ = ["DIRECTORY", "beside", "forget", "move", "replace", "write"]

DIRECTORY = "/var/lib/xen"


def beside(path: str, letter: str, name: str) -> str:
    """Another file of the domain whose configuration is at `path`: userdata-LETTER.DOMID.UUID.NAME."""
    directory, _, file = path.rpartition("/")
    middle = file.removeprefix("userdata-d.").removesuffix(".libxl-json")
    return f"{directory}/userdata-{letter}.{middle}.{name}"


def replace(path: str, text: str) -> None:
    """Keep a configuration, whole or not at all, for root's eyes. OSError."""
    fresh = beside(path, "n", "libxl-json")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
    os.replace(fresh, path)


def write(root: str, domid: int, uuid: str, text: str) -> None:
    """Keep the configuration of a domain that is new, where there may be no directory for it yet. OSError."""
    path = record_path(root, domid, uuid)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    replace(path, text)


def move(domain: DomainInfo, handle: bytes, root: str) -> None:
    """Keep the records of a domain that has another handle from now on under that one."""
    assert domain.domid is not None
    old = record_path(root, domain.domid, str(domain.uuid))
    with contextlib.suppress(FileNotFoundError):
        os.replace(old, record_path(root, domain.domid, str(uuid_of(handle))))


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
