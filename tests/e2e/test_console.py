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


SEAT = """
import os, pty, subprocess, sys, time
name = sys.argv[1]

def sit(*command):
    pid, terminal = pty.fork()
    if not pid:
        os.execvp(command[0], command)
    return pid, terminal

def until(terminal, wanted, times=1):
    seen = b""
    while seen.count(wanted) < times:
        seen += os.read(terminal, 4096)
    print(repr(seen[-200:]), flush=True)

def end(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

other, theirs = sit("xl", "console", name)
os.write(theirs, b"\\recho $((40 + 1))-theirs\\r")
until(theirs, b"41-theirs")
mine, terminal = sit(sys.executable, "-m", "purevirt", "console", name, "--force", "--reconnect")
until(terminal, b"Escape character")
print("xl console ended:", end(other), flush=True)
os.write(terminal, b"\\recho $((40 + 2))-mine\\r")
until(terminal, b"42-mine")
refused = subprocess.run(["xl", "console", name], stdin=subprocess.DEVNULL, capture_output=True, text=True)
print("xl:", refused.stderr, flush=True)
subprocess.run(["xl", "sysrq", name, "b"], check=True)
until(terminal, b"waiting until it runs again")
until(terminal, b"Connected to domain")
until(terminal, b"GUEST-UP")
os.write(terminal, b"\\recho $((40 + 3))-again\\r")
until(terminal, b"43-again")
os.write(terminal, b"\\x1d")
print("ended:", end(mine), flush=True)
"""


def test_a_person_takes_it_from_xl_console_and_goes_on_after_a_reboot(dom0: lab.Host) -> None:
    dom0.create_guest("console-reboot", kind="pv")
    dom0.wait_for_guest("console-reboot")
    done = dom0.python(["-c", SEAT, "console-reboot"], timeout=200)
    dom0.run(["xl", "destroy", "console-reboot"], check=False)
    assert "xl console ended: 0" in done.stdout
    assert "Could not lock" in done.stdout
    assert "ended: 0\n" in done.stdout.rpartition("again")[2]
