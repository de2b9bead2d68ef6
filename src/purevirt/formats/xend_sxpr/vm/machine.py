"""What `(vm …)` says of the domain itself, where that is no single value: identity, memory, CPUs, what becomes of it.

`vcpus` is how many there may be, and `vcpu_avail` a bit for each that is there at the start. `cpus` is text for all
vCPUs ("0-3,^1"), or a list with an entry for each: text, or a list of CPUs, where none means that it runs anywhere.
`restart` is what came before the three actions.
"""

from __future__ import annotations

import re
import shlex

import purevirt.wire.sxp as sxp
from purevirt._typing import Any
from purevirt.formats.xend_sxpr.vm.pairs import Pairs
from purevirt.formats.xend_sxpr.vm.source import sayable, shown
from purevirt.formats.xend_sxpr.vm.table import mebibytes
from purevirt.model.cpulist import cpu_list
from purevirt.model.description import Action, DomainDescription
from purevirt.model.domain import uuid_of

__all__ = ["read_machine", "write_machine"]

Fields = dict[str, dict[str, Any]]

_MOST_VCPUS = 8192
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}")
_CPU_LIST = re.compile(r"\^?[0-9]+(?:-[0-9]+)?(?:,\^?[0-9]+(?:-[0-9]+)?)*")
_ANY_CPU = "all"
_RESTART = {
    "onreboot": (Action.DESTROY, Action.RESTART, Action.DESTROY),
    "always": (Action.RESTART, Action.RESTART, Action.RESTART),
    "never": (Action.DESTROY, Action.DESTROY, Action.DESTROY),
}
_ENDS = ("on_poweroff", "on_reboot", "on_crash")
_PASSING = (
    "domid", "status", "state", "start_time", "cpu_time", "online_vcpus", "store_mfn", "console_mfn",
)  # fmt: skip
"""What xend shows of a domain that runs, and what no other domain would have."""
_IDLE = {
    "features": ("",),
    "on_xend_start": ("ignore", ""),
    "on_xend_stop": ("ignore", ""),
    "change_home_server": ("False", "0", "None", ""),
    "ssidref": ("0", ""),
    "superpages": ("0", ""),
}
"""What says nothing if it is one of these."""


def read_machine(pairs: Pairs, into: Fields) -> None:
    """What the domain's own pairs say, but for its image, its devices and what is in the table."""
    if not pairs.has("name"):
        pairs.fail(f"expected (name …) in ({pairs.what} …): a domain needs a name", pairs.expression)
    into[""]["name"] = pairs.text("name") or ""
    uuid = pairs.text("uuid")
    if uuid is not None:
        if not _UUID.fullmatch(uuid):
            message = f"uuid: expected one like 01234567-89ab-cdef-0123-456789abcdef, found {uuid!r}"
            pairs.fail(message, pairs.take("uuid") or pairs.expression)
        into[""]["uuid"] = uuid_of(bytes.fromhex(uuid.replace("-", "")))
    memory, most = pairs.number("memory"), pairs.number("maxmem")
    if memory or most:
        into["memory"]["kib"] = (memory or most or 0) * 1024
        if memory and most:
            into["memory"]["max_kib"] = most * 1024
    _read_vcpus(pairs, into["cpus"])
    _read_affinity(pairs, into["cpus"])
    _read_restart(pairs, into["lifecycle"])
    arguments = pairs.text("bootloader_args")
    if arguments is not None:
        try:
            into["boot"]["bootloader_arguments"] = tuple(shlex.split(arguments))
        except ValueError:
            message = f"bootloader_args: expected words whose quotes are closed, found {arguments!r}"
            pairs.fail(message, pairs.take("bootloader_args") or pairs.expression)
    _read_security(pairs, into["security"])
    pairs.pass_over(*_PASSING)
    for key, words in _IDLE.items():
        pair = pairs.take(key)
        if pair is not None and not (len(pair) == 1 or (len(pair) == 2 and pair[1] in words)):
            pairs.unknown(pair)


