"""new-config: a first description of a domain, as an xl.cfg or as libvirt's XML, from options or a few questions."""

from __future__ import annotations

import random
import sys
import uuid as uuids
from pathlib import PurePosixPath

import click

from purevirt import description, formats
from purevirt.cli import files, output
from purevirt.cli.context import json_option, pass_session
from purevirt.cli.parameters import Size
from purevirt.cli.session import Session
from purevirt.description import (
    Boot,
    Cpus,
    Disk,
    DiskDevice,
    DiskFormat,
    DomainDescription,
    DomainType,
    Graphics,
    GraphicsType,
    Interface,
    Memory,
)
from purevirt.errors import InvalidConfig

__all__ = ["new_config"]

_FORMATS = {
    ".qcow2": DiskFormat.QCOW2,
    ".qcow": DiskFormat.QCOW,
    ".vhd": DiskFormat.VHD,
    ".qed": DiskFormat.QED,
}
_XEN_OUI = (0x00, 0x16, 0x3E)
_GUEST_LOADER = "pygrub"
_DISK_SPEC = "/path[,target=xvda][,format=qcow2][,ro][,cdrom]"


class _Disk(click.ParamType[Disk]):
    """PATH[,target=NAME][,format=NAME][,ro][,cdrom]"""

    name = "DISK"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Disk:
        if isinstance(value, Disk):
            return value
        path, *words = str(value).split(",")
        if not path.startswith("/"):
            self.fail(
                f"{path!r} is no absolute path: write /path[,target=xvda][,format=qcow2][,ro][,cdrom]",
                param,
                ctx,
            )
        disk = Disk("", path, format=_FORMATS.get(PurePosixPath(path).suffix.lower(), DiskFormat.RAW))
        if path.lower().endswith(".iso"):
            words.append("cdrom")
        for word in words:
            key, _, rest = word.partition("=")
            if key == "target" and rest:
                disk = disk._replace(target=rest)
            elif key == "format" and rest in {one.value for one in DiskFormat if one is not DiskFormat.EMPTY}:
                disk = disk._replace(format=DiskFormat(rest))
            elif key == "ro" and not rest:
                disk = disk._replace(read_only=True)
            elif key == "cdrom" and not rest:
                disk = disk._replace(device=DiskDevice.CDROM, read_only=True)
            else:
                self.fail(
                    f"{word!r} is not one of target=NAME, format=raw|qcow2|qcow|vhd|qed, ro, cdrom",
                    param,
                    ctx,
                )
        return disk


class _Uuid(click.ParamType[uuids.UUID]):
    name = "UUID"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> uuids.UUID:
        try:
            return value if isinstance(value, uuids.UUID) else uuids.UUID(str(value))
        except ValueError:
            self.fail(f"{value!r} is no UUID", param, ctx)


