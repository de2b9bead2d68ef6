"""The xenbus states, as Domain 0's drivers see them."""

from __future__ import annotations

import pytest

from purevirt.host.backends import Device, decide
from purevirt.host.xenbus import State, state_of

UNKNOWN, INITIALISING, INIT_WAIT, INITIALISED, CONNECTED, CLOSING, CLOSED = range(7)


@pytest.mark.parametrize(
    ("mine", "theirs", "online", "expected"),
    [
        (INITIALISING, UNKNOWN, True, INIT_WAIT),
        (INITIALISING, INITIALISING, True, INIT_WAIT),
        (INIT_WAIT, INITIALISING, True, INIT_WAIT),
        (INIT_WAIT, INITIALISED, True, CONNECTED),
        (INIT_WAIT, CONNECTED, True, CONNECTED),
        (CONNECTED, CONNECTED, True, CONNECTED),
        (CONNECTED, CLOSING, True, CLOSING),
        (INIT_WAIT, CLOSING, True, CLOSING),
        (CLOSING, CLOSING, True, CLOSING),
        (CLOSING, CLOSED, False, CLOSED),
        (CONNECTED, UNKNOWN, True, CLOSED),  # its frontend has gone without a word
        (CLOSED, INITIALISING, True, INIT_WAIT),  # its driver was loaded anew
        (CLOSED, INITIALISING, False, CLOSED),  # it is on its way out
        (CLOSED, CLOSED, True, CLOSED),
    ],
)
def test_what_follows_from_two_states(mine: int, theirs: int, online: bool, expected: int) -> None:
    assert decide(State(mine), State(theirs), online=online) == expected


def test_a_backend_comes_to_rest_whatever_its_frontend_is() -> None:
    for theirs in State:
        for mine in State:
            state = mine
            for _ in range(4):
                state = decide(state, theirs, online=True)
            assert decide(state, theirs, online=True) is state


@pytest.mark.parametrize("text", [None, "", "44", "9", "x", b"\xff", "-1"])
def test_a_state_that_cannot_be_is_unknown(text: str | bytes | None) -> None:
    assert state_of(text) is State.UNKNOWN


@pytest.mark.parametrize(
    ("path", "device"),
    [
        ("/local/domain/0/backend/vbd/3/51712", Device("vbd", 3, 51712)),
        ("/local/domain/0/backend/vif/3/0/state", Device("vif", 3, 0)),
        ("/local/domain/0/backend/vbd/3", None),
        ("/local/domain/0/backend/vkbd/3/0", None),
        ("/local/domain/0/backend/vbd/x/0", None),
        ("/local/domain/0/backend", None),
    ],
)
def test_a_path_names_a_device(path: str, device: Device | None) -> None:
    assert Device.of(path) == device
