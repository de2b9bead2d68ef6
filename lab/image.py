"""Builds a Domain 0 from Debian packages: a disk, a kernel, Xen, and what guests are made of.

An image is a directory in the cache, named after its recipe's key. It appears whole or not at all: the work
is done in a directory beside it, which is renamed at the end, under a lock that a second builder waits for.
What may change often (the agent in Domain 0, what guests run) is not in it; `initrd` adds it at each boot.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab import apt, kernel
from lab.cpio import Cpio
from lab.errors import LabError, say
from lab.recipe import Recipe, cache_dir

#: Left out of the image: nothing in the lab reads it, and copying it costs time. Patterns of dpkg's
#: path-exclude.
_EXCLUDED = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    *(
        f"{lib}/modules/*/kernel/{directory}/*"
        for lib in ("/lib", "/usr/lib")
        for directory in (
            "sound",
            *(
                f"drivers/{name}"
                for name in ("gpu", "media", "infiniband", "iio", "staging", "isdn", "hwmon")
            ),
            *(f"drivers/net/{name}" for name in ("wireless", "ethernet", "wan", "usb", "can")),
        )
    ),
)
_DOM0_MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "crc32c_generic", "ext4", "9p", "9pnet_virtio"]
_GUEST_MODULES = ["xen_blkfront", "xen_netfront"]


@dataclass(frozen=True, slots=True)
class Image:
    """The parts of a built image, by path."""

    directory: Path

    @property
    def disk(self) -> Path:
        """Domain 0's root, ext4. It is only ever opened with changes thrown away."""
        return self.directory / "dom0.img"

    @property
    def xen(self) -> Path:
        """Xen's ELF: QEMU's multiboot loader does not unpack it."""
        return self.directory / "xen.elf"

    @property
    def kernel(self) -> Path:
        """The Linux kernel of Domain 0, a bzImage."""
        return self.directory / "vmlinuz"

    @property
    def dom0_cpio(self) -> Path:
        """Busybox and the modules Domain 0 needs to find its disk; `/modules` lists them in order."""
        return self.directory / "dom0.cpio"

    @property
    def guest_cpio(self) -> Path:
        """The same for guests."""
        return self.directory / "guest.cpio"

    @property
    def mini(self) -> Path:
        """The mini PV kernel, see mini.S."""
        return self.directory / "mini.elf"

    @property
    def versions(self) -> dict[str, str]:
        """Debian package -> version, of everything in Domain 0."""
        versions: dict[str, str] = json.loads((self.directory / "versions.json").read_text())
        return versions


def ensure(recipe: Recipe) -> Image:
    """The image of `recipe`, from the cache or built now (one to two minutes)."""
    image = Image(cache_dir() / recipe.key)
    if image.directory.exists():
        return image
    with _locked(recipe):
        if not image.directory.exists():
            _build(recipe, image)
    return image


@contextlib.contextmanager
def _locked(recipe: Recipe) -> Iterator[None]:
    cache_dir().mkdir(parents=True, exist_ok=True)
    with open(cache_dir() / f"{recipe.key}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is building {recipe.key}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(recipe: Recipe, image: Image) -> None:
    if os.geteuid() != 0:
        raise LabError("building Domain 0's root needs root (files in it belong to many users)")
    apt.ensure(apt.BUILD_TOOLS)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache_dir()) as name:
        work = Image(Path(name) / "image")
        work.directory.mkdir()
        root = Path(name) / "root"
        say(f"building Domain 0 for Xen {recipe.xen} from Debian {recipe.suite} (about a minute)")
        _install_packages(recipe, root, Path(name))
        _record_versions(root, work)
        say("taking kernel and guests' parts")
        _take_kernels(root, work)
        _assemble_mini(work)
        say("writing its disk")
        _make_disk(root, work)
        os.rename(work.directory, image.directory)
    say(f"built {image.directory} in {time.monotonic() - started:.0f} s")


