"""A tour in one program: open a host, list its domains, look at one, change it, see which channel said so.

make demo                               the simulated host of this process
python examples/demo.py xen:///         this machine, as root in Domain 0
"""

from __future__ import annotations

import sys

import purevirt
from purevirt.errors import NoSuchDomain, XenError


def show(title: str) -> None:
    print(f"\n== {title}")


def tour(uri: str) -> None:
    with purevirt.open(uri) as host:
        show(f"The host: {host.uri}")
        node = host.node_info()
        print(
            f"Xen {host.version()}, {node.cpus} CPUs, {node.memory_kib or 0:,} KiB, scheduler {host.scheduler().name}"
        )

        show("Its domains: one hypercall, and their names from the Xen Store")
        for info in host.domain_infos():
            seconds = (info.cpu_time_ns or 0) / 1e9
            print(
                f"{info.domid:>4}  {info.name:<12} {info.state.name:<8} {info.memory_kib:>9} KiB"
                f"  {info.vcpus} vCPUs  {seconds:8.1f} s"
            )

        show("One domain")
        domain = host.domains()[-1]
        print(domain)
        for vcpu in domain.vcpus():
            print(
                f"vCPU {vcpu.number}: {vcpu.state.name}, CPU {vcpu.cpu}, may run on {sorted(vcpu.hard_affinity)}"
            )
        for disk in domain.block_devices():
            counters = domain.block_stats(disk.target)
            print(
                f"disk {disk.target} on {disk.source}: {counters.rd_bytes} bytes read, {counters.wr_bytes} written"
            )
        for nic in domain.interfaces():
            traffic = domain.interface_stats(nic.device)
            print(f"interface {nic.device} {nic.mac}: {traffic.rx_bytes} bytes in, {traffic.tx_bytes} out")

        show("Its corner of the Xen Store")
        home = f"/local/domain/{domain.id()}"
        for key in host.store.list(home):
            print(f"{home}/{key}")

        if host.has_daemon and host.uri.startswith("test:"):  # no demo changes the domains of a real host
            changes(host, domain)
            supervision(host)

        show("An error is an exception that says what, and of whom")
        try:
            host.lookup_by_name("nobody")
        except NoSuchDomain as error:
            print(f"{type(error).__name__}: {error}")

        show("Which channel serves what, on this connection")
        routes = [
            (route.operation, " + ".join(channel.value for channel in route.channels), route.note)
            for route in host.explain()
        ]
        wide, wider = (max(len(row[column]) for row in routes) for column in (0, 1))
        for operation, channels, note in routes:
            print(f"{operation:<{wide}}  {channels:<{wider}}  {note}".rstrip())


WEB = """
name = "web"
memory = 64                     # MiB
kernel = "/boot/vmlinuz"
disk = ["/images/web,raw,xvda,rw"]
vif = ["bridge=xenbr0"]
on_crash = "restart"
"""


def supervision(host: purevirt.Connection) -> None:
    """A domain that is remembered, made, saved, and comes back."""
    show("A domain that is remembered: an xl.cfg, or libvirt's XML")
    web = host.define(WEB)
    print(web, web.state()[0].name)
    job = web.start()
    print(f"job {job.id} ({job.kind.value}) is {job.state.value}; its log:")
    print("\n".join(f"  {line}" for line in host.job_log(job)))
    with host.events(kinds=["started"], domain=web) as events:
        web.reboot()
        event = events.next(timeout=10)
        print(f"rebooted by its policy: it has the id {None if event is None else event.domid} now")
    web.managed_save()
    print("saved:", web.state()[0].name)
    web.start()
    print("gone on:", web.state()[0].name)


def changes(host: purevirt.Connection, domain: purevirt.Domain) -> None:
    """What the Xen daemon does for the library, and how others hear of it."""
    show("Changes go to the Xen daemon, and become events")
    with host.events() as events:
        domain.suspend()
        print("suspended:", domain.state()[0].name)
        domain.resume()
        target = domain.set_memory(131072)
        print(f"asked to balloon to {target} KiB, has {domain.info().memory_kib} KiB")
        domain.shutdown()  # returns when its kernel has acknowledged
        while (event := events.next(timeout=5)) is not None:
            print(f"event {event.kind.value:<10} {event.name:<10} {event.detail or ''}".rstrip())
            if event.kind is purevirt.EventKind.STOPPED:
                break


def main() -> int:
    try:
        tour(sys.argv[1] if len(sys.argv) > 1 else "test:///default")
    except XenError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
