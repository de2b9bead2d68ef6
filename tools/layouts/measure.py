"""Measure the hypercall structs with a compiler, against the real Xen headers.

    python tools/layouts/measure.py            print what the compiler says
    python tools/layouts/measure.py --check    fail if tests/data/layouts says anything else
    python tools/layouts/measure.py --write    rewrite tests/data/layouts

The result, one JSON file for each Xen and architecture, is what the project's own struct tables are compared
with, by a test that needs no compiler. Needs Debian (or a relative), gcc and binutils. For arm64 (or x86_64,
elsewhere) the cross compiler is used if it is there; if not, the native one is told to pass for it, which
gives the same numbers: Xen's interface uses only types that every 64-bit target lays out alike.

Neighbours: `headers` gets the headers, `dwarf` reads what the compiler recorded.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # so that this runs as a plain file, too

from tools.layouts.dwarf import Dwarf  # noqa: E402
from tools.layouts.headers import SUITES, Headers, HeadersUnavailable, headers  # noqa: E402

DATA = ROOT / "tests" / "data" / "layouts"
ARCHITECTURES = {"x86_64": ("x86_64", []), "arm64": ("aarch64", ["-U__x86_64__", "-D__aarch64__"])}
"""The architecture's name in GNU's triplets, and what makes another 64-bit compiler pass for it."""

STRUCTS = [
    "xen_sysctl",
    "xen_domctl",
    # sysctl
    "xen_sysctl_readconsole",
    "xen_sysctl_physinfo",
    "xen_sysctl_sched_id",
    "xen_sysctl_getdomaininfolist",
    "xen_sysctl_debug_keys",
    "xen_sysctl_getcpuinfo",
    "xen_sysctl_cpuinfo",
    "xen_sysctl_availheap",
    "xen_sysctl_cputopoinfo",
    "xen_sysctl_cputopo",
    "xen_sysctl_numainfo",
    "xen_sysctl_meminfo",
    "xen_sysctl_cpupool_op",
    "xen_sysctl_scheduler_op",
    # domctl
    "xen_domctl_getdomaininfo",
    "xen_domctl_getvcpuinfo",
    "xen_domctl_vcpuaffinity",
    "xen_domctl_max_mem",
    "xen_domctl_max_vcpus",
    "xen_domctl_scheduler_op",
    "xen_domctl_schedparam_vcpu",
    "xen_domctl_setdomainhandle",
    "xen_domctl_settimeoffset",
    "xen_domctl_sendtrigger",
    "xen_domctl_createdomain",
    "xenctl_bitmap",
    "xen_arch_domainconfig",
    # sched_op, hvm_op, memory_op, event_channel_op
    "sched_remote_shutdown",
    "xen_hvm_param",
    "xen_memory_reservation",
    "evtchn_alloc_unbound",
    # xen_version
    "xen_compile_info",
    "xen_platform_parameters",
    "xen_feature_info",
    "xen_build_id",
]
TYPEDEFS = [
    "xen_extraversion_t",
    "xen_capabilities_info_t",
    "xen_changeset_info_t",
    "xen_commandline_t",
    "xen_domain_handle_t",
    "domid_t",
]
CONSTANTS = re.compile(
    r"""__HYPERVISOR_[a-z]\w*
      | XEN_(SYSCTL|DOMCTL)_(INTERFACE_VERSION|[a-z]\w*)
      | XEN_SYSCTL_(PHYSCAP|SCHEDOP|CPUPOOL)_\w+
      | XEN_DOMCTL_(SCHEDOP|SENDTRIGGER|CDF)_\w+
      | _?XEN_(DOMINF|X86_EMU|SCHEDULER|VCPUAFFINITY|INVALID)_\w+
      | XEN_(EXTRAVERSION|CAPABILITIES_INFO|CHANGESET_INFO)_LEN
      | XENVER_\w+ | XENFEAT_\w+ | SHUTDOWN_\w+ | DOMID_\w+
      | SCHEDOP_\w+ | HVMOP_[gs]et_param | HVM_PARAM_\w+
      | XENMEM_populate_physmap | EVTCHNOP_alloc_unbound""",
    re.VERBOSE,
)

_INCLUDES = """\
#define __XEN_TOOLS__ 1
#include <stdint.h>
#include <xen/xen.h>
#include <xen/sched.h>
#include <xen/version.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/event_channel.h>
"""
_X86_INCLUDES = "#include <xen/arch-x86/cpufeatureset.h>\n"


def measure(xen: str, arch: str) -> dict[str, Any]:
    """Everything above for one Xen and architecture, as it stands in the data file."""
    source = headers(xen)
    with tempfile.TemporaryDirectory() as scratch:
        compiler = Compiler(arch, source, Path(scratch))
        constants = compiler.macros()
        variables = {f"v_{name}": f"struct {name}" for name in STRUCTS} | {
            f"v_{name}": name for name in TYPEDEFS
        }
        code = [f"{kind} {variable};" for variable, kind in variables.items()]
        code += ["enum {", *(f"c_{name} = ({name})," for name in constants), "} constants;"]
        information = compiler.compile("\n".join(code))
    structs = {}
    for name in [*STRUCTS, *TYPEDEFS]:
        layout = information.layout(f"v_{name}")
        fields = layout.fields
        if name in ("xen_sysctl", "xen_domctl"):  # the union's members are structs of their own
            fields = {field: place for field, place in fields.items() if "." not in field}
        structs[name] = {
            "size": layout.size,
            "fields": {field: list(place) for field, place in fields.items()},
        }
    values = {name.removeprefix("c_"): value for name, value in information.enumerators("constants").items()}
    package = f"libxen-dev {source.version}"
    return {"xen": xen, "package": package, "arch": arch, "structs": structs, "constants": values}


class Compiler:
    """A compiler for `arch`, looking at one set of headers and nothing of the C library's."""

    def __init__(self, arch: str, source: Headers, scratch: Path) -> None:
        machine, disguise = ARCHITECTURES[arch]
        self._x86 = arch == "x86_64"
        cross = shutil.which(f"{machine}-linux-gnu-gcc")
        if platform.machine() == machine:
            self._command = ["cc"]
        else:
            self._command = [cross] if cross else ["cc", *disguise]
        (scratch / "include").mkdir()
        (scratch / "include" / "xen").symlink_to(source.include / "xen")
        self._command += ["-ffreestanding", "-gdwarf-4", f"-I{scratch}/include"]
        self._scratch = scratch

    def macros(self) -> list[str]:
        """The names of the constants that these headers define: as macros, and x86's features as an enumeration."""
        text = self._run(["-dM", "-E"], "")
        names = re.findall(r"^#define (\w+) ", text, re.MULTILINE)
        found = [name for name in names if CONSTANTS.fullmatch(name)]
        if self._x86:
            found += re.findall(r"\b(XEN_X86_FEATURE_\w+) =", self._run(["-E"], ""))
        return sorted(found)

    def compile(self, code: str) -> Dwarf:
        target = self._scratch / "measured.o"
        self._run(["-c", "-o", str(target)], code)
        return Dwarf(target)

    def _run(self, options: list[str], code: str) -> str:
        source = self._scratch / "measured.c"
        includes = _INCLUDES + (_X86_INCLUDES if self._x86 else "")
        source.write_text(includes + code + "\n")
        command = [*self._command, *options, str(source)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}:\n{done.stderr}")
        return done.stdout


