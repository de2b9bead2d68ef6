"""One sequence of hypercalls that change a domain, and what came of each: to be the same on a real Xen and here.

`answers` takes any transport, so that the lab runs it in a real Domain 0 (`python -m tests.support.hypercall_script PV
PVH` prints JSON there) and the same test on a simulated host beside it. The domains it is given: a PV one with one
vCPU, paused once, and a PVH one with one vCPU, for which a press of a button is harmless; on a host with at least two
CPUs, credit2, and no domain 30000. It destroys the PV one at the end.
"""

from __future__ import annotations

import errno
import json
import sys

from purevirt._run import run_blocking
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.hypercall.transport import Transport
from purevirt.wire.hypercall import calls, changes, structs
from purevirt.wire.hypercall.numbers import (
    Domctl,
)
from purevirt.wire.hypercall.subops import (
    HvmParam,
    SchedulerOp,
    SendTrigger,
    ShutdownCode,
)
from purevirt.wire.hypercall.values import Answer, Hypercall, Layout
from purevirt.wire.hypercall.wrappers import domctl

MISSING = 30000
CREDIT, CREDIT2 = 5, 6


class Script:
    """Sends calls and writes down what was answered, in words."""

    def __init__(self, transport: Transport) -> None:
        self.client = run_blocking(HypercallClient.open(transport))
        self.versions = self.client.interface
        self._transport = transport
        self.written: list[tuple[str, str]] = []

    def space(self) -> Layout:
        return Layout(self._transport.base, self._transport.capacity)

    def send(self, words: str, call: Hypercall) -> Answer:
        answer = run_blocking(self._transport.call(call, None))
        name = errno.errorcode.get(-answer.value, "?") if answer.value < 0 else str(answer.value)
        self.written.append((words, name))
        return answer

    def state(self, words: str, domid: int) -> None:
        """What the domain looks like now, as far as these calls change it."""
        info = run_blocking(self.client.domain_info(domid))
        if info is None:
            self.written.append((words, "gone"))
            return
        described = (
            f"paused {info.paused}, shut down {info.shutdown} {info.shutdown_code}, max {info.max_pages}"
        )
        self.written.append((words, described))

    def affinity(self, words: str, domid: int) -> None:
        hard, soft = run_blocking(self.client.vcpu_affinity(domid, 0))
        self.written.append((words, f"hard {sorted(hard)}, soft {sorted(soft)}"))

    def weight(self, words: str, domid: int) -> None:
        self.written.append((words, str(run_blocking(self.client.sched_parameters(domid)))))


def answers(transport: Transport, pv: int, pvh: int) -> list[tuple[str, str]]:
    """(what was done, what came of it), in order."""
    script = Script(transport)
    for part in (_life, _memory, _affinity, _scheduling, _triggers, _parameters, _pools, _end):
        part(script, pv, pvh)
    return script.written


def _life(script: Script, pv: int, pvh: int) -> None:
    versions, space = script.versions, script.space
    for build in (
        changes.pause_domain,
        changes.unpause_domain,
        changes.resume_domain,
        changes.destroy_domain,
    ):
        for domid, name in ((MISSING, "a missing domain"), (0x7FF0, "DOMID_SELF")):
            script.send(f"{build.__name__} of {name}", build(space(), versions, domid))
        script.send(f"{build.__name__} of Domain 0", build(space(), versions, 0))
    unpause = changes.unpause_domain(space(), versions, pv)
    pause = changes.pause_domain(space(), versions, pv)
    script.state("paused once by its maker", pv)
    script.send("unpause", unpause)
    script.send("unpause again", unpause)
    script.state("unpaused", pv)
    script.send("pause", pause)
    for _ in range(254):
        run_blocking(script.client.pause_domain(pv))
    script.send("pause 256 times", pause)
    for _ in range(254):
        run_blocking(script.client.unpause_domain(pv))
    script.state("one pause left", pv)


def _memory(script: Script, pv: int, pvh: int) -> None:
    versions, space = script.versions, script.space
    script.send("max_mem of a missing domain", changes.max_mem(space(), versions, MISSING, 4096))
    for kib in (0, 3, 4099, 8192):
        script.send(f"max_mem {kib}", changes.max_mem(space(), versions, pv, kib))
        script.state(f"with {kib} KiB", pv)
    script.send("max_mem all ones", changes.max_mem(space(), versions, pv, (1 << 64) - 1))
    script.state("with all ones", pv)
    script.send("max_mem 8192", changes.max_mem(space(), versions, pv, 8192))


def _affinity(script: Script, pv: int, pvh: int) -> None:
    def put(words: str, domid: int, vcpu: int, hard: list[int] | None, soft: list[int] | None) -> None:
        call = changes.set_vcpu_affinity(script.space(), script.versions, domid, vcpu, hard, soft)
        script.send(f"affinity: {words}", call)

    put("of a missing domain", MISSING, 0, [0], None)
    put("of a missing vCPU", pv, 1, [0], None)
    put("of a vCPU beyond all", pv, 1 << 31, [0], None)
    put("neither", pv, 0, None, None)
    put("hard on no CPU", pv, 0, [], None)
    put("hard on a CPU that is not there", pv, 0, [700], None)
    put("hard on no CPU, and soft", pv, 0, [], [1])
    script.affinity("affinity after refusals", pv)
    put("hard on 0", pv, 0, [0], None)
    script.affinity("affinity after hard on 0", pv)
    put("soft outside of hard", pv, 0, None, [1])
    script.affinity("affinity after soft on 1", pv)
    put("soft on no CPU", pv, 0, None, [])
    script.affinity("affinity after soft on none", pv)
    put("both, and CPUs that are not there", pv, 0, [0, 1, 700], [1, 900])
    script.affinity("affinity in the end", pv)