def _install_packages(recipe: Recipe, root: Path, work: Path) -> None:
    settings = work / "apt.conf"
    settings.write_text('APT::Install-Recommends "false";\n' + apt.network_settings())
    argv = [
        apt.program("mmdebstrap"),
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(recipe.packages)}",
    ]
    argv += [f"--aptopt={settings}", "--customize-hook=rm -f $1/etc/apt/apt.conf.d/99mmdebstrap"]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED]
    argv += [recipe.suite, str(root), "-"]
    # INITRD=No: the hooks of the kernel's package make no initramfs; the lab has its own.
    _run(argv, text=apt.sources(recipe.suite), env={**os.environ, "INITRD": "No", "LC_ALL": "C"})


def _record_versions(root: Path, image: Image) -> None:
    listing = _run(
        ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show", "--showformat=${Package} ${Version}\n"]
    )
    versions = dict(line.split(" ", 1) for line in listing.splitlines())
    (image.directory / "versions.json").write_text(json.dumps(versions, indent=1, sort_keys=True) + "\n")


def _take_kernels(root: Path, image: Image) -> None:
    """Copy out what boots; leave in Domain 0's /boot only the kernel for guests."""
    boot = root / "boot"
    image.xen.write_bytes(gzip.decompress(_only(boot, "xen-*.gz").read_bytes()))
    bzimage = _only(boot, "vmlinuz-*").read_bytes()
    image.kernel.write_bytes(bzimage)
    modules = _only(root / "lib" / "modules", "*")
    busybox = (root / "bin" / "busybox").read_bytes()
    image.dom0_cpio.write_bytes(_base_cpio(busybox, modules, _DOM0_MODULES))
    image.guest_cpio.write_bytes(_base_cpio(busybox, modules, _GUEST_MODULES))
    shutil.rmtree(boot)
    boot.mkdir()
    (boot / "guest-kernel").write_bytes(kernel.unpack_bzimage(bzimage) or bzimage)
    for mount_point in ("lab", "share"):
        (root / mount_point).mkdir()


def _base_cpio(busybox: bytes, modules: Path, names: list[str]) -> bytes:
    cpio = Cpio()
    for directory in ("dev", "proc", "sys", "root", "sbin", "lib/modules"):
        cpio.directory(directory)
    cpio.device("dev/console", 5, 1)
    cpio.device("dev/null", 1, 3)
    cpio.file("bin/busybox", busybox, 0o755)
    cpio.symlink("bin/sh", "busybox")
    files = kernel.module_closure(modules, names)
    for path in files:
        cpio.file(f"lib/modules/{path.name.removesuffix('.xz')}", kernel.read_module(path))
    cpio.file("modules", "".join(f"{path.name.removesuffix('.xz')}\n" for path in files).encode())
    return cpio.finish()


def _assemble_mini(image: Image) -> None:
    source = Path(__file__).with_name("mini.S")
    compiled = image.directory / "mini.o"
    _run([apt.program("as"), "--64", "-o", str(compiled), str(source)])
    link = [apt.program("ld"), "-m", "elf_x86_64", "-n", "-s", "--no-warn-rwx-segments"]
    _run([*link, "-Ttext=0x10000", "--section-start=.note.Xen=0x13000", "-o", str(image.mini), str(compiled)])
    compiled.unlink()


def _make_disk(root: Path, image: Image) -> None:
    used = sum(
        path.lstat().st_size + 4096 for path in root.rglob("*") if not path.is_dir() or path.is_symlink()
    )
    size_mb = used * 11 // 10 // 2**20 + 512
    argv = [apt.program("mke2fs"), "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-d", str(root)]
    _run([*argv, str(image.disk), f"{size_mb}M"])


def _only(directory: Path, pattern: str) -> Path:
    found = sorted(directory.glob(pattern))
    if len(found) != 1:
        raise LabError(f"expected one {pattern} in {directory.name}/, found {[path.name for path in found]}")
    return found[0]


def _run(argv: list[str], *, text: str | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(argv, input=text, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(
            f"{argv[0]} failed with status {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}"
        )
    return done.stdout
