"""Manage Xen hosts from Python.

    import purevirt

    with purevirt.open() as host:                       # root in Domain 0; or purevirt.open("test:///default")
        for info in host.domain_infos():
            print(info.domid, info.name, info.state.name)

`open` and `open_read_only` are the blocking API, `open_async` and `open_async_read_only` the same for asyncio.
`purevirt.formats` reads and writes descriptions of domains, made of what `purevirt.description` has.
`purevirt.store` is the Xen Store, `purevirt.testing` makes simulated hosts, `purevirt.errors` is all that is raised.

Names are loaded when first used, so that `import purevirt` stays light.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt._version import __version__

if TYPE_CHECKING:
    import purevirt.description as description
    import purevirt.errors as errors
    import purevirt.formats as formats
    import purevirt.store as store
    import purevirt.testing as testing
    from purevirt.api._async.connection import AsyncConnection, open_async, open_async_read_only
    from purevirt.api._async.console import AsyncConsole
    from purevirt.api._async.domain import AsyncDomain
    from purevirt.api._async.events import AsyncEvents
    from purevirt.api._async.store import AsyncStore
    from purevirt.api._sync.connection import Connection, open, open_read_only  # noqa: A004
    from purevirt.api._sync.console import Console
    from purevirt.api._sync.domain import Domain
    from purevirt.api._sync.events import Events
    from purevirt.api._sync.store import Store
    from purevirt.errors import XenError
    from purevirt.model import (
        Access,
        AttachedDevice,
        BlockDevice,
        BlockStats,
        Caller,
        Capabilities,
        Channel,
        CpuPool,
        Definition,
        DefinitionText,
        DomainCapabilities,
        DomainInfo,
        DomainState,
        DomainStats,
        DomainType,
        Event,
        EventKind,
        EventSource,
        GuestCapabilities,
        HostCapabilities,
        HypervisorVersion,
        Interface,
        InterfaceStats,
        Job,
        JobKind,
        JobState,
        NodeInfo,
        NumaCell,
        Role,
        Route,
        Scheduler,
        SchedulerParameters,
        ShutdownMode,
        StateReason,
        Trigger,
        Vcpu,
        VcpuCount,
        VcpuState,
    )

__all__ = [
    "Access",
    "AsyncConnection",
    "AsyncConsole",
    "AsyncDomain",
    "AsyncEvents",
    "AsyncStore",
    "AttachedDevice",
    "BlockDevice",
    "BlockStats",
    "Caller",
    "Capabilities",
    "Channel",
    "Connection",
    "Console",
    "CpuPool",
    "Definition",
    "DefinitionText",
    "Domain",
    "DomainCapabilities",
    "DomainInfo",
    "DomainState",
    "DomainStats",
    "DomainType",
    "Event",
    "EventKind",
    "EventSource",
    "Events",
    "GuestCapabilities",
    "HostCapabilities",
    "HypervisorVersion",
    "Interface",
    "InterfaceStats",
    "Job",
    "JobKind",
    "JobState",
    "NodeInfo",
    "NumaCell",
    "Role",
    "Route",
    "Scheduler",
    "SchedulerParameters",
    "ShutdownMode",
    "StateReason",
    "Store",
    "Trigger",
    "Vcpu",
    "VcpuCount",
    "VcpuState",
    "XenError",
    "__version__",
    "description",
    "errors",
    "formats",
    "open",
    "open_async",
    "open_async_read_only",
    "open_read_only",
    "store",
    "testing",
]

_HOMES = {
    "AsyncConnection": "api._async.connection",
    "AsyncConsole": "api._async.console",
    "AsyncDomain": "api._async.domain",
    "AsyncEvents": "api._async.events",
    "AsyncStore": "api._async.store",
    "Connection": "api._sync.connection",
    "Console": "api._sync.console",
    "Domain": "api._sync.domain",
    "Events": "api._sync.events",
    "Store": "api._sync.store",
    "XenError": "errors",
    "open": "api._sync.connection",
    "open_async": "api._async.connection",
    "open_async_read_only": "api._async.connection",
    "open_read_only": "api._sync.connection",
}
_MODULES = ("description", "errors", "formats", "store", "testing")


def __getattr__(name: str) -> object:
    # __import__ with a list of names returns the innermost module; importlib would have to be imported itself.
    if name in _MODULES:
        return __import__(f"purevirt.{name}", fromlist=[name])
    if name not in __all__:
        raise AttributeError(f"module 'purevirt' has no attribute {name!r}")
    value = getattr(__import__(f"purevirt.{_HOMES.get(name, 'model')}", fromlist=[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
