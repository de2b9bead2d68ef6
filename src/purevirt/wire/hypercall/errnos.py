"""What a hypercall's negative answer means, as an exception.

Source: Xen's public errno.h (its numbers are Linux's) and what do_sysctl, do_domctl and do_xen_version
return.
"""

from __future__ import annotations

import errno

from purevirt import errors

__all__ = ["exception_of"]

_CLASSES: dict[int, tuple[type[errors.OperationError], str]] = {
    errno.EPERM: (errors.Denied, "the hypervisor refused: this domain is not privileged"),
    errno.EACCES: (
        errors.Denied,
        "the hypervisor refused: by its security policy, or for the interface version",
    ),
    errno.ENOSYS: (errors.Unsupported, "this hypervisor does not have that operation"),
    errno.EOPNOTSUPP: (errors.Unsupported, "this hypervisor does not support that operation"),
    errno.ENOMEM: (errors.NoMemory, "the hypervisor has not enough free memory"),
    errno.ESRCH: (errors.NoSuchDomain, "there is no such domain"),
}


def exception_of(number: int, *, operation: str, domain: int | None = None) -> errors.OperationError:
    """The exception that an errno (positive) of the hypervisor means, not raised. `domain` is a domid."""
    cls, words = _CLASSES.get(number, (errors.HypercallError, "the hypervisor answered"))
    name = errno.errorcode.get(number, str(number))
    if cls is errors.NoSuchDomain and domain is not None:
        words = f"there is no domain {domain}"
    return cls(
        f"{operation}: {words} ({name})",
        operation=operation,
        domain=None if domain is None else str(domain),
        channel="hypervisor",
        errno=number,
        detail=name,
    )
