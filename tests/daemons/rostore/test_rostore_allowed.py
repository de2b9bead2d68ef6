"""The allow-list, as a table: what is shown with its value, what only as a way there, what not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.daemons.rostore.allowed import Shown, child_shown, may_watch, shown_as, value_allowed

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"

VALUES = f"""
/local/domain/0/name                    /local/domain/3/name            /local/domain/3/domid
/local/domain/3/vm                      /local/domain/3/memory/target   /local/domain/3/memory/static-max
/local/domain/3/memory/videoram         /local/domain/3/cpu/0/availability
/local/domain/3/control/feature-poweroff        /local/domain/3/control/feature-s3
/local/domain/3/device/vbd/51712/backend        /local/domain/3/device/vbd/51712/state
/local/domain/3/device/vbd/51712/virtual-device /local/domain/3/device/vif/0/mac
/local/domain/0/backend/vbd/3/51712/params      /local/domain/0/backend/vbd/3/51712/frontend
/local/domain/0/backend/qdisk/3/51712/dev       /local/domain/0/backend/vif/3/0/bridge
/local/domain/5/backend/vif/3/0/mac             /local/domain/0/backend/vfb/3/0/state
/vm/{UUID}/name     /vm/{UUID}/uuid     /vm/{UUID}/start_time       /vm/{UUID}-1/name
/libxl/3/type       /libxl/3/device/vbd/51712/backend               /libxl/3/device/vfb/0/frontend
""".split()

NODES = f"""
/ /local /local/domain /local/domain/3 /local/domain/3/memory /local/domain/3/cpu /local/domain/3/cpu/0
/local/domain/3/control /local/domain/3/device /local/domain/3/device/vbd /local/domain/3/device/vbd/51712
/local/domain/0/backend /local/domain/0/backend/vfb/3/0 /vm /vm/{UUID} /libxl /libxl/3 /libxl/3/device/vbd/51712
""".split()

NOTHING = f"""
/local/domain/3/control/shutdown        /local/domain/3/control/sysrq       /local/domain/3/control/laptop-slate-mode
/local/domain/3/data                    /local/domain/3/data/secret         /local/domain/3/attr/vif/0/ipv4/0
/local/domain/3/console/tty             /local/domain/3/console/vnc-port    /local/domain/3/console
/local/domain/3/image/device-model-pid  /local/domain/3/store/port          /local/domain/3/drivers/0
/local/domain/0/backend/vfb/3/0/vncpasswd       /local/domain/0/backend/vfb/3/0/vnclisten
/local/domain/0/backend/vkbd/3/0/dev            /local/domain/0/backend/vfb/3/0/params
/local/domain/0/backend/vbd/3/51712/physical-device-path
/local/domain/3/device/vbd/51712/ring-ref       /local/domain/3/device/vif/0/virtual-device
/local/domain/0/device-model/3/state            /local/domain/3/name/below
/vm/{UUID}/image/ostype     /vm/{UUID}/vncpasswd    /vm/nonsense/name   /vm/{UUID}/rtc/timeoffset
/libxl/3/dm-version         /libxl/3/device/vfb/0/vncpasswd             /libxl/disable_udev
/tool /tool/xenstored /local/pool/0/name /local/domain/x/name /local/domain/-1/name /local/domain/99999999999/name
@introduceDomain local/domain/3/name
""".split()


@pytest.mark.parametrize("path", VALUES)
def test_values_that_are_shown(path: str) -> None:
    assert shown_as(path.encode()) == Shown.VALUE


@pytest.mark.parametrize("path", NODES)
def test_nodes_on_the_way(path: str) -> None:
    assert shown_as(path.encode()) == Shown.NODE


@pytest.mark.parametrize("path", NOTHING)
def test_what_does_not_exist_for_anybody(path: str) -> None:
    assert shown_as(path.encode()) == Shown.NOTHING


def test_every_shown_node_is_listed_by_its_parent() -> None:
    for path in VALUES + NODES[1:]:
        parent, _, name = path.rpartition("/")
        assert child_shown(parent.encode() or b"/", [name.encode(), b"no_such"]) == [name.encode()]


@given(st.text(st.sampled_from("abcxyz0123456789-_@/ .é"), max_size=60), st.sampled_from(VALUES))
def test_a_child_that_a_listing_shows_is_shown(noise: str, path: str) -> None:
    raw = f"{path.rpartition('/')[0]}/{noise}".encode()
    parent, _, name = raw.rpartition(b"/")
    assert bool(child_shown(parent, [name])) == (shown_as(raw) != Shown.NOTHING)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/dev/vg/web-disk", True),
        ("/var/lib/xen/images/my disk (1).img", False),
        ("/srv/a b.img", True),
        ("aio:/srv/a.img", True),
        ("qcow2:/srv/a.qcow2", True),
        ("", True),
        ("rbd:pool/image:id=admin:key=QVFEc2VjcmV0", False),
        ("/x:id=admin:key=QVFE", False),
        ("aio:http://user:password@host/x", False),
        ("nbd://user:password@host/x", False),
        ("iscsi://user%password@host/iqn", False),
        ("/dev/disk\n/by-id", False),
    ],
)
def test_the_source_of_a_disk_is_shown_if_it_is_a_plain_path(value: str, shown: bool) -> None:
    assert value_allowed(b"/local/domain/0/backend/vbd/3/51712/params", value.encode()) is shown
    assert value_allowed(b"/local/domain/3/name", value.encode())


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("@introduceDomain", True),
        ("@releaseDomain", True),
        ("@other", False),
        ("/", False),
        ("/local", False),
        ("/local/domain", False),
        ("/local/domain/3", False),
        ("/local/domain/3/name", True),
        ("/local/domain/3/device", True),
        ("/local/domain/0/backend/vbd", True),
        ("/local/domain/3/control", True),
        ("/local/domain/3/control/shutdown", False),
        ("/local/domain/3/data", False),
        ("/libxl", True),
        ("/vm", True),
    ],
)
def test_what_may_be_watched(path: str, allowed: bool) -> None:
    assert may_watch(path.encode()) is allowed
