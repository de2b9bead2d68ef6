"""What a URI means, and which one is meant when none is given."""

from __future__ import annotations

import pytest

from purevirt.api import uri
from purevirt.errors import ConnectError, Unsupported


@pytest.mark.parametrize(
    ("text", "simulated", "root"),
    [
        ("xen:///", False, ""),
        ("xen:///?root=/tmp/x", False, "/tmp/x"),
        ("xen:///?root=/tmp/x/", False, "/tmp/x"),
        ("xen:///?root=/tmp/with%20space", False, "/tmp/with space"),
        ("test:///default", True, ""),
    ],
)
def test_known_uris_lead_somewhere(text: str, simulated: bool, root: str) -> None:
    assert uri.parse(text) == uri.Location(text, simulated, root)


@pytest.mark.parametrize("directory", ["/tmp/a b", "/tmp/ä?&#", "/tmp/100%"])
def test_a_root_survives_its_uri(directory: str) -> None:
    assert uri.parse(uri.root_uri(directory)).root == directory


@pytest.mark.parametrize(
    "text",
    [
        "",
        "xen",
        "xen:",
        "qemu:///system",
        "xen:///system",
        "test:///",
        "test:///other",
        "/dev/xen",
        "xen:///?root=rel",
        "xen:///?rot=/x",
        "xen:///#x",
        "test:///default?root=/x",
        "xen://[",
        "xen:///?root",
        "://",
    ],
)
def test_other_uris_are_refused_with_what_is_known(text: str) -> None:
    with pytest.raises(ConnectError) as caught:
        uri.parse(text)
    assert caught.value.exit_status == 5


@pytest.mark.parametrize("text", ["xen+ssh://root@h/", "xen://host/", "qemu+ssh://h/system"])
def test_remote_uris_are_unsupported_for_now(text: str) -> None:
    with pytest.raises(Unsupported):
        uri.parse(text)


def test_without_a_uri_the_environment_decides_then_this_machine() -> None:
    env = {"PUREVIRT_URI": "test:///default", "LIBVIRT_DEFAULT_URI": "xen:///"}
    assert uri.choose(None, env, on_dom0=True).simulated
    del env["PUREVIRT_URI"]
    assert not uri.choose(None, env, on_dom0=False).simulated
    assert uri.choose("test:///default", env, on_dom0=True).simulated
    assert uri.choose(None, {}, on_dom0=True) == uri.Location("xen:///", False, "")


def test_a_simulated_host_is_never_opened_unasked() -> None:
    with pytest.raises(ConnectError, match="test:///default"):
        uri.choose(None, {}, on_dom0=False)
