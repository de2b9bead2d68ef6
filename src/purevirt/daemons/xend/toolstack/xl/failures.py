"""What `xl` and libxl say when they fail -> one exception that names what it is about.

They say a lot, the cause first, then what follows from it, then that there is nothing to be destroyed. Here is a table
of causes; the first in it that is found in the output is the one. Where the cause is a hotplug script, which device it
was for is told by debug lines before it, which is why `xl` is run with -vvv.

Source: the messages of Xen 4.17's tools, as captured from them (tests/data/xl), and of 4.20's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from purevirt.errors import (
    DomainExists,
    InvalidConfig,
    NoMemory,
    OperationError,
    Timeout,
    Unsupported,
    XenError,
)
from purevirt.model.description import DomainDescription

__all__ = ["cause", "overdue"]

_PREFIX = re.compile(
    r"^(?:xl|libxl|xc|domainbuilder|xencall|libxl-save-helper)\S*: *"
    r"(?:(?P<level>critical|error|warn|notice|info|progress|detail|debug)(?:ing)?: *)?"
    r"(?:\w+\.c:\d+:\w+: *)?(?:Domain \d+: *)?(?P<text>.*)$"
)
_QUIET = ("debug", "detail", "progress", "info", "notice")
# What is said of the domain that could not be made, after it was ended; and what is said in any case.
_NOISE = re.compile(
    r"Non-existant domain|Unable to destroy guest|Destruction of domain failed|"
    r"^Saving to |^Loading new save file |^Savefile contains |^Parsing config from |"
    r"^migration (?:target|sender): |^Migration successful"
)
_XENBUS = re.compile(r"XENBUS_PATH: backend/(\w+)/\d+/(\d+)$")
_XENBUS_LINE = re.compile(_XENBUS.pattern, re.M)
_STARTED = re.compile(r"forking to execute: (?P<script>/\S+) (?:add|online)\b")
_OVER = re.compile(r"device_hotplug: |ao_complete|xswatch_register")  # libxl went on after it
_SCRIPT_FAILED = re.compile(r"^(?P<script>/\S+) (?:add|online) \[\d+\] (?:exited with error|died)", re.M)


class _Said(NamedTuple):
    """What a rule is asked with: what matched, the whole text (without prefixes and debug lines), the device that a
    script was called for last before it, and the description."""

    match: re.Match[str]
    text: str
    device: str
    description: DomainDescription | None


_Rule = Callable[[_Said], XenError]


def cause(output: str, status: int, description: DomainDescription | None) -> XenError:
    """What went wrong, as one line; all of the output is its `detail`. `status` is how `xl` ended."""
    text, devices = _essence(output, description)
    for pattern, rule in _RULES:
        if (match := pattern.search(text)) is not None:
            device = max((one for one in devices if one[0] <= match.start()), default=(0, "a device"))[1]
            error = rule(_Said(match, text, device, description))
            break
    else:
        error = OperationError(_first(text, status))
    error.detail = output.strip() or None
    return error


def overdue(output: str, doing: str, seconds: float, description: DomainDescription | None) -> Timeout:
    """What did not end in time: a hotplug script, if one was started last; else whatever `doing` names."""
    started = list(_STARTED.finditer(output))
    buses = list(_XENBUS_LINE.finditer(output))
    detail = output.strip() or None
    if started and buses and not _OVER.search(output, started[-1].end()):
        device = _device(buses[-1][1], int(buses[-1][2]), description)
        script = started[-1]["script"]
        return Timeout(
            f"{device}: its hotplug script {script} did not end within {seconds:g} s",
            path=script,
            detail=detail,
        )
    return Timeout(f"{doing} did not end within {seconds:g} s", detail=detail)


def _essence(output: str, description: DomainDescription | None) -> tuple[str, list[tuple[int, str]]]:
    """The lines that matter, and where in them libxl turned to which device."""
    lines: list[str] = []
    size = 0
    devices = []
    for line in output.splitlines():
        found = _PREFIX.match(line)
        if found is None:
            text = line.strip()
        elif found["level"] in _QUIET:
            if (bus := _XENBUS.search(line)) is not None:
                devices.append((size, _device(bus[1], int(bus[2]), description)))
            continue
        else:
            text = found["text"].strip()
        if text and not _NOISE.search(text):
            lines.append(text)
            size += len(text) + 1
    return "\n".join(lines), devices


def _first(text: str, status: int) -> str:
    """For what is in no rule."""
    if text:
        return _short(text.splitlines()[0])
    how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
    return f"xl {how} and did not say why"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 300 else f"{text[:297]}..."


# --- devices


def _device(kind: str, number: int, description: DomainDescription | None) -> str:
    """What messages call a device of that kind of backend."""
    if kind == "vif":
        return f"interface {number}"
    if kind in ("vbd", "vbd3", "qdisk"):
        targets = [disk.target for disk in description.disks] if description else []
        return f"disk {next((one for one in targets if number in _numbers(one)), number)}"
    return f"{kind} {number}"


def _numbers(target: str) -> Iterator[int]:
    """The numbers that a disk of that name may have in the store (xen-vbd-interface(7))."""
    found = re.fullmatch(r"(xvd|vd|sd|hd)([a-z]+)(\d*)", target)
    if found is None:
        return
    disk = 0
    for letter in found[2]:
        disk = 26 * disk + ord(letter) - ord("a") + 1
    disk, part = disk - 1, int(found[3] or 0)
    yield 1 << 28 | disk << 8 | part
    if found[1] == "hd" and disk < 4:
        yield (3, 22)[disk // 2] << 8 | (disk % 2) << 6 | part
    elif disk < 16 and part < 16:
        yield (8 if found[1] == "sd" else 202) << 8 | disk << 4 | part


def _disk(index: int, description: DomainDescription | None) -> str:
    """What messages call the disk of that index."""
    disks = description.disks if description else ()
    return f"disk {disks[index].target if index < len(disks) else index}"


# --- the rules


def _lower(reason: str) -> str:
    return reason[:1].lower() + reason[1:] if reason[1:2].islower() else reason


def _script_failed(said: _Said) -> XenError:
    script = said.match["script"]
    reason = re.search(r"^script: (.+)$", said.text[said.match.end() :], re.M)
    if reason is None:
        what = said.match.string[said.match.start() :].splitlines()[0].partition("] ")[2]
        return OperationError(f"{said.device}: its hotplug script {script} {what}", path=script)
    if (bridge := re.search(r"Could not find bridge device (\S+)", reason[1])) is not None:
        return OperationError(f"{said.device}: bridge {bridge[1]} does not exist")
    return OperationError(
        f"{said.device}: its hotplug script {script} failed: {_short(reason[1])}", path=script
    )


def _script_missing(said: _Said) -> XenError:
    script = said.match["script"]
    return OperationError(
        f"{said.device}: its hotplug script {script} cannot be run: {_lower(said.match['why'])}", path=script
    )


def _script_hangs(said: _Said) -> XenError:
    script = said.match["script"]
    return Timeout(f"{said.device}: its hotplug script {script} did not end in time", path=script)


def _file(said: _Said) -> XenError:
    """A file of the domain's builder; which one it was is said on the next line."""
    path, reason = said.match["path"], _lower(said.match["why"])
    if said.match["how"] == "seek on":
        reason = "it is not a file"
    which = re.search(r"xc_dom_(kernel|ramdisk|module|devicetree)_file failed", said.text)
    what = {"kernel": "kernel", "ramdisk": "ramdisk", "module": "ramdisk"}.get(
        which[1] if which else "", "file"
    )
    return OperationError(f"{what} {path}: {reason}", path=path)


