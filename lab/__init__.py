"""A laboratory: a real Xen with a Domain 0, booted in QEMU under software emulation.

    import lab

    with lab.boot() as host:
        print(host.run(["xl", "list"]).stdout)

No hardware virtualisation is needed; root is, on Debian, the first time (an image is built from Debian
packages). `python -m lab --help` is the same as a command; lab/README.md tells the rest.
"""

from lab.client import CommandFailed
from lab.errors import LabError
from lab.host import Background, Completed, Host
from lab.session import boot

__all__ = ["Background", "CommandFailed", "Completed", "Host", "LabError", "boot"]
