"""The real xl reads configuration files here, without Xen."""

from __future__ import annotations

import pytest

from tests import peers

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def installed() -> None:
    peers.need()


def test_it_says_what_it_would_tell_libxl() -> None:
    said = peers.xl_create_dry_run('name = "web"\nkernel = "/k"\nmemory = 64\ndisk = [ "/dev/vg/a,,xvda" ]\n')
    assert said["c_info"]["name"] == "web"
    assert said["b_info"]["target_memkb"] == 64 * 1024
    assert said["disks"] == [{"pdev_path": "/dev/vg/a", "vdev": "xvda", "format": "raw", "readwrite": 1}]


def test_it_says_what_it_does_not_like() -> None:
    with pytest.raises(peers.PeerError, match="no vdev specified in"):
        peers.xl_create_dry_run('name = "web"\nkernel = "/k"\nmemory = 64\ndisk = [ "/dev/vg/a" ]\n')