def _no_kernel(said: _Said) -> XenError:
    kernel = said.description.boot.kernel if said.description else None
    kind = f"{said.description.type.name} " if said.description else ""
    return OperationError(
        f"kernel {kernel or '(of the boot loader)'}: not a kernel that a {kind}domain can start", path=kernel
    )


def _memory(said: _Said) -> XenError:
    if said.description is None:
        return NoMemory("not enough memory")
    return NoMemory(f"not enough memory: {said.description.memory.kib >> 10} MiB asked")


def _vdev(said: _Said) -> XenError:
    target = said.match[1]
    message = f"disks[{target}].target: {target!r} is no name of a disk, such as xvda"
    return InvalidConfig(message, problems=(message,))


def _defaults(said: _Said) -> XenError:
    index = int(said.match[1])
    disk = _disk(index, said.description)
    disks = said.description.disks if said.description else ()
    backend = disks[index].backend_domain if index < len(disks) else None
    if backend is not None:
        return OperationError(f"{disk}: there is no backend for it in the domain {backend}")
    return OperationError(f"{disk}: it cannot be had as it is described")


def _bootloader(said: _Said) -> XenError:
    loader = said.description.boot.bootloader if said.description else None
    ended = re.search(r"bootloader \[\d+\] (.+)", said.text)
    return OperationError(
        f"boot loader {loader or ''}: {ended[1] if ended else 'failed'}; its log is {said.match[1]}".replace(
            " :", ":"
        ),
        path=said.match[1],
    )


def _backend(said: _Said) -> XenError:
    device = _device(said.match["kind"], int(said.match["number"]), said.description)
    path = said.match["path"]
    return OperationError(f"{device}: its backend did not get ready ({path})", path=path)


def _silent(said: _Said) -> XenError:
    return Timeout("the guest did not suspend itself when it was asked to; it goes on")


