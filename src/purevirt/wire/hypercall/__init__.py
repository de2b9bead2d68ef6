"""Hypercalls as values, and the structs they point to, per Xen version. No I/O.

`values`: a call and its answer.  `numbers`: the interface's constants, and `subops`: those that a listing does not
need.  `cpufeatures`: the bits of an x86 CPU.  `abi`: C structs as data.  `structs`: the declarations.  `versions`:
which Xen speaks which interface versions.  `messages`: what users see.  `calls`: a builder and a reader for each call
that looks.  `changes`: a builder for each that changes something.  `wrappers`: what both have in common.  `errnos`:
negative answers as exceptions.  `frames`: calls over a stream, to a simulated host.

Source: xen/include/public/{xen,sysctl,domctl,sched,version}.h and hvm/hvm_op.h of Xen 4.14 to 4.22.
"""

from purevirt.wire.hypercall.errnos import exception_of
from purevirt.wire.hypercall.messages import (
    CompileInfo,
    CpuPoolInfo,
    CpuTopology,
    DomainInfo,
    NumaNode,
    PhysInfo,
    VcpuAffinity,
    VcpuInfo,
)
from purevirt.wire.hypercall.values import Answer, Extent, Hypercall, Layout
from purevirt.wire.hypercall.versions import RELEASES, Interface, interface_of

__all__ = [
    "RELEASES",
    "Answer",
    "CompileInfo",
    "CpuPoolInfo",
    "CpuTopology",
    "DomainInfo",
    "Extent",
    "Hypercall",
    "Interface",
    "Layout",
    "NumaNode",
    "PhysInfo",
    "VcpuAffinity",
    "VcpuInfo",
    "exception_of",
    "interface_of",
]
