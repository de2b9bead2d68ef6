"""The one table of the REST interface: method, path, operation, and what it answers.

The application (`app`), the OpenAPI document (`openapi`) and the page in docs/rest.md are made from it.

Where an argument of the operation comes from is one rule: what the path names, from the path; else, of GET and DELETE,
from the query; else from the body, a JSON object. `{uuid}` is the domain that the operation is about. GET, PUT, PATCH
and DELETE are for what has a state of its own; everything else that is done is a POST to `…/actions/…`.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from purevirt.model import (
    AttachedDevice,
    BlockDevice,
    BlockStats,
    Caller,
    Capabilities,
    CpuPool,
    Definition,
    DefinitionText,
    DomainCapabilities,
    DomainInfo,
    DomainStats,
    Event,
    HypervisorVersion,
    Interface,
    InterfaceStats,
    Job,
    NodeInfo,
    NumaCell,
    Scheduler,
    SchedulerParameters,
    Vcpu,
    VcpuCount,
)
from purevirt.model.description import ActiveDescription

__all__ = ["ELSEWHERE", "PREFIX", "ROUTES", "Route"]

PREFIX = "/api/v1"

How = Literal["plain", "job", "domains", "new", "text", "put", "delete", "events", "document", "index"]


class Route(NamedTuple):
    """A line. `answers` is the type of the operation's result, None where there is none to tell.

    `how` it is served: plain (200, or 204 where there is nothing to tell); job (202, and where the job is); the others
    have a function of their own. `operation` is "" where none is called.
    """

    method: str
    path: str
    operation: str
    answers: Any
    summary: str
    how: How = "plain"

    @property
    def status(self) -> int:
        """Of an answer when all went well."""
        if self.how in ("job", "new"):
            return 202 if self.how == "job" else 201
        return 204 if self.answers is None else 200

    @property
    def waits(self) -> bool:
        """Whether the caller may ask for an answer only when there is news."""
        return self.operation in ("job", "journal")


_D = "/domains/{uuid}"

ROUTES: tuple[Route, ...] = (
    Route("GET", "/", "", dict[str, str], "Where everything is.", "index"),
    Route("GET", "/openapi.json", "", dict[str, Any], "This interface, described.", "document"),
    Route("GET", "/whoami", "whoami", Caller, "Who the caller is, and the role that gives."),
    # The host
    Route("GET", "/host", "node_info", NodeInfo, "The machine: memory and processors."),
    Route("GET", "/host/version", "version", HypervisorVersion, "The hypervisor's version."),
    Route("GET", "/host/hostname", "hostname", str, "The host's name."),
    Route("GET", "/host/free-memory", "free_memory", int, "Memory that no domain has, in KiB."),
    Route("GET", "/host/numa-cells", "numa_cells", tuple[NumaCell, ...], "The NUMA cells."),
    Route("GET", "/host/scheduler", "scheduler", Scheduler, "The scheduler of new domains."),
    Route("GET", "/host/cpupools", "cpupools", tuple[CpuPool, ...], "The pools of CPUs."),
    Route("GET", "/host/log", "dmesg", str, "The hypervisor's own log."),
    Route("GET", "/host/capabilities", "capabilities", Capabilities, "What host and guests can."),
    Route("GET", "/host/domain-capabilities", "domain_capabilities", DomainCapabilities,
          "What a domain of a kind may have."),
    # Domains
    Route("GET", "/domains", "list_domains", list[DomainInfo], "Domains that run or are defined.", "domains"),
    Route("POST", "/domains", "create", Job, "Make a domain that is not remembered.", "job"),
    Route("GET", "/domains/count", "count_domains", int, "How many domains run."),
    Route("GET", "/domains/stats", "domain_stats", list[DomainStats], "Counters of all that run."),
    Route("GET", _D, "domain_info", DomainInfo, "A domain's state, memory and vCPUs."),
    Route("GET", f"{_D}/description", "description", ActiveDescription, "All that a domain is made of."),
    Route("GET", f"{_D}/max-memory", "max_memory", int | None, "The most memory it may have, in KiB."),
    Route("PUT", f"{_D}/max-memory", "set_max_memory", None, "Set the most memory it may have."),
    Route("PUT", f"{_D}/memory", "set_memory", int, "Ask it to have so much memory; what it was asked, KiB."),
    Route("GET", f"{_D}/vcpus", "vcpus", tuple[Vcpu, ...], "Its vCPUs."),
    Route("PUT", f"{_D}/vcpus", "set_vcpus", VcpuCount, "How many vCPUs it is to use."),
    Route("PUT", f"{_D}/vcpus/{{vcpu}}/affinity", "pin_vcpu", None, "On which CPUs a vCPU may run."),
    Route("GET", f"{_D}/block-devices", "block_devices", tuple[BlockDevice, ...], "Its disks."),
    Route("GET", f"{_D}/block-devices/{{target}}/stats", "block_stats", BlockStats, "A disk's counters."),
    Route("GET", f"{_D}/interfaces", "interfaces", tuple[Interface, ...], "Its network interfaces."),
    Route("GET", f"{_D}/interfaces/{{device}}/stats", "interface_stats", InterfaceStats,
          "A network interface's counters."),
    Route("GET", f"{_D}/scheduler", "scheduler_parameters", SchedulerParameters, "Its weight and cap."),
    Route("PATCH", f"{_D}/scheduler", "set_scheduler_parameters", None, "Set its weight, cap or both."),
    Route("DELETE", f"{_D}/managed-save", "managed_save_remove", None, "Forget the state kept for its start."),
    Route("POST", f"{_D}/actions/start", "start", Job, "Start a domain that is defined.", "job"),
    Route("POST", f"{_D}/actions/suspend", "suspend", None, "Stop its vCPUs where they are."),
    Route("POST", f"{_D}/actions/resume", "resume", None, "Let its vCPUs go on."),
    Route("POST", f"{_D}/actions/shutdown", "shutdown", None, "Ask the guest to shut down."),
    Route("POST", f"{_D}/actions/reboot", "reboot", None, "Ask the guest to boot anew."),
    Route("POST", f"{_D}/actions/destroy", "destroy", None, "End it at once."),
    Route("POST", f"{_D}/actions/rename", "rename", None, "Give it another name."),
    Route("POST", f"{_D}/actions/send-sysrq", "send_sysrq", None, "Send a SysRq key."),
    Route("POST", f"{_D}/actions/inject-nmi", "inject_nmi", None, "Inject a non-maskable interrupt."),
    Route("POST", f"{_D}/actions/send-trigger", "send_trigger", None, "Send another trigger to a vCPU."),
    Route("POST", f"{_D}/actions/attach-device", "attach_device", AttachedDevice, "Give it a device."),
    Route("POST", f"{_D}/actions/detach-device", "detach_device", AttachedDevice, "Take a device away."),
    Route("POST", f"{_D}/actions/update-device", "update_device", AttachedDevice, "Change a device."),
    Route("POST", f"{_D}/actions/save", "save", Job, "Save it into a file; it is gone then.", "job"),
    Route("POST", f"{_D}/actions/managed-save", "managed_save", Job,
          "Save it; the next start goes on from there.", "job"),
    Route("POST", f"{_D}/actions/dump", "dump", Job, "Write its memory into a file.", "job"),
    Route("POST", f"{_D}/actions/migrate", "migrate", Job, "Move it to another host.", "job"),
    Route("POST", f"{_D}/actions/adopt", "adopt", None, "Take it over from the xl that waits for it."),
    # Files of domains
    Route("GET", "/saved-description", "saved_description", DefinitionText, "The description in a saved file."),
    Route("POST", "/actions/restore", "restore", Job, "Make a domain from a saved file.", "job"),
    # Definitions
    Route("GET", "/definitions", "list_definitions", list[Definition], "All that is defined, by name."),
    Route("POST", "/definitions", "define", Definition, "Define a domain that is not defined yet.", "new"),
    Route("GET", "/definitions/{uuid}", "definition", Definition, "What is remembered, without the text."),
    Route("DELETE", "/definitions/{uuid}", "undefine", None, "Forget it; if it runs, it goes on.", "delete"),
    Route("GET", "/definitions/{uuid}/text", "definition_text", DefinitionText,
          "The text as it was defined; its revision is the ETag.", "text"),
    Route("PUT", "/definitions/{uuid}/text", "define", Definition,
          "Define it so: anew (If-None-Match: *), or in place of a revision (If-Match).", "put"),
    Route("PUT", "/definitions/{uuid}/autostart", "set_autostart", None, "Whether it starts with the host."),
    # Jobs
    Route("GET", "/jobs", "jobs", list[Job], "The jobs, oldest first."),
    Route("GET", "/jobs/{id}", "job", Job, "A job, or its next revision when there is one."),
    Route("GET", "/jobs/{id}/log", "job_log", list[str], "What it has told."),
    Route("POST", "/jobs/{id}/actions/cancel", "job_cancel", Job, "Call it off; as it is at this moment."),
    # Events
    Route("GET", "/journal", "journal", list[Event], "The events after a number, or the next one."),
    Route("GET", "/events", "journal", Event, "Events as they happen: text/event-stream.", "events"),
)  # fmt: skip
"""Every route, in the order in which it is shown."""

ELSEWHERE: dict[str, str] = {
    "domid": "domain_info",
    "domain_name": "domain_info",
    "domain_type": "domain_info",
    "domain_state": "domain_info",
    "lookup_id": "list_domains",
    "lookup_name": "list_domains",
    "lookup_uuid": "domain_info",
}
"""Operations without a route, and the one whose answer holds theirs."""
