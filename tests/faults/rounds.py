"""Several clients do this and that, and the daemon is killed at random instants: `python -m tests.faults.rounds`.

Each client has a domain of its own, and remembers what it was told of its definition; whatever was told is true in the
next life, and `invariants` hold. `--rounds`, `--seed`, `--clients`.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

from purevirt.errors import XenError
from tests.faults.daemon import Dead, Failed, Lives
from tests.faults.invariants import violations

__all__ = ["Client", "rounds"]

POLICIES = ("restart", "destroy", "preserve", "coredump-restart", "coredump-destroy")


class Client:
    """Does something to its own domain, again and again, until the daemon is dead."""

    def __init__(self, lives: Lives, number: int, seed: int) -> None:
        self._lives = lives
        self._random = random.Random(seed * 1000 + number)
        self._name = f"guest{number}"
        self._number = number
        self.uuid = str(UUID(int=(0xFA << 120) + number + 1))
        self._ref = {"uuid": self.uuid}
        self.known: set[str | None] = {None}
        """The texts that its definition may have; None: it has none."""
        self.paused = False
        """Whether it may be paused, and stay so."""
        self.done: Counter[str] = Counter()

    def run(self) -> None:
        """Until the daemon is dead."""
        deeds = list(self._deeds().items())
        try:
            while True:
                name, deed = self._random.choice(deeds)
                try:
                    deed()
                    self.done[name] += 1
                except Failed:
                    self.done[f"{name}: refused"] += 1
        except Dead:
            return

    def _deeds(self) -> dict[str, Callable[[], object]]:
        lives, ref = self._lives, self._ref
        path = f"/{self._name}-{self._number}.save"
        return {
            "define": self._define,
            "undefine": self._undefine,
            "start": lambda: lives.done("start", ref),
            "start again": lambda: lives.done("start", ref, force_boot=True),
            "create": lambda: lives.done("create", text=self._text()),
            "destroy": lambda: lives.call("destroy", ref),
            "reboot": lambda: lives.call("reboot", ref),
            "shutdown": lambda: lives.call("shutdown", ref, mode="poweroff"),
            "crash": self._crash,
            "save": lambda: lives.done("save", ref, path=path),
            "restore": lambda: lives.done("restore", path=path),
            "managed save": lambda: lives.done("managed_save", ref),
            "dump": lambda: lives.done("dump", ref, path=f"/{self._name}-{time.monotonic_ns()}.core"),
            "cancel": self._cancel,
            "suspend and resume": self._pause,
            "autostart": lambda: lives.call("set_autostart", ref, autostart=True),
        }

    def _text(self) -> str:
        policy = self._random.choice(POLICIES)
        return (
            f'name = "{self._name}"\nuuid = "{self.uuid}"\nmemory = {self._random.randrange(32, 96)}\n'
            f'kernel = "/boot/vmlinuz"\ndisk = ["/images/{self._name},raw,xvda,rw"]\non_crash = "{policy}"\n'
        )

    def _define(self) -> None:
        text = self._text()
        before = self.known
        self.known = before | {text}
        try:
            self._lives.call("define", text=text)
        except Failed:
            self.known = before
            raise
        self.known = {text}

    def _undefine(self) -> None:
        before = self.known
        self.known = before | {None}
        try:
            self._lives.call("undefine", self._ref, managed_save=True)
        except Failed:
            self.known = before
            raise
        self.known = {None}

    def _crash(self) -> None:
        try:
            self._lives.host.crash(self._name)
        except XenError as error:
            raise Failed(str(error)) from error  # it does not run

    def _pause(self) -> None:
        self.paused = True
        self._lives.call("suspend", self._ref)
        self._lives.call("resume", self._ref)
        self.paused = False

    def _cancel(self) -> None:
        for job in self._lives.call("jobs", active=True):
            if job["uuid"] == self.uuid:
                self._lives.call("job_cancel", id=job["id"])

    def wrong(self) -> list[str]:
        """What the daemon has forgotten of what it had said."""
        try:
            text = self._lives.call("definition_text", self._ref, security_info=True)["text"]
        except Failed:
            text = None
        if text in self.known:
            self.known = {text}
            return []
        return [f"the definition of {self._name} is {text!r}, and should be one of {self.known!r}"]


def rounds(
    lives: Lives, count: int, seed: int, clients: int = 3, *, instants: bool = False
) -> tuple[list[str], Counter[str]]:
    """Kill it so often, at random points; or, with `instants`, every other time at any instant. What was wrong after
    which, and what was done."""
    chance = random.Random(seed)
    people = [Client(lives, number, seed) for number in range(clients)]
    found: list[str] = []
    ids: set[int] = set()
    lives.begin()
    for number in range(count):
        threads = [threading.Thread(target=client.run) for client in people]
        if number % 2 and instants:
            for thread in threads:
                thread.start()
            threading.Event().wait(chance.uniform(0.0, 0.15))
            lives.kill()
        else:
            lives.arm(chance.randrange(150))
            for thread in threads:
                thread.start()
            lives.died()
        for thread in threads:
            thread.join()
        lives.begin()
        lives.settled()
        wrong = violations(lives, {client.uuid for client in people if client.paused})
        for client in people:
            wrong += client.wrong()
        present = [job["id"] for job in lives.call("jobs")]
        if len(set(present)) != len(present) or (ids and max(present, default=0) < max(ids)):
            wrong.append("a job's number was given twice")
        ids = set(present)
        found += [f"round {number}: {each}" for each in wrong]
        if wrong:
            break  # what comes after would show it again
    done: Counter[str] = sum((client.done for client in people), Counter())
    with contextlib.suppress(Dead):
        done["interrupted jobs"] = sum(job["state"] == "interrupted" for job in lives.call("jobs"))
    lives.kill()
    return found, done


def main(arguments: Any = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=3)
    how = parser.parse_args(arguments)
    start = time.monotonic()
    with Lives() as lives:
        found, done = rounds(lives, how.rounds, how.seed, how.clients, instants=True)
        if found:
            print(lives.log()[-4000:])
    for name, count in sorted(done.items()):
        print(f"{name:32} {count:6}")
    print(f"{how.rounds} rounds of kill -9 in {time.monotonic() - start:.0f} s, {len(found)} violations")
    for line in found:
        print(f"  {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