def render(measured: dict[str, Any]) -> str:
    """The data file's text: sorted, a struct's field or a constant a line."""
    text = json.dumps(measured, indent=2, sort_keys=True)
    return re.sub(r"\[\s+(\d+),\s+(\d+)\s+\]", r"[\1, \2]", text) + "\n"


def check(path: Path, measured: dict[str, Any]) -> list[str]:
    """What differs between a data file and the compiler, but for the package's point release: a label."""
    if not path.exists():
        return [f"{path} is missing"]
    stored = json.loads(path.read_text())
    stored["package"] = measured["package"]
    old, new = render(stored).splitlines(), render(measured).splitlines()
    return [] if old == new else [f"{path}: the compiler says otherwise; see --write and git diff"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure Xen's hypercall structs with a compiler.")
    parser.add_argument("--check", action="store_true", help="compare with the stored data")
    parser.add_argument("--write", action="store_true", help="rewrite the stored data")
    parser.add_argument(
        "--xen", choices=sorted(SUITES), action="append", help="only this Xen (may be repeated)"
    )
    chosen = parser.parse_args()
    problems = []
    for xen in chosen.xen or SUITES:
        for arch in ARCHITECTURES:
            try:
                measured = measure(xen, arch)
            except HeadersUnavailable as reason:
                problems.append(f"Xen {xen}: {reason}")
                break
            path = DATA / f"xen-{xen}-{arch}.json"
            if chosen.write:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(render(measured))
            elif chosen.check:
                problems += check(path, measured)
            else:
                sys.stdout.write(render(measured))
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
