"""The kernel's files: as they are, missing, and making no sense."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.channels.files import HostFiles, procfs
from purevirt.channels.files.procfs import CpuModel
from purevirt.channels.files.sysfs import (
    BLOCK_FILES,
    INTERFACE_FILES,
    BlockCounters,
    InterfaceCounters,
    is_interface_name,
)
from purevirt.errors import ChannelUnavailable, RemoteProtocolError

# As a kernel prints them.
CPUINFO = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) CPU @ 2.20GHz
cpu MHz\t\t: 2199.998
flags\t\t: fpu de tsc msr

processor\t: 1
model name\t: another
cpu MHz\t\t: 1.000
"""
ARM_CPUINFO = (
    "processor\t: 0\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nModel\t\t: A board\n"
)
NET_DEV = """\
Inter-|   Receive          |  Transmit
 face |bytes    packets …  |bytes    packets …
    lo:    1024      12    0    0    0     0     0    0     1024      12    0    0    0     0    0    0
vif7.0:1111 22 3 4 0 0 0 0 5555 66 7 8 0 0 0 0
"""


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def block(root: Path, **values: str) -> None:
    for name, text in values.items():
        put(root, f"sys/bus/xen-backend/devices/vbd-7-51712/statistics/{name}", text)


def interface(root: Path, **values: str) -> None:
    for name, text in values.items():
        put(root, f"sys/class/net/vif7.0/statistics/{name}", text)


def test_a_machine_without_xen_has_no_figures(tmp_path: Path) -> None:
    files = HostFiles(str(tmp_path))
    assert files.is_control_domain() is None
    assert files.hypervisor_type() is None
    assert files.hypervisor_version() is None
    assert files.cpu() == CpuModel(None, None)
    assert files.block_counters(7, 51712) is None
    assert files.interface_counters("vif7.0") is None
    assert files.all_interface_counters() == {}
    assert files.hostname() == os.uname().nodename
    assert files.machine() == os.uname().machine


@pytest.mark.parametrize(
    ("text", "control"),
    [("control_d\n", True), ("", False), ("other_d control_d\n", True), ("control_domain\n", False)],
)
def test_the_control_domain_knows_that_it_is(tmp_path: Path, text: str, control: bool) -> None:
    put(tmp_path, "proc/xen/capabilities", text)
    assert HostFiles(str(tmp_path)).is_control_domain() is control


def test_a_version_may_lack_its_extra(tmp_path: Path) -> None:
    put(tmp_path, "sys/hypervisor/version/major", "4\n")
    put(tmp_path, "sys/hypervisor/version/minor", "17\n")
    assert HostFiles(str(tmp_path)).hypervisor_version() == (4, 17, "")


def test_cpus_of_both_architectures() -> None:
    assert procfs.parse_cpuinfo(CPUINFO, "f") == ("Intel(R) Xeon(R) CPU @ 2.20GHz", 2199.998, "GenuineIntel")
    assert procfs.parse_cpuinfo(ARM_CPUINFO, "f") == ("ARM implementer 0x41 part 0xd08", None, None)


def test_block_counters_are_in_the_kernels_units(tmp_path: Path) -> None:
    block(tmp_path, **{name: f"{number}\n" for number, name in enumerate(BLOCK_FILES, 1)})
    found = HostFiles(str(tmp_path)).block_counters(7, 51712)
    assert found == BlockCounters(1, 2, 3, 4, 5, 6, 7)
    assert (found.rd_bytes, found.wr_bytes) == (1536, 2048)


def test_an_older_kernel_counts_less(tmp_path: Path) -> None:
    block(tmp_path, rd_req="1", wr_req="2", rd_sect="3", wr_sect="4", oo_req="0")
    assert HostFiles(str(tmp_path)).block_counters(7, 51712) == (1, 2, 3, 4, None, None, 0)


def test_a_disk_that_vanishes_halfway_has_no_counters(tmp_path: Path) -> None:
    block(tmp_path, rd_req="1", wr_req="2")
    assert HostFiles(str(tmp_path)).block_counters(7, 51712) is None


@pytest.mark.parametrize("text", ["", "many", "-1", "1 2", "0x10", "१", "9" * 21])
def test_a_counter_that_is_no_number_is_an_error_with_its_path(tmp_path: Path, text: str) -> None:
    block(tmp_path, **dict.fromkeys(BLOCK_FILES, "1"))
    block(tmp_path, wr_sect=text)
    with pytest.raises(RemoteProtocolError, match="makes no sense") as caught:
        HostFiles(str(tmp_path)).block_counters(7, 51712)
    assert (caught.value.path or "").endswith("/statistics/wr_sect")
    assert caught.value.channel == "files"


def test_interface_counters_come_from_sysfs_first(tmp_path: Path) -> None:
    put(tmp_path, "proc/net/dev", NET_DEV)
    files = HostFiles(str(tmp_path))
    fallback = InterfaceCounters(1111, 22, 3, 4, 5555, 66, 7, 8)
    assert files.interface_counters("vif7.0") == fallback
    interface(tmp_path, **{name: str(number) for number, name in enumerate(INTERFACE_FILES)})
    assert files.interface_counters("vif7.0") == tuple(range(8))
    assert files.all_interface_counters()["vif7.0"] == fallback
    assert files.interface_counters("vif8.0") is None


def test_the_guests_side_is_the_other_one() -> None:
    assert InterfaceCounters(1, 2, 3, 4, 5, 6, 7, 8).swapped() == (5, 6, 7, 8, 1, 2, 3, 4)


def test_an_interface_with_half_its_counters_makes_no_sense(tmp_path: Path) -> None:
    interface(tmp_path, rx_bytes="1", tx_bytes="2")
    with pytest.raises(RemoteProtocolError, match="some counters are missing"):
        HostFiles(str(tmp_path)).interface_counters("vif7.0")


def test_a_name_that_no_interface_has_is_not_looked_for(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/secret/statistics/rx_bytes", "1")
    for name in ("../secret", "..", "", "a" * 16, "a b", "a:0"):
        assert not is_interface_name(name)
        assert HostFiles(str(tmp_path)).interface_counters(name) is None


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "proc" / "cpuinfo").mkdir(parents=True)  # opens, and does not read: EISDIR
    with pytest.raises(ChannelUnavailable) as caught:
        HostFiles(str(tmp_path)).cpu()
    assert caught.value.path == f"{tmp_path}/proc/cpuinfo"
    assert caught.value.errno_name == "EISDIR"


def test_a_file_without_an_end_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").symlink_to("/dev/zero")
    with pytest.raises(RemoteProtocolError, match="too long"):
        HostFiles(str(tmp_path)).cpu()


lines = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            [NET_DEV, CPUINFO, ARM_CPUINFO, "\n", "\n\n", "cpu MHz : .", "cpu MHz : 1.2.3", "vif1: 1 2"]
        ),
    ),
    max_size=6,
).map("".join)


@given(lines)
def test_any_text_is_figures_or_the_one_error(text: str) -> None:
    for parse in (procfs.parse_cpuinfo, procfs.parse_net_dev):
        with contextlib.suppress(RemoteProtocolError):
            parse(text, "f")


@given(st.binary(max_size=40))
def test_any_bytes_in_a_file_are_text_or_the_one_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    root = tmp_path_factory.mktemp("host")
    for name in ("proc/cpuinfo", "proc/net/dev", "sys/hypervisor/version/major", "proc/xen/capabilities"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    files = HostFiles(str(root))
    for read in (files.cpu, files.all_interface_counters, files.hypervisor_version, files.is_control_domain):
        with contextlib.suppress(RemoteProtocolError):
            read()
