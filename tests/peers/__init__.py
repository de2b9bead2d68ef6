"""Real XenStore daemons and clients, run on a machine without Xen.

Debian's C ``xenstored`` and ``oxenstored`` are the peers that our own client and our own daemon are compared
with: `shim.c`, preloaded into them, answers for the hypervisor. Several may run at once, no root is needed,
and nothing outside a temporary directory is touched, so this is safe on a real Xen host too.

    from tests import peers

    peers.need()                              # skips the test, with the reason, where a package is missing
    with peers.xenstored() as peer:           # or peers.oxenstored()
        peers.tool("xenstore-write", peer.socket, "/a", "1")
        with peer.guest(7) as guest:          # a domain without privileges, on its ring
            guest.send(packet)
        peer.domain_died(7)                   # as the hypervisor would say it
    peers.test_xenstore(our_daemon.socket)    # the real clients also work against any other daemon
    peers.xl_create_dry_run(config)           # what the real xl makes of a configuration file

    peers.need_schemas()
    peers.schema_faults("domain.rng", texts)  # what libvirt's own schema has against documents

Neighbours: `_daemon` starts and stops the daemons, `_guest` is the domain's end of a ring, `_tools` runs
programs, `_xl` is xl as a reader of files, `_schemas` holds XML against libvirt's schemas, `_systemd` knows where
systemd-analyze is,
`_packages` knows what must be installed
(``python -m tests.peers install``).
"""

from ._daemon import DAEMONS, Peer, oxenstored, xenstored
from ._guest import Guest
from ._packages import PeerError, available, install, need
from ._schemas import SCHEMAS, need_schemas, schema_faults
from ._systemd import need_systemd
from ._tools import TOOLS, start_tool, test_xenstore, tool
from ._xl import xl_create_dry_run

__all__ = [
    "DAEMONS",
    "SCHEMAS",
    "TOOLS",
    "Guest",
    "Peer",
    "PeerError",
    "available",
    "install",
    "need",
    "need_schemas",
    "need_systemd",
    "oxenstored",
    "schema_faults",
    "start_tool",
    "test_xenstore",
    "tool",
    "xenstored",
    "xl_create_dry_run",
]
