"""The console of a real guest: typed at, answered, and kept from `xl console` meanwhile."""

from __future__ import annotations

import pytest

import lab

from .conftest import Guests

TALK = """
import sys, time, purevirt
with purevirt.open() as host, host.lookup(sys.argv[1]).console() as console:
    console.write(b"\\recho $((40 + 2))-answer\\r")
    seen, end = b"", time.monotonic() + 40
    while b"42-answer" not in seen and time.monotonic() < end:
        seen += console.read(1) or b""
    print(repr(seen[-300:]))
    import subprocess
    done = subprocess.run(["xl", "console", sys.argv[1]], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print("xl:", done.returncode, done.stderr)
"""


@pytest.mark.parametrize("kind", ["pv", "pvh"])
def test_typing_at_a_guest_and_its_answer(dom0: lab.Host, guests: Guests, kind: str) -> None:
    done = dom0.python(["-c", TALK, getattr(guests, kind).name], timeout=110)
    assert "42-answer" in done.stdout
    assert "Could not lock" in done.stdout


ENDING = """
import subprocess, sys
name = sys.argv[1]
command = [sys.executable, "-m", "purevirt", "console", name, "--no-input"]
lock, pipe = "/var/lock/xenconsole." + sys.argv[2], subprocess.PIPE
held = subprocess.Popen(["flock", lock, "cat"], stdin=pipe, stdout=pipe)
held.stdin.write(b"locked\\n"), held.stdin.flush(), held.stdout.readline()
refused = subprocess.run(command, capture_output=True, text=True)
print("refused:", refused.returncode, refused.stderr)
held.communicate()
copying = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
copying.stderr.readline()
subprocess.run(["xl", "destroy", name], check=True)
out, err = copying.communicate(timeout=60)
print("ended:", copying.returncode, err.decode())
"""


def test_a_lock_is_heeded_and_the_end_of_the_domain_told(dom0: lab.Host) -> None:
    domid = dom0.create_guest("console-end", kind="pv", paused=True)
    done = dom0.python(["-c", ENDING, "console-end", str(domid)], timeout=150)
    assert "refused: 1 purevirt: another program reads the console" in done.stdout
    assert "ended: 0 " in done.stdout
    assert "domain 'console-end' has stopped" in done.stdout
