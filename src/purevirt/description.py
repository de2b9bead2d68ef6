"""What a description of a domain is made of: the records that `purevirt.formats` reads and writes.

    from purevirt import description, formats

    web = description.DomainDescription(
        "web",
        boot=description.Boot(kernel="/boot/vmlinuz"),
        disks=(description.Disk("xvda", "/dev/vg0/web"),),
    )
    print(formats.format(web, "xen-xl").text())
    print(description.problems(web))

Records are immutable; `_replace` makes a changed one. Sizes are KiB; None means "not said: the toolstack's default".
`differences` says where two descriptions differ, `problems` what Xen or its tools would refuse.
"""

from __future__ import annotations

from purevirt.model.description import *  # noqa: F403 - all that a description is made of
from purevirt.model.description import __all__ as _records
from purevirt.model.description.rules import Problem, problems
from purevirt.model.domain import DomainType

__all__ = [*_records, "DomainType", "Problem", "problems"]  # noqa: PLE0604 - names, all of them
