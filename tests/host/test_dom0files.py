"""What a simulated Domain 0's kernel shows is what the files channel reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from purevirt.channels.files import HostFiles
from purevirt.channels.files.procfs import CpuModel
from purevirt.channels.files.sysfs import BlockCounters, InterfaceCounters
from purevirt.host.dom0files import Dom0Files
from purevirt.host.hypervisor import Hypervisor


@pytest.fixture
def written(tmp_path: Path) -> Dom0Files:
    files = Dom0Files(str(tmp_path), Hypervisor(xen=(4, 20)), hostname="xen1")
    files.write()
    return files


def test_the_host_describes_itself(written: Dom0Files) -> None:
    files = HostFiles(written.root)
    assert files.is_control_domain() is True
    assert files.hypervisor_type() == "xen"
    assert files.hypervisor_uuid() == "00000000-0000-0000-0000-000000000000"
    assert files.guest_type() == "PV"
    assert files.hypervisor_version() == (4, 20, ".4-simulated")
    assert (files.hostname(), files.machine()) == ("xen1", "x86_64")
    assert files.cpu() == CpuModel("Simulated CPU", 2400.0, "GenuineIntel")
    assert files.property("pagesize") == "1000"
    assert (files.property("capabilities") or "").startswith("xen-3.0-x86_64")
    assert files.compilation("compiler") == "simulated"
    assert files.all_interface_counters() == {}


def test_an_arm_host_describes_itself(tmp_path: Path) -> None:
    Dom0Files(str(tmp_path), Hypervisor(arch="arm64")).write()
    files = HostFiles(str(tmp_path))
    assert files.machine() == "aarch64"
    assert files.cpu() == CpuModel("ARM implementer 0x41 part 0xd08", None, None)


def test_a_disk_comes_counts_and_goes(written: Dom0Files) -> None:
    files = HostFiles(written.root)
    assert files.block_counters(1, 51712) is None
    written.add_vbd(1, 51712)
    assert files.block_counters(1, 51712) == BlockCounters(0, 0, 0, 0, 0, 0, 0)
    written.set_vbd(1, 51712, rd_req=3, rd_sect=24)
    written.set_vbd(1, 51712, oo_req=1)
    found = files.block_counters(1, 51712)
    assert found == BlockCounters(rd_req=3, wr_req=0, rd_sect=24, wr_sect=0, f_req=0, ds_req=0, oo_req=1)
    assert (found.rd_bytes, found.wr_bytes) == (24 * 512, 0)
    written.remove_vbd(1, 51712)
    written.remove_vbd(1, 51712)
    assert files.block_counters(1, 51712) is None


def test_an_interface_comes_counts_and_goes_in_both_places(written: Dom0Files) -> None:
    files = HostFiles(written.root)
    written.add_vif(1, 0)
    written.set_vif(1, 0, rx_bytes=100, tx_dropped=7)
    expected = InterfaceCounters(100, 0, 0, 0, 0, 0, 0, 7)
    assert files.interface_counters("vif1.0") == expected
    assert files.all_interface_counters() == {"vif1.0": expected}
    assert expected.swapped() == (0, 0, 0, 7, 100, 0, 0, 0)
    written.remove_vif(1, 0)
    written.remove_vif(1, 0)
    assert files.interface_counters("vif1.0") is None
    assert files.all_interface_counters() == {}


def test_an_interface_may_have_a_name_of_its_own(written: Dom0Files) -> None:
    written.add_vif(1, 0, "web0")
    written.set_vif(1, 0, "web0", tx_bytes=5)
    assert HostFiles(written.root).interface_counters("web0") == (0, 0, 0, 0, 5, 0, 0, 0)
    with pytest.raises(ValueError, match="no interface name"):
        written.add_vif(1, 1, "../../etc")


def test_counters_that_no_kernel_has_are_refused(written: Dom0Files) -> None:
    written.add_vbd(1, 51712)
    written.add_vif(1, 0)
    with pytest.raises(KeyError, match="no such counter: bytes"):
        written.set_vbd(1, 51712, bytes=1)
    with pytest.raises(KeyError, match="no such counter: bytes"):
        written.set_vif(1, 0, bytes=1)


def test_nothing_is_left_beside_the_files(written: Dom0Files) -> None:
    written.add_vbd(1, 51712)
    assert not list(Path(written.root).rglob("*.new"))
