"""Which Xen Store is opened, given what the environment says and what exists."""

from __future__ import annotations

import pytest

from purevirt.channels.xenstore.locate import DEVICES, SOCKETS, candidates, locate


def found(
    *present: str, read_only: bool = False, root: str | None = None, environ: dict[str, str] | None = None
) -> str:
    return locate(root=root, read_only=read_only, environ=environ or {}, exists=set(present).__contains__)


def test_an_explicit_path_is_taken_as_it_is() -> None:
    assert locate("/x", environ={"XENSTORED_PATH": "/y"}, exists=lambda path: True) == "/x"


@pytest.mark.parametrize(
    ("environ", "present", "expected"),
    [
        ({}, SOCKETS + DEVICES, "/var/run/xenstored/socket"),
        ({}, ("/run/xenstored/socket", "/dev/xen/xenbus"), "/run/xenstored/socket"),
        ({}, ("/dev/xen/xenbus",), "/dev/xen/xenbus"),
        ({}, ("/kern/xen/xenbus",), "/kern/xen/xenbus"),
        ({}, (), "/var/run/xenstored/socket"),
        ({"XENSTORED_PATH": "/x"}, ("/x", *SOCKETS), "/x"),
        ({"XENSTORED_PATH": "/x"}, SOCKETS, "/x"),
        ({"XENSTORED_RUNDIR": "/r/"}, ("/r/socket", *SOCKETS), "/r/socket"),
        ({"XENSTORED_RUNDIR": "/r"}, DEVICES, "/dev/xen/xenbus"),
        ({"XENSTORED_PATH": "", "XENSTORED_RUNDIR": ""}, SOCKETS, "/var/run/xenstored/socket"),
    ],
)
def test_the_first_that_exists(environ: dict[str, str], present: tuple[str, ...], expected: str) -> None:
    assert found(*present, environ=environ) == expected


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (("/var/run/xenstored/socket_ro", "/var/run/xenstored/socket"), "/var/run/xenstored/socket_ro"),
        (("/run/purevirt/socket_ro", "/var/run/xenstored/socket"), "/run/purevirt/socket_ro"),
        (("/var/run/xenstored/socket_ro", "/run/purevirt/socket_ro"), "/var/run/xenstored/socket_ro"),
        (("/var/run/xenstored/socket",), "/var/run/xenstored/socket"),
        (("/dev/xen/xenbus",), "/dev/xen/xenbus"),
        ((), "/var/run/xenstored/socket"),
    ],
)
def test_read_only_prefers_the_sockets_for_it(present: tuple[str, ...], expected: str) -> None:
    assert found(*present, read_only=True) == expected


def test_read_only_follows_the_environment_too() -> None:
    assert found("/x", "/x_ro", read_only=True, environ={"XENSTORED_PATH": "/x"}) == "/x_ro"
    assert found("/x", "/run/purevirt/socket_ro", read_only=True, environ={"XENSTORED_PATH": "/x"}) == "/x"


def test_a_simulated_host_is_only_itself() -> None:
    assert found("/h/run/xenstored/socket", *SOCKETS, root="/h/") == "/h/run/xenstored/socket"
    assert (
        found(*SOCKETS, *DEVICES, root="/h", environ={"XENSTORED_PATH": "/x"})
        == "/h/var/run/xenstored/socket"
    )
    assert all(path.startswith("/h/") for path in candidates({}, root="/h", read_only=True))
