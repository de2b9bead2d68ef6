"""procfs: whether this is Domain 0, what its CPUs are called, and all interfaces' counters in one file.

Sources: Linux, drivers/xen/xenfs/super.c; Documentation/filesystems/proc.rst.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING, NamedTuple
from purevirt.channels.files.reading import read_text, unreadable

if TYPE_CHECKING:
    from purevirt.channels.files.sysfs import InterfaceCounters

__all__ = [
    "NET_DEV_HEAD",
    "CpuModel",
    "capabilities",
    "cpu_model",
    "interface_counters",
    "kernel_text",
    "parse_cpuinfo",
    "parse_net_dev",
]

NET_DEV_HEAD = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls \
carrier compressed
"""


class CpuModel(NamedTuple):
    """The first CPU: what it calls itself, its clock in MHz, and x86's twelve letters for who made it ("GenuineIntel").
    None: the kernel does not say, as for arm64's MHz."""

    model: str | None
    mhz: float | None
    vendor: str | None = None


def capabilities(root: str) -> str | None:
    """/proc/xen/capabilities: "control_d" in Domain 0, empty in a guest, None where xenfs is not mounted."""
    return read_text(f"{root}/proc/xen/capabilities")


def kernel_text(root: str, name: str) -> str | None:
    """One file below /proc/sys/kernel ("hostname")."""
    return read_text(f"{root}/proc/sys/kernel/{name}")


def cpu_model(root: str) -> CpuModel:
    """From /proc/cpuinfo."""
    path = f"{root}/proc/cpuinfo"
    text = read_text(path)
    return CpuModel(None, None) if text is None else parse_cpuinfo(text, path)


def parse_cpuinfo(text: str, path: str) -> CpuModel:
    """The first CPU's paragraph. arm64 names the model by two numbers, which are given as they are."""
    values: dict[str, str] = {}
    for line in text.partition("\n\n")[0].splitlines():
        key, colon, value = line.partition(":")
        if colon:
            values.setdefault(key.strip(), value.strip())
    model = values.get("model name")
    if model is None and "CPU implementer" in values and "CPU part" in values:
        model = f"ARM implementer {values['CPU implementer']} part {values['CPU part']}"
    mhz = values.get("cpu MHz")
    if mhz is None:
        return CpuModel(model, None, values.get("vendor_id"))
    if not mhz.replace(".", "", 1).isdecimal() or not mhz.isascii():
        raise unreadable(path, f"cpu MHz is {mhz[:40]!r}")
    return CpuModel(model, float(mhz), values.get("vendor_id"))


def interface_counters(root: str) -> dict[str, InterfaceCounters]:
    """Every interface of this network namespace, by name; empty if there is no /proc/net/dev."""
    path = f"{root}/proc/net/dev"
    text = read_text(path)
    return {} if text is None else parse_net_dev(text, path)


def parse_net_dev(text: str, path: str) -> dict[str, InterfaceCounters]:
    """Two lines of heading, then for each interface its name, eight numbers received and eight transmitted."""
    from purevirt.channels.files.sysfs import InterfaceCounters

    found: dict[str, InterfaceCounters] = {}
    for line in text.split("\n")[2:]:
        name, _, rest = line.partition(":")
        numbers = rest.split()
        if len(numbers) != 16 or not all(n.isascii() and n.isdigit() and len(n) <= 20 for n in numbers):
            raise unreadable(path, f"a line reads {line[:60]!r}")
        values = [int(number) for number in numbers]
        found[name.strip()] = InterfaceCounters(*values[0:4], *values[8:12])
    return found
