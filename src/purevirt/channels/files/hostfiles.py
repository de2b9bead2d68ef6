"""Everything that the files of one host tell. What reads /sys is loaded when needed: a listing needs /proc alone."""

from __future__ import annotations

import os

from purevirt._typing import TYPE_CHECKING
from purevirt.channels.files import procfs

if TYPE_CHECKING:
    from purevirt.channels.files.procfs import CpuModel
    from purevirt.channels.files.sysfs import BlockCounters, InterfaceCounters, XenVersion

__all__ = ["HostFiles"]


class HostFiles:
    """The files of the host below `root` ("" on a real one). Nothing is kept: every call reads again.

    Each method may raise ChannelUnavailable (a file may not be read) and RemoteProtocolError (it makes no
    sense).
    """

    __slots__ = ("root",)

    def __init__(self, root: str = "") -> None:
        self.root = root

    # --- is this Xen, and which

    def is_control_domain(self) -> bool | None:
        """Whether this kernel runs as the control domain; None where xenfs is not mounted."""
        text = procfs.capabilities(self.root)
        return None if text is None else "control_d" in text.split()

    def hypervisor_type(self) -> str | None:
        """ "xen", on Xen."""
        from purevirt.channels.files import sysfs

        return sysfs.hypervisor_text(self.root, "type")

    def hypervisor_uuid(self) -> str | None:
        """This domain's UUID; all zeros in Domain 0."""
        from purevirt.channels.files import sysfs

        return sysfs.hypervisor_text(self.root, "uuid")

    def guest_type(self) -> str | None:
        """How this kernel runs: "PV", "HVM" or "PVH"; since Linux 4.13."""
        from purevirt.channels.files import sysfs

        return sysfs.hypervisor_text(self.root, "guest_type")

    def hypervisor_version(self) -> XenVersion | None:
        """Xen's version."""
        from purevirt.channels.files import sysfs

        return sysfs.hypervisor_version(self.root)

    def property(self, name: str) -> str | None:
        """/sys/hypervisor/properties: capabilities, changeset, features, pagesize, virtual_start.

        The last three are hexadecimal. `buildid` is the bytes themselves, and so no text: ask the hypervisor.
        """
        from purevirt.channels.files import sysfs

        return sysfs.hypervisor_text(self.root, f"properties/{name}")

    def compilation(self, name: str) -> str | None:
        """/sys/hypervisor/compilation: compiler, compiled_by, compile_date."""
        from purevirt.channels.files import sysfs

        return sysfs.hypervisor_text(self.root, f"compilation/{name}")

    # --- the machine

    def hostname(self) -> str:
        """Domain 0's name for itself."""
        return procfs.kernel_text(self.root, "hostname") or os.uname().nodename

    def machine(self) -> str:
        """The kernel's architecture: "x86_64", "aarch64"."""
        return procfs.kernel_text(self.root, "arch") or os.uname().machine

    def cpu(self) -> CpuModel:
        """What the first CPU is called, and its MHz, as Domain 0's kernel sees it."""
        return procfs.cpu_model(self.root)

    def device_model(self, version: str) -> str | None:
        """The path of the device model that is installed for Xen `version` ("4.17"); None: none was found."""
        from purevirt.channels.files import installed

        return installed.find(self.root, installed.DEVICE_MODELS, version)

    def hvm_loader(self, version: str) -> str | None:
        """The path of hvmloader, what every HVM guest boots from first."""
        from purevirt.channels.files import installed

        return installed.find(self.root, installed.HVM_LOADERS, version)

    def ovmf(self, version: str) -> str | None:
        """The path of the UEFI firmware for HVM guests."""
        from purevirt.channels.files import installed

        return installed.find(self.root, installed.OVMF, version)

    # --- libxl

    def libxl_record(self, domid: int, uuid: str) -> str | None:
        """What libxl keeps of a running domain, JSON; None if it keeps nothing. For root's eyes."""
        from purevirt.channels.files import libxl

        return libxl.record(self.root, domid, uuid)

    # --- counters

    def block_counters(self, domid: int, number: int) -> BlockCounters | None:
        """Of the disk `number` (51712 is xvda) of a domain; None if no backend in this kernel serves it."""
        from purevirt.channels.files import sysfs

        return sysfs.block_counters(self.root, domid, number)

    def interface_counters(self, name: str) -> InterfaceCounters | None:
        """Of an interface of this kernel, as vif1.0: Domain 0's side, so its rx is what the guest sent.

        From sysfs, or from /proc/net/dev where sysfs does not show it; None if neither does.
        """
        from purevirt.channels.files import sysfs

        found = sysfs.interface_counters(self.root, name)
        return procfs.interface_counters(self.root).get(name) if found is None else found

    def all_interface_counters(self) -> dict[str, InterfaceCounters]:
        """Of every interface, by name, from one file: for whoever asks about many."""
        return procfs.interface_counters(self.root)