def _read_vcpus(pairs: Pairs, into: dict[str, Any]) -> None:
    count, available = pairs.number("vcpus"), pairs.number("vcpu_avail")
    if available is None:
        into["online"] = 1 if count is None else count
        return
    if count is not None and available.bit_length() > count:
        available &= (1 << count) - 1
    into["maximum"] = max(available.bit_length(), 1) if count is None else count
    into["online"] = available.bit_count()
    if available & (available + 1):
        pairs.unknown(pairs.take("vcpu_avail") or pairs.expression)  # which ones, and not only how many


def _read_affinity(pairs: Pairs, into: dict[str, Any]) -> None:
    pair = pairs.take("cpus")
    if pair is None:
        cpu = pairs.number("cpu", signed=True)  # so it was called at first; -1 was any
        if cpu is not None and cpu >= 0:
            into["affinity"] = (str(cpu),)
        return
    found = pairs.value("cpus")
    if isinstance(found, list):
        lists = tuple(_cpus(pairs, one) for one in found)
        if len(lists) == 1 and max(into.get("online", 1), into.get("maximum") or 1) > 1:
            lists = (*lists, _ANY_CPU)
        into["affinity"] = lists if set(lists) != {_ANY_CPU} else ()
    elif found:
        into["affinity"] = (_cpus(pairs, found),)


def _cpus(pairs: Pairs, found: sxp.Node) -> str:
    """An entry, in the model's words."""
    if isinstance(found, list):
        numbers = [pairs.as_number("cpus", one) for one in found]
        return cpu_list(numbers) if numbers else _ANY_CPU
    text = found.replace(" ", "")
    if not text:
        return _ANY_CPU
    if not _CPU_LIST.fullmatch(text):
        pairs.fail(f"cpus: expected a list of CPUs like 0-3,^2, found {shown(found)}", found)
    return text


def _read_restart(pairs: Pairs, into: dict[str, Any]) -> None:
    word = pairs.text("restart")
    if word is None:
        return
    if word not in _RESTART:
        message = f"restart: expected one of {', '.join(_RESTART)}, found {word!r}"
        pairs.fail(message, pairs.take("restart") or pairs.expression)
    for field, action in zip(_ENDS, _RESTART[word], strict=True):
        into.setdefault(field, action)


def _read_security(pairs: Pairs, into: dict[str, Any]) -> None:
    """A label of Flask's, as xm put it; labels of other policies are of Xen's past, and kept."""
    pair = pairs.take("security")
    if pair is None:
        return
    control = sxp.child(pair[1] if len(pair) == 2 and isinstance(pair[1], list) else pair, "access_control")
    if control is None and sxp.head(pair[1] if len(pair) == 2 else pair) == "access_control":
        control = pair[1] if isinstance(pair[1], list) else None
    label = sxp.value(control, "label") if control is not None else None
    policy = sxp.value(control, "policy") if control is not None else None
    if not label or policy not in (None, "", "flask"):
        pairs.unknown(pair)
    elif into.get("label") is None:
        into["label"] = pairs.as_text("label", label)


def write_machine(description: DomainDescription) -> dict[str, sxp.Value]:
    """The domain's own pairs, in the order in which they are written."""
    memory, cpus, boot = description.memory, description.cpus, description.boot
    written: dict[str, sxp.Value] = {"name": description.name if sayable(description.name) else ""}
    if description.uuid is not None:
        written["uuid"] = str(description.uuid)
    written["memory"] = mebibytes(max(memory.kib, 0))
    if memory.max_kib is not None and memory.max_kib > 0:
        written["maxmem"] = mebibytes(memory.max_kib)
    most = cpus.online if cpus.maximum is None else cpus.maximum
    written["vcpus"] = max(most, 0)
    if cpus.maximum is not None and 0 < cpus.online <= cpus.maximum <= _MOST_VCPUS:
        written["vcpu_avail"] = (1 << cpus.online) - 1
    affinity = [entry if entry == _ANY_CPU or _CPU_LIST.fullmatch(entry) else None for entry in cpus.affinity]
    if len(affinity) == 1 and affinity != [_ANY_CPU]:
        written["cpus"] = affinity[0]
    elif affinity and None not in affinity:
        written["cpus"] = tuple(() if entry == _ANY_CPU else entry for entry in affinity)
    if boot.bootloader_arguments and all(map(sayable, boot.bootloader_arguments)):
        written["bootloader_args"] = shlex.join(boot.bootloader_arguments)
    return {key: value for key, value in written.items() if value is not None}
