"""Hypercalls through the kernel: an ioctl on /dev/xen/privcmd.

    struct privcmd_hypercall { __u64 op; __u64 arg[5]; };
    #define IOCTL_PRIVCMD_HYPERCALL  _IOC(_IOC_NONE, 'P', 0, sizeof(struct privcmd_hypercall))

The kernel passes the six words on as they are, so addresses in them, and in the structs they point to, must
be of memory that Xen can reach: the `arena`. A hypercall does not wait for anything but the hypervisor
itself, so this one transport serves blocking callers and event loops alike, and ignores timeouts.

Source: Linux, include/uapi/xen/privcmd.h.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import struct
from _thread import allocate_lock  # threading.Lock, without the import of threading

from purevirt.channels.hypercall.arena import Arena
from purevirt.channels.hypercall.transport import CHANNEL, WHAT
from purevirt.channels.unix import explain, fork_generation
from purevirt.errors import Closed, ConnectError, LocalProtocolError
from purevirt.wire.hypercall.values import Answer, Hypercall

__all__ = ["PrivcmdTransport"]

IOCTL_PRIVCMD_HYPERCALL = 0x305000

_ARCHES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
_WORDS = struct.Struct("=6Q")
_ABSENT = (errno.ENOENT, errno.ENXIO, errno.ENODEV)


class PrivcmdTransport:
    """The hypervisor that this kernel runs on. Threads may share it; a fork's child may not use it."""

    __slots__ = ("_arena", "_device", "_generation", "_lock", "arch", "base", "capacity")

    def __init__(self, device: io.FileIO, arena: Arena, arch: str) -> None:
        self._device = device  # an object, so that one that nobody closes is closed with a ResourceWarning
        self._arena = arena
        self._lock = allocate_lock()
        self._generation = fork_generation()
        self.arch = arch
        self.base = arena.base
        self.capacity = arena.capacity

    @classmethod
    def open(cls, root: str = "") -> PrivcmdTransport:
        """Open the device below `root`. ConnectError keeps errno and path."""
        machine = os.uname().machine
        arch = _ARCHES.get(machine)
        if arch is None:
            raise ConnectError(
                f"no hypercalls from {machine}: their structs are known for x86_64 and arm64",
                operation="open",
                channel=CHANNEL,
            )
        device = _open(root)
        try:
            arena = Arena(f"{root}/dev/xen/hypercall")
        except OSError as error:
            device.close()
            raise ConnectError(
                f"no memory for hypercalls: {error.strerror}",
                operation="open",
                channel=CHANNEL,
                errno=error.errno,
            ) from error
        return cls(device, arena, arch)

    async def call(self, hypercall: Hypercall, timeout: float | None) -> Answer:
        op, args, extents = hypercall
        if len(args) > 5:
            raise LocalProtocolError("a hypercall has at most 5 arguments", channel=CHANNEL)
        words = bytearray(_WORDS.pack(op, *args, *(0,) * (5 - len(args))))
        # Looked at before the lock: a lock that another thread of the parent held stays locked in the child.
        self._check()
        arena = self._arena
        with self._lock:
            if self._device.closed:
                raise Closed(f"the connection to {WHAT} is closed", channel=CHANNEL)
            for address, data in extents:
                arena.put(address, data)
            try:
                value = fcntl.ioctl(self._device, IOCTL_PRIVCMD_HYPERCALL, words, True)
            except OSError as error:
                value = -(error.errno or errno.EIO)
            return Answer(value, tuple([arena.get(address, len(data)) for address, data in extents]))

    def close(self) -> None:
        if self._generation != fork_generation():
            self._device.close()  # the parent goes on with its own
            return
        with self._lock:
            if not self._device.closed:
                self._device.close()
                self._arena.close()

    def _check(self) -> None:
        if self._generation != fork_generation():
            raise Closed(
                f"this connection to {WHAT} was made before a fork: open another one in the child",
                channel=CHANNEL,
            )


def _open(root: str) -> io.FileIO:
    path = f"{root}/dev/xen/privcmd"
    try:
        return io.FileIO(path, "r+")
    except OSError as error:
        first = error
    if first.errno in _ABSENT:
        try:
            return io.FileIO(f"{root}/proc/xen/privcmd", "r+")
        except OSError as error:
            if error.errno not in _ABSENT:
                path, first = f"{root}/proc/xen/privcmd", error
    raise explain(first, path, what=WHAT, channel=CHANNEL, hint="hypercalls need root") from first