def _unreached(said: _Said) -> XenError:
    """The transport says why, if it says anything, before libxl notices."""
    before = said.text[: said.match.start()].rpartition("\n")[0].strip()
    why = _short(before.splitlines()[-1]) if before else "the command that reaches it ended without a word"
    return OperationError(f"the other host does not receive: {why}")


def _says(template: str, kind: type[OperationError] = OperationError) -> _Rule:
    """A message made of what matched."""

    def rule(said: _Said) -> XenError:
        return kind(template.format(*(_lower(group or "") for group in said.match.groups())))

    return rule


def _refuses(template: str) -> _Rule:
    """As `_says`, for what should not have been asked for."""

    def rule(said: _Said) -> XenError:
        message = template.format(*said.match.groups())
        return InvalidConfig(message, problems=(message,))

    return rule


_RULES: tuple[tuple[re.Pattern[str], _Rule], ...] = tuple(
    (re.compile(pattern, re.M), rule)
    for pattern, rule in (
        # The device's name and file, as libxl looks at it.
        (r"^Disk vdev=(\S+) failed to stat: (.+): (.+)$", _says("disk {0}: {1}: {2}")),
        (r"^Invalid or unsupported virtual disk identifier (\S+)$", _vdev),
        (r"^Unable to set disk defaults for disk (\d+)$", _defaults),
        # Scripts. One that cannot be run ends with an error status as well.
        (r"^cannot execute (?P<script>/\S+): (?P<why>.+)$", _script_missing),
        (r"^killing execution of (?P<script>/\S+) (?:add|online) because of timeout", _script_hangs),
        (_SCRIPT_FAILED.pattern, _script_failed),
        (
            r"unable to add device with path (?P<path>/local/domain/\d+/backend/(?P<kind>\w+)/\d+/(?P<number>\d+))",
            _backend,
        ),
        # The domain's builder.
        (
            r"failed to (?P<how>open|seek on|mmap) file '(?P<path>.+?)': (?P<why>.+?)(?:: Internal error)?$",
            _file,
        ),
        (r"xc_dom_find_loader: no loader found|xc_dom_parse_image failed", _no_kernel),
        (
            r"can't allocate .*memory for domain|xc_dom_boot_mem_init failed|"
            r"[Ff]ailed to free memory for the domain|failed to allocate memory",
            _memory,
        ),
        (r"bootloader failed - consult logfile (\S+)", _bootloader),
        (r"^failed to read BIOS file: (.+)$", _says("the firmware of HVM domains cannot be read: {0}")),
        (r"device model (\S+) is not executable: (.+)$", _says("device model {0}: {1}")),
        (
            r"device model did not start|device model spawn failed",
            _says("the device model did not start; its log is in /var/log/xen"),
        ),
        # State that is written, read or sent. libxc says "(28 = No space left on device)" of what it does.
        (r"\(9 = Bad file descriptor\)", _says("sending its state was stopped")),
        (
            r"Bad mfn 0 for p2m frame list",
            _says("its memory cannot be read: its kernel tells Xen nothing of it", Unsupported),
        ),
        (
            r"(?:Failed to write .*|Save failed) \(\d+ = (.+?)\)",
            _says("its state cannot be written: {0}"),
        ),
        (r"Core dumping domain to (.+): (?!Success$)(.+)$", _says("{0}: {1}")),
        (
            r"Failed to read \d+ bytes of data for record|Restore failed \(0 = ",
            _says("the saved state is cut off or damaged"),
        ),
        (r"Restore failed \(\d+ = (.+?)\)", _says("the saved state cannot be read: {0}")),
        (r"wrong magic number", _says("not the saved state of a domain, as xl writes it")),
        (r"Can't open restore file: (.+)$", _says("the saved state cannot be read: {0}")),
        (
            r"[Ff]ailed to enable logdirty",
            _says("this Xen cannot send a domain of this type while it runs", Unsupported),
        ),
        (r"guest didn't (?:acknowledge suspend|suspend, timed out)", _silent),
        (r"reading banner from migration receiver stream", _unreached),
        # What the host has or allows.
        (r'^Domain with name "(.+)" already exists', _says("the name {0} is another domain's", DomainExists)),
        (r"^Illegal pool specified: (\S+)$", _says("there is no CPU pool {0}")),
        (
            r"^passthrough not supported on this platform",
            _says("this host cannot give its devices to domains: it has no IOMMU that Xen uses", Unsupported),
        ),
        (r"too many VCPUS", _refuses("cpus.online: more virtual CPUs than a domain may have")),
        (r"config parsing error near .*?: (.+)$", _refuses("xl does not understand the configuration: {0}")),
        (r"^Invalid domain type (\S+?)\.?$", _refuses("type: {0!r} is no type of domain that xl knows")),
    )
)
