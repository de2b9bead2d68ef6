"""Archives for the kernels: what Domain 0 finds before its disk, and what a guest consists of.

Both are a base from the image (busybox and modules, rarely changed) and a few files of this checkout, written
at each boot. Domain 0's carries the agent, its configuration and the guests' parts; they end up in /lab
there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lab.cpio import Cpio
from lab.image import Image

_HERE = Path(__file__).parent
#: Linux asks /sbin/poweroff and /sbin/reboot to act on control/shutdown; without an init they must use force.
_POWER_SCRIPT = "#!/bin/busybox sh\nexec /bin/busybox {command} -f\n"


def dom0(image: Image, config: Mapping[str, str]) -> bytes:
    """Domain 0's initramfs; `config` is what the agent reads, see lab/dom0/agent.py."""
    cpio = Cpio()
    cpio.file("init", (_HERE / "dom0" / "init.sh").read_bytes(), 0o755)
    # The agent's imports are those of this checkout: /lab is the directory of the script that is started.
    for name in ("agent", "frames", "prepare"):
        cpio.file(f"lab/lab/dom0/{name}.py", (_HERE / "dom0" / f"{name}.py").read_bytes())
    cpio.file("lab/start.py", b"from lab.dom0.agent import main\nmain()\n")
    # Holds the token, which no other user of this machine should see: the archive is written with mode 0600.
    cpio.file("lab/config.json", json.dumps(dict(config)).encode(), 0o600)
    cpio.file("lab/guest.cpio", guest(image))
    cpio.file("lab/mini.elf", image.mini.read_bytes())
    return image.dom0_cpio.read_bytes() + cpio.finish()


def guest(image: Image) -> bytes:
    """The initramfs of a lab guest, PV or PVH. Not compressed: unpacking costs more than reading."""
    cpio = Cpio()
    cpio.file("init", (_HERE / "guest" / "init.sh").read_bytes(), 0o755)
    for command in ("poweroff", "reboot", "halt"):
        cpio.file(f"sbin/{command}", _POWER_SCRIPT.format(command=command).encode(), 0o755)
    return image.guest_cpio.read_bytes() + cpio.finish()