@click.command("new-config")
@click.argument("name", required=False)
@click.option(
    "--type",
    "type_",
    type=click.Choice([kind.value for kind in DomainType]),
    help="How it is virtualised. Default: pvh.",
)
@click.option("--memory", type=Size(), help="What it starts with (512M, 2G). Default: 1G.")
@click.option("--maxmem", type=Size(), help="The most it may balloon to. Default: the same.")
@click.option("--vcpus", type=click.IntRange(min=1), help="Virtual CPUs. Default: 1.")
@click.option("--kernel", metavar="FILE", help="A kernel in Domain 0 (pv, pvh).")
@click.option("--ramdisk", metavar="FILE", help="The kernel's initial RAM disk.")
@click.option("--cmdline", metavar="TEXT", help="The kernel's command line.")
@click.option(
    "--bootloader", metavar="PROGRAM", help="What finds the kernel on the first disk. Default: pygrub."
)
@click.option(
    "--disk",
    "disks",
    type=_Disk(),
    multiple=True,
    help=f"{_DISK_SPEC}; may be repeated.",
)
@click.option(
    "--bridge", "bridges", metavar="NAME", multiple=True, help="An interface there; may be repeated."
)
@click.option(
    "--mac",
    "macs",
    metavar="MAC",
    multiple=True,
    help="The interfaces' addresses. Default: random.",
)
@click.option("--vnc/--no-vnc", default=None, help="A screen over VNC on 127.0.0.1 (hvm: on by default).")
@click.option("--uuid", type=_Uuid(), help="Default: random.")
@click.option("-o", "--output", "file", metavar="FILE", default="-", help="Default: standard output.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["xen-xl", "xml"]),
    help="Default: by FILE's ending (.xml), else xen-xl, an xl.cfg.",
)
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@json_option
@pass_session
def new_config(
    session: Session,
    name: str | None,
    type_: str | None,
    memory: int | None,
    maxmem: int | None,
    vcpus: int | None,
    kernel: str | None,
    ramdisk: str | None,
    cmdline: str | None,
    bootloader: str | None,
    disks: tuple[Disk, ...],
    bridges: tuple[str, ...],
    macs: tuple[str, ...],
    vnc: bool | None,
    uuid: uuids.UUID | None,
    file: str,
    format_: str | None,
    force: bool,
) -> None:
    """Write a first description of a domain, from options; without NAME, on a terminal, it asks."""
    if name is None:
        if not sys.stdin.isatty():
            raise click.UsageError("NAME is missing, and there is nobody to ask")
        name = _ask("Name")
        type_ = type_ or _ask("Type", default="pvh", choices=[kind.value for kind in DomainType])
        memory = memory or Size().convert(_ask("Memory", default="1G"), None, None)
        vcpus = vcpus or int(_ask("Virtual CPUs", default="1"))
        if not disks:
            path = _ask("Disk (a file or device; empty: none)", default="")
            disks = (_Disk().convert(path, None, None),) if path else ()
        if kernel is None and bootloader is None and type_ != "hvm":
            kernel = _ask("Kernel in Domain 0 (empty: pygrub finds one on the disk)", default="") or None
        if not bridges:
            bridge = _ask("Network bridge (empty: none)", default="xenbr0")
            bridges = (bridge,) if bridge else ()
    kind = DomainType(type_ or "pvh")
    if kind is not DomainType.HVM and kernel is None and bootloader is None:
        if not disks:
            raise click.UsageError(
                f"a {kind.name} domain needs --kernel FILE, or a --disk that a boot loader looks at"
            )
        bootloader = _GUEST_LOADER
    if len(macs) > len(bridges):
        raise click.UsageError("more addresses (--mac) than interfaces (--bridge)")
    made = DomainDescription(
        name,
        kind,
        uuid or uuids.uuid4(),
        memory=Memory(memory or 1 << 20, maxmem),
        cpus=Cpus(vcpus or 1),
        boot=Boot(kernel=kernel, ramdisk=ramdisk, command_line=cmdline, bootloader=bootloader),
        disks=_with_targets(disks),
        interfaces=tuple(
            Interface(mac=macs[index] if index < len(macs) else _random_mac(), bridge=bridge)
            for index, bridge in enumerate(bridges)
        ),
        graphics=(
            (Graphics(GraphicsType.VNC, listen="127.0.0.1", auto_port=True),)
            if (kind is DomainType.HVM if vnc is None else vnc)
            else ()
        ),
    )
    found = description.problems(made)
    if found:
        raise InvalidConfig(
            "; ".join(one.message for one in found), problems=tuple(one.message for one in found)
        )
    wanted = format_ or ("xml" if file.lower().endswith(".xml") else "xen-xl")
    text = formats.format(made, wanted).text()
    if session.json:
        if file != "-":
            files.write(file, text, force=force)
        output.print_json(
            {"name": name, "format": wanted, "file": None if file == "-" else file, "text": text}
        )
        return
    files.write(file, text, force=force)


def _ask(question: str, *, default: str | None = None, choices: list[str] | None = None) -> str:
    kind = click.Choice(choices) if choices else str
    answer: str = click.prompt(question, default=default, type=kind, err=True, show_default=bool(default))
    return answer


def _with_targets(disks: tuple[Disk, ...]) -> tuple[Disk, ...]:
    """Those that have none get the first letters that are free."""
    taken = {disk.target for disk in disks}
    free = (f"xvd{letter}" for letter in "abcdefghijklmnopqrstuvwxyz" if f"xvd{letter}" not in taken)
    return tuple(disk if disk.target else disk._replace(target=next(free)) for disk in disks)


def _random_mac() -> str:
    octets = (*_XEN_OUI, random.randrange(128), random.randrange(256), random.randrange(256))
    return ":".join(f"{octet:02x}" for octet in octets)
