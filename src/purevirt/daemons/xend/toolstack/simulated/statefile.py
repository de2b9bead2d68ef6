"""The files of a simulated host's saved domains and core dumps: a line that says which of them it is, then JSON.

    purevirt simulated state 1
    {"xen": "4.17", "record": "…", "memory_kib": 131072, "vcpus": 2}

There is no memory in them: a simulated kernel has nothing to remember. `record` is libxl's record of the domain, as
`xl save` keeps it in its files; what the domain had when it was saved stands beside it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from purevirt.errors import ConfigError, OperationError, XenError
from purevirt.formats.libxl_json import parse
from purevirt.model import DomainInfo
from purevirt.model.description import DomainDescription

__all__ = ["State", "fresh", "read", "write_core", "write_state"]

_STATE = b"purevirt simulated state 1\n"
_CORE = b"purevirt simulated core 1\n"
_MOST = 16 << 20


class State(NamedTuple):
    """A saved domain: what it is, the Xen that it ran on, and what it had."""

    description: DomainDescription
    xen_version: str | None
    memory_kib: int
    vcpus: int

    def applied_to(self, description: DomainDescription) -> DomainDescription:
        """The description with what the domain had when it was saved, as far as that fits."""
        memory, cpus = description.memory, description.cpus
        most = memory.kib if memory.max_kib is None else memory.max_kib
        had = min(self.memory_kib, most)
        total = cpus.online if cpus.maximum is None else cpus.maximum
        online = min(max(self.vcpus, 1), total)
        return description._replace(
            memory=memory._replace(kib=had, max_kib=most if most != had else None),
            cpus=cpus._replace(online=online, maximum=total if total != online else None),
        )


def read(path: str) -> State:
    """ConfigError: it cannot be read, or is none."""
    try:
        with open(path, "rb") as file:
            head = file.read(len(_STATE))
            body = file.read(_MOST + 1) if head == _STATE else b""
    except OSError as error:
        raise ConfigError(f"{path}: {(error.strerror or str(error)).lower()}", file=path) from error
    if head != _STATE or len(body) > _MOST:
        raise ConfigError(f"{path}: it is no saved state of a simulated domain", file=path)
    try:
        values = json.loads(body)
        record, version = values["record"], values["xen"]
        memory, vcpus = values["memory_kib"], values["vcpus"]
        fit = isinstance(record, str) and isinstance(version, str)
        fit = fit and type(memory) is int and type(vcpus) is int and memory >= 0 <= vcpus
    except (ValueError, KeyError, TypeError, RecursionError):
        fit = False
    if not fit:
        raise ConfigError(f"{path}: the saved state in it is damaged", file=path)
    return State(parse(record, file=path).description, version, memory, vcpus)


def write_state(file: BinaryIO, domain: DomainInfo, record: str, xen: tuple[int, int]) -> None:
    """OSError."""
    _write(
        file,
        _STATE,
        {
            "xen": f"{xen[0]}.{xen[1]}",
            "record": record.rstrip("\0"),
            "memory_kib": domain.memory_kib,
            "vcpus": domain.vcpus,
        },
    )


def write_core(file: BinaryIO, domain: DomainInfo) -> None:
    """OSError."""
    _write(
        file,
        _CORE,
        {
            "domid": domain.domid,
            "uuid": str(domain.uuid),
            "name": domain.name,
            "memory_kib": domain.memory_kib,
            "vcpus": domain.vcpus,
        },
    )


def _write(file: BinaryIO, head: bytes, values: dict[str, Any]) -> None:
    file.write(head + json.dumps(values, indent=4).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def fresh(path: str, operation: str, domain: str) -> Iterator[BinaryIO]:
    """A new file, for root's eyes, that gets its name when all that is done with it has succeeded; else there is none.

    OperationError, also for what else is an OSError meanwhile: it cannot be written, or exists already.
    """
    part = f"{path}.part"
    try:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "it exists already", path)
        file = os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")
    except OSError as error:
        raise _failed(error, path, operation, domain) from error
    try:
        with file:
            yield file
        os.link(part, path)  # which fails, as `rename` would not, if there is one by now
    except XenError:  # of which some are OSErrors
        raise
    except OSError as error:
        raise _failed(error, path, operation, domain) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(part)


def _failed(error: OSError, path: str, operation: str, domain: str) -> OperationError:
    words = (error.strerror or str(error)).lower()
    return OperationError(
        f"{operation}: {path}: {words}", operation=operation, domain=domain, path=path, errno=error.errno
    )
