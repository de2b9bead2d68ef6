"""One QEMU process that emulates a machine on which Xen runs: its command line, its console, its end.

Software emulation (TCG): Xen itself cannot run on KVM here. The choices that are not obvious:

- `smap=off`: with it, Domain 0's kernel dies at start. `rdtscp=off`: with it, PVH guests hang.
- `xsave=off`: with it, about one process in 200 in Domain 0 died of memory that was not what it wrote (seen in
  `xl`, Python and ld.so); without it, none of 1,500. Xen and Linux then use FXSAVE, and nobody uses AVX.
  Every real host has it, and saves more at each switch between processes: `xsave=True` is for comparing.
- Xen takes Domain 0's kernel and its initramfs as two modules, which QEMU's `-initrd` separates by a comma.
- A PV Domain 0 needs `iommu_platform=on` for virtio: its pages are not where it thinks they are.
- `restrict=on`: Domain 0 reaches nothing outside; only the agent's port is forwarded to it, from 127.0.0.1.

QEMU must not outlive whoever started it, however that one ends. A shell between the two waits on a pipe that
only the starter holds open, and kills QEMU when it closes.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
from pathlib import Path

from lab import apt
from lab.dom0.frames import PORT
from lab.image import Image

_WATCHDOG = """
exec 3<&0 </dev/null
"$@" 3<&- & qemu=$!
(read -r _; kill -9 $qemu) <&3 & watching=$!
exec 3<&-
wait $qemu
kill $watching
"""


class Qemu:
    """A running emulator. `port` on 127.0.0.1 leads to the agent; `console` is the file of Xen's serial line.

    `run_dir` is a fresh directory with the file `initrd.img`; the emulator's other files are linked or made
    there.
    """

    def __init__(
        self,
        image: Image,
        run_dir: Path,
        *,
        memory_mb: int,
        dom0_memory_mb: int,
        share: Path | None,
        xsave: bool = False,
    ) -> None:
        self.console = run_dir / "console.log"
        self.errors = run_dir / "qemu.log"
        self.console.touch()
        # Short names in the current directory: a comma or blank in a path would mean something else to QEMU.
        for target in (image.xen, image.kernel, image.disk):
            (run_dir / target.name).symlink_to(target)
        self.port = free_port()
        argv = command_line(
            self.port, memory_mb=memory_mb, dom0_memory_mb=dom0_memory_mb, share=share, xsave=xsave
        )
        (run_dir / "command").write_text(shlex.join(argv) + "\n")
        reading, self._alive = os.pipe()
        with open(self.errors, "wb") as errors:
            self._process = subprocess.Popen(
                ["sh", "-c", _WATCHDOG, "sh", *argv],
                stdin=reading,
                stdout=errors,
                stderr=errors,
                cwd=run_dir,
                start_new_session=True,
            )
        os.close(reading)

    def ended(self) -> bool:
        """Whether QEMU is gone, which in a lab that is in use is always an accident."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Kill QEMU and wait until it is gone. Harmless when it already is."""
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)

    def console_tail(self, lines: int = 40) -> str:
        """The end of Xen's and Domain 0's console, with QEMU's own complaints after it."""
        text = self.console.read_text(errors="replace").replace("\r", "")
        return "\n".join(
            [*text.splitlines()[-lines:], *self.errors.read_text(errors="replace").splitlines()[-10:]]
        )


def command_line(
    port: int, *, memory_mb: int, dom0_memory_mb: int, share: Path | None, xsave: bool = False
) -> list[str]:
    """QEMU's arguments; `memory_mb` is the whole machine's."""
    xen = f"dom0_mem={dom0_memory_mb}M,max:{dom0_memory_mb}M dom0_max_vcpus=2 bootscrub=0 noreboot"
    linux = "console=hvc0 quiet loglevel=4 mitigations=off panic=0 rdinit=/init"
    modern = "disable-legacy=on,iommu_platform=on"
    argv = [apt.program("qemu-system-x86_64")]
    argv += [
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max,smap=off,rdtscp=off" + ("" if xsave else ",xsave=off"),
        "-smp",
        "2",
        "-m",
        str(memory_mb),
    ]
    argv += [
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-serial",
        "file:console.log",
    ]
    argv += ["-kernel", "xen.elf", "-append", f"{xen} console=com1 com1=115200"]
    argv += ["-initrd", f"vmlinuz {linux},initrd.img"]
    argv += ["-drive", "file=dom0.img,format=raw,if=none,id=root,snapshot=on"]
    argv += ["-device", f"virtio-blk-pci,drive=root,{modern}"]
    argv += ["-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:{PORT}"]
    argv += ["-device", f"virtio-net-pci,netdev=net,romfile=,{modern}"]
    if share is not None:
        path = str(share.resolve()).replace(",", ",,")
        argv += ["-fsdev", f"local,id=share,path={path},security_model=none,readonly=on"]
        argv += ["-device", f"virtio-9p-pci,fsdev=share,mount_tag=share,{modern}"]
    return argv


def free_port() -> int:
    """A TCP port that is free now. Should somebody take it first, QEMU ends and the boot is tried again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
