"""What is being done when the daemon dies: how the host is brought to where it begins, the call, and what may be true
afterwards. Whatever the point of death, it is either done or undone, and nothing in between.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.faults.daemon import Dead, Failed, Lives

__all__ = ["SCENARIOS", "Scenario", "clean"]

UUID = "0a7e9b1e-52c4-4e5c-8f0a-1d0b0c2f9a77"
WEB = {"uuid": UUID}
TEXT = f"""name = "web"
uuid = "{UUID}"
memory = 64
kernel = "/boot/vmlinuz"
disk = ["/images/web,raw,xvda,rw"]
vif = ["bridge=xenbr0,mac=00:16:3e:00:00:01"]
on_crash = "restart"
"""
OTHER = TEXT.replace("memory = 64", "memory = 96")
SAVED = "/web.save"


class Scenario(NamedTuple):
    """`prepare` brings the host to the beginning, `act` does it, `agrees` says whether what is there is an outcome.
    `waits`: the deed goes on after the call, so the death may come later."""

    prepare: Callable[[Lives], object]
    act: Callable[[Lives], object]
    agrees: Callable[[Lives], bool]


def running(lives: Lives) -> dict[str, Any] | None:
    """The domain, if it runs."""
    info = lives.call("domain_info", WEB) if defined(lives) else None
    if info is None:
        with contextlib.suppress(Failed):
            info = lives.call("domain_info", WEB)
    return info if info is not None and info["domid"] is not None else None


def defined(lives: Lives) -> dict[str, Any] | None:
    return next((known for known in lives.call("list_definitions") if known["uuid"] == UUID), None)


def saved(lives: Lives) -> bool:
    """Whether its state is whole in the file that `save` was told."""
    if not os.path.exists(lives.root + SAVED):
        return False
    lives.call("saved_description", path=SAVED)
    return True


def _define(lives: Lives) -> None:
    lives.call("define", text=TEXT)


def _start(lives: Lives) -> None:
    _define(lives)
    lives.done("start", WEB)


def _managed_save(lives: Lives) -> None:
    _start(lives)
    lives.done("managed_save", WEB)


def _create(lives: Lives, text: str = TEXT) -> None:
    lives.done("create", text=text)


def _with_policy(policy: str) -> Callable[[Lives], None]:
    def prepare(lives: Lives) -> None:
        _create(lives, TEXT.replace('on_crash = "restart"', f'on_crash = "{policy}"'))

    return prepare


def _saved_file(lives: Lives) -> None:
    _create(lives)
    lives.done("save", WEB, path=SAVED)


def _with_another_file(lives: Lives) -> None:
    _saved_file(lives)
    _create(lives)


def _refused(lives: Lives, operation: str, path: str) -> None:
    with contextlib.suppress(Failed):
        lives.done(operation, WEB, path=path)
        raise AssertionError(f"{operation} has written over {path}")


def _crash(lives: Lives) -> None:
    last = lives.last_event()
    lives.host.crash("web")
    _until_carried_out(lives, last)


def _reboot(lives: Lives) -> None:
    last = lives.last_event()
    lives.call("reboot", WEB)
    _until_carried_out(lives, last)


def _until_carried_out(lives: Lives, seen: int) -> None:
    """Until the daemon has seen that it stopped, and has done what its policy says; or is dead."""
    while True:
        for event in lives.call("journal", since=seen, wait=10.0):
            seen = max(seen, event["seq"])
            if event["kind"] in ("crashed", "shutdown"):
                lives.settled()
                return


def _text(lives: Lives) -> str:
    text: str = lives.call("definition_text", WEB, security_info=True)["text"]
    return text


def _again(lives: Lives) -> bool:
    """It runs, anew or as before."""
    return running(lives) is not None


def _gone_or_there(lives: Lives) -> bool:
    return True


def _one_of_both(lives: Lives) -> bool:
    known = defined(lives)
    assert known is not None
    return (running(lives) is not None) is not known["managed_save"]


SCENARIOS: dict[str, Scenario] = {
    "define": Scenario(
        lambda lives: None, _define, lambda lives: defined(lives) is None or _text(lives) == TEXT
    ),
    "define again": Scenario(
        _define,
        lambda lives: lives.call("define", text=OTHER, revision=1),
        lambda lives: (lives.call("definition", WEB)["revision"], _text(lives)) in ((1, TEXT), (2, OTHER)),
    ),
    "undefine": Scenario(_start, lambda lives: lives.call("undefine", WEB), _again),
    "start": Scenario(
        _define, lambda lives: lives.done("start", WEB), lambda lives: defined(lives) is not None
    ),
    "start from a saved state": Scenario(_managed_save, lambda lives: lives.done("start", WEB), _one_of_both),
    "create": Scenario(lambda lives: None, _create, _gone_or_there),
    "managed save": Scenario(_start, lambda lives: lives.done("managed_save", WEB), _one_of_both),
    "save": Scenario(
        _create,
        lambda lives: lives.done("save", WEB, path=SAVED),
        lambda lives: (running(lives) is not None) is not saved(lives),
    ),
    "restore": Scenario(_saved_file, lambda lives: lives.done("restore", path=SAVED), saved),
    "dump": Scenario(_create, lambda lives: lives.done("dump", WEB, path="/web.core"), _again),
    "dump, crash": Scenario(
        _create, lambda lives: lives.done("dump", WEB, path="/web.core", crash=True), _gone_or_there
    ),
    "save over another file": Scenario(
        _with_another_file,
        lambda lives: _refused(lives, "save", SAVED),
        lambda lives: running(lives) is not None and saved(lives),
    ),
    "dump over another file": Scenario(
        _with_another_file,
        lambda lives: _refused(lives, "dump", SAVED),
        lambda lives: running(lives) is not None and saved(lives),
    ),
    "destroy": Scenario(
        _start, lambda lives: lives.call("destroy", WEB), lambda lives: defined(lives) is not None
    ),
    "rename": Scenario(
        _start,
        lambda lives: lives.call("rename", WEB, name="shop"),
        lambda lives: (running(lives) or {})["name"] == lives.call("definition", WEB)["name"],
    ),
    "reboot": Scenario(_start, _reboot, _again),
    "crash, restart": Scenario(_create, _crash, _again),
    "crash, destroy": Scenario(_with_policy("destroy"), _crash, lambda lives: running(lives) is None),
    "crash, preserve": Scenario(_with_policy("preserve"), _crash, _again),
    "crash, coredump-restart": Scenario(_with_policy("coredump-restart"), _crash, _again),
    "crash, rename-restart": Scenario(_with_policy("rename-restart"), _crash, _again),
}


def clean(lives: Lives) -> None:
    """Nothing of a scenario is left for the next."""
    for info in lives.call("list_domains"):
        if info["domid"] and info["name"] != "test":
            with contextlib.suppress(Failed, Dead):
                lives.call("destroy", {"uuid": info["uuid"]})
    lives.settled()
    for known in lives.call("list_definitions"):
        lives.call("undefine", {"uuid": known["uuid"]}, managed_save=True)
    for name in (SAVED, "/web.core"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(lives.root + name)