def _scheduling(script: Script, pv: int, pvh: int) -> None:
    def put(words: str, domid: int, sched_id: int, weight: int, cap: int) -> None:
        build = changes.put_sched_parameters
        call = build(script.space(), script.versions, domid, sched_id, weight, cap)
        script.send(f"putinfo: {words}", call)

    def other(words: str, cmd: int) -> None:
        union = structs.SCHEDULER_OP.at(script.versions).pack(sched_id=CREDIT2, cmd=cmd)
        script.send(
            f"scheduler_op: {words}", domctl(script.space(), script.versions, Domctl.SCHEDULER_OP, pv, union)
        )

    script.weight("weight and cap of a new domain", pv)
    put("of a missing domain", MISSING, CREDIT2, 256, 0)
    put("of another scheduler", pv, CREDIT, 256, 0)
    put("weight 512, cap 50", pv, CREDIT2, 512, 50)
    script.weight("weight and cap then", pv)
    put("weight 768, cap 101", pv, CREDIT2, 768, 101)
    script.weight("weight and cap, after the cap was refused", pv)
    put("weight 0, cap 0", pv, CREDIT2, 0, 0)
    script.weight("weight and cap, after zeros", pv)
    put("weight 65535, cap 100", pv, CREDIT2, 65535, 100)
    put("weight 1, cap 1", pv, CREDIT2, 1, 1)
    script.weight("weight and cap, after ones", pv)
    put("weight 256, cap 0", pv, CREDIT2, 256, 0)
    other("an unknown command", 9)
    other("getinfo", SchedulerOp.GETINFO)


def _triggers(script: Script, pv: int, pvh: int) -> None:
    def pull(words: str, domid: int, trigger: int, vcpu: int = 0) -> None:
        script.send(
            f"trigger: {words}",
            changes.send_trigger(script.space(), script.versions, domid, trigger, vcpu),
        )

    pull("of a missing domain", MISSING, SendTrigger.NMI)
    pull("a missing vCPU", pv, SendTrigger.NMI, 1)
    pull("a vCPU beyond all", pv, SendTrigger.NMI, 1 << 31)
    pull("NMI, PV", pv, SendTrigger.NMI)
    for trigger in (SendTrigger.RESET, SendTrigger.INIT, SendTrigger.POWER, SendTrigger.SLEEP):
        pull(f"{trigger.name}, PV", pv, trigger)
        pull(f"{trigger.name}, PVH", pvh, trigger)
    pull("an unknown one", pv, 77)


def _parameters(script: Script, pv: int, pvh: int) -> None:
    def get(words: str, domid: int, index: int) -> Answer:
        return script.send(
            f"HVM parameter: {words}", calls.hvm_param(script.space(), script.versions, domid, index)
        )

    get("of a missing domain", MISSING, 0)
    get("of a PV domain", pv, 0)
    get("of Domain 0 as DOMID_SELF", 0x7FF0, 0)
    get("beyond all", pvh, 1000)
    answer = get("CALLBACK_IRQ of a PVH domain", pvh, HvmParam.CALLBACK_IRQ)
    wants_events = calls.hvm_param_answer(answer, script.versions) != 0
    script.written.append(("the PVH domain wants to hear of events", str(wants_events)))


def _pools(script: Script, pv: int, pvh: int) -> None:
    pools = run_blocking(script.client.cpupools())
    script.written.append(("pools", str([(pool.pool, pool.sched_id) for pool in pools])))
    script.send("the pool after the last", calls.cpu_pool(script.space(), script.versions, 1))
    script.send("no keys", changes.debug_keys(script.space(), script.versions, b""))
    script.send("a key that means nothing", changes.debug_keys(script.space(), script.versions, b"~"))
    listing = changes.debug_keys(script.space(), script.versions, b"h")
    script.send("a key", listing)
    text = run_blocking(script.client.read_console())
    script.written.append(("the key's answer", str(b"'h' pressed -> " in text)))


def _end(script: Script, pv: int, pvh: int) -> None:
    versions, space = script.versions, script.space

    def stop(domid: int, code: int) -> None:
        call = changes.remote_shutdown(space(), versions, domid, code)
        script.send(f"shutdown of {'a missing domain' if domid == MISSING else 'it'} with code {code}", call)

    stop(MISSING, ShutdownCode.POWEROFF)
    stop(pv, ShutdownCode.SUSPEND)
    script.state("suspended", pv)
    stop(pv, ShutdownCode.CRASH)
    script.state("crashed after it was suspended", pv)
    script.send("resume", changes.resume_domain(space(), versions, pv))
    script.state("resumed", pv)
    script.send("resume again", changes.resume_domain(space(), versions, pv))
    stop(pv, ShutdownCode.CRASH)
    script.state("crashed", pv)
    script.send("destroy", changes.destroy_domain(space(), versions, pv))


def main() -> None:
    from purevirt.channels.hypercall.privcmd import PrivcmdTransport

    pv, pvh = map(int, sys.argv[1:])
    transport = PrivcmdTransport.open()
    try:
        print(json.dumps(answers(transport, pv, pvh)))
    finally:
        transport.close()


if __name__ == "__main__":
    main()
