"""The files that a simulated Domain 0's kernel shows, below a directory.

`channels.files` reads what is written here. Each file is replaced whole, by a rename, since a reader may come
at any time; a real kernel never shows half a number either. That is also why files that say the same may be one file
with many names: a device that comes has nearly twenty, and all of them are new names of two.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from uuid import uuid4

from purevirt.channels.files.procfs import NET_DEV_HEAD
from purevirt.channels.files.sysfs import (
    BLOCK_FILES,
    INTERFACE_FILES,
    block_statistics,
    interface_statistics,
    is_interface_name,
)
from purevirt.host.hypervisor import Hypervisor

__all__ = ["Dom0Files", "write_boot_id"]


def write_boot_id(root: str) -> None:
    """Each boot of a host has its own."""
    path = Path(f"{root}/proc/sys/kernel/random/boot_id")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{uuid4()}\n", encoding="ascii")


class Dom0Files:
    """The files of one simulated host, which lives below `root`."""

    def __init__(self, root: str, hypervisor: Hypervisor, *, hostname: str = "simulated") -> None:
        self.root = root
        self._spec = hypervisor.spec
        self._hostname = hostname
        self._vbds: dict[tuple[int, int], dict[str, int]] = {}
        self._vifs: dict[str, dict[str, int]] = {}
        self._net_dev: dict[str, str] = {}  # the line of each interface

    def write(self) -> None:
        """What is there from boot on. OSError if it cannot be written."""
        spec = self._spec
        write_boot_id(self.root)
        major, minor = spec.xen
        machine = {"x86_64": "x86_64", "arm64": "aarch64"}[spec.arch]
        texts = {
            "proc/xen/capabilities": "control_d",
            "proc/sys/kernel/hostname": self._hostname,
            "proc/sys/kernel/arch": machine,
            "proc/cpuinfo": _cpuinfo(spec.arch, spec.cpus, spec.cpu_khz),
            "sys/hypervisor/type": "xen",
            "sys/hypervisor/uuid": "00000000-0000-0000-0000-000000000000",
            "sys/hypervisor/guest_type": "PV" if spec.arch == "x86_64" else "Xen",
            "sys/hypervisor/version/major": str(major),
            "sys/hypervisor/version/minor": str(minor),
            "sys/hypervisor/version/extra": spec.extraversion,
            "sys/hypervisor/properties/capabilities": spec.capabilities,
            "sys/hypervisor/properties/changeset": spec.changeset,
            "sys/hypervisor/properties/features": f"{spec.features:08x}",
            "sys/hypervisor/properties/pagesize": "1000",
            "sys/hypervisor/properties/virtual_start": f"{spec.virt_start:x}",
            "sys/hypervisor/compilation/compiler": spec.compiled.compiler,
            "sys/hypervisor/compilation/compiled_by": spec.compiled.compile_by,
            "sys/hypervisor/compilation/compile_date": spec.compiled.compile_date,
        }
        for name, text in texts.items():
            self._put(os.path.join(self.root, name), text)
        self._write_net_dev()

    # --- block backends

    def add_vbd(self, domid: int, number: int) -> None:
        """A block backend comes, all its counters zero."""
        self._vbds[domid, number] = dict.fromkeys(BLOCK_FILES, 0)
        directory = block_statistics(self.root, domid, number)
        self._put_same(directory, BLOCK_FILES, "0")
        directory = os.path.dirname(directory)
        self._put_same(directory, ("devtype",), "vbd")
        self._put(f"{directory}/nodename", f"backend/vbd/{domid}/{number}")

    def set_vbd(self, domid: int, number: int, **counters: int) -> None:
        """Set counters by the kernel's names; the others stay. KeyError: no such backend, or counter."""
        values = self._vbds[domid, number]
        _update(values, counters)
        directory = block_statistics(self.root, domid, number)
        for name in counters:
            self._put(f"{directory}/{name}", str(values[name]))

    def remove_vbd(self, domid: int, number: int) -> None:
        """The backend goes; no error if it is not there."""
        self._vbds.pop((domid, number), None)
        shutil.rmtree(os.path.dirname(block_statistics(self.root, domid, number)), ignore_errors=True)

    # --- network backends

    def add_vif(self, domid: int, number: int, name: str | None = None) -> None:
        """A network backend comes, all its counters zero. `name` is the interface's, vifDOMID.NUMBER if None."""
        name = name or f"vif{domid}.{number}"
        if not is_interface_name(name):
            raise ValueError(f"{name!r} is no interface name")
        self._vifs[name] = dict.fromkeys(INTERFACE_FILES, 0)
        self._put_same(interface_statistics(self.root, name), INTERFACE_FILES, "0")
        self._count(name)
        self._write_net_dev()

    def set_vif(self, domid: int, number: int, name: str | None = None, **counters: int) -> None:
        """Set counters, of Domain 0's side (rx: the guest sent it); the others stay. KeyError as for `set_vbd`."""
        name = name or f"vif{domid}.{number}"
        _update(self._vifs[name], counters)
        directory = interface_statistics(self.root, name)
        for file in counters:
            self._put(f"{directory}/{file}", str(self._vifs[name][file]))
        self._count(name)
        self._write_net_dev()

    def remove_vif(self, domid: int, number: int, name: str | None = None) -> None:
        """The backend goes; no error if it is not there."""
        name = name or f"vif{domid}.{number}"
        if self._vifs.pop(name, None) is not None:
            del self._net_dev[name]
            shutil.rmtree(os.path.dirname(interface_statistics(self.root, name)), ignore_errors=True)
            self._write_net_dev()

    # --- inside

    def _count(self, name: str) -> None:
        """Put together the line of an interface in /proc/net/dev."""
        v = list(self._vifs[name].values())
        received, sent = " ".join(map(str, v[:4])), " ".join(map(str, v[4:]))
        self._net_dev[name] = f"{name:>6}: {received} 0 0 0 0 {sent} 0 0 0 0\n"

    def _write_net_dev(self) -> None:
        text = NET_DEV_HEAD + "".join(self._net_dev.values())
        self._put(f"{self.root}/proc/net/dev", text.rstrip("\n"))

    def _put_same(self, directory: str, names: tuple[str, ...], text: str) -> None:
        """Files that all say `text`: names of one that is never written to."""
        os.makedirs(directory, exist_ok=True)
        one = f"{self.root}/sys/devices/.{text}"
        for name in names:
            path = f"{directory}/{name}"
            try:
                os.link(one, path)
            except OSError:
                # There is none yet; or it has as many names as it can have; or a device of that name was left here.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                self._put(one, text)
                os.link(one, path)

    def _put(self, path: str, text: str) -> None:
        temporary = f"{path}.new"
        try:
            file = open(temporary, "w", encoding="utf-8")  # noqa: SIM115 - closed below, opened twice at most
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            file = open(temporary, "w", encoding="utf-8")  # noqa: SIM115
        try:
            with file:
                file.write(text + "\n")
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def _update(values: dict[str, int], counters: dict[str, int]) -> None:
    unknown = counters.keys() - values.keys()
    if unknown:
        raise KeyError(f"no such counter: {', '.join(sorted(unknown))}")
    values.update(counters)


def _cpuinfo(arch: str, cpus: int, khz: int) -> str:
    if arch == "arm64":
        body = "BogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd08\n"
    else:
        body = f"vendor_id\t: GenuineIntel\nmodel name\t: Simulated CPU\ncpu MHz\t\t: {khz / 1000:.3f}\n"
    return "\n".join(f"processor\t: {cpu}\n{body}" for cpu in range(cpus))
