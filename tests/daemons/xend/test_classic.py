"""The classic interface beyond what was recorded: every operation, every form of error, and any input at all."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

import purevirt.wire.sxp as sxp
from purevirt.channels.files import HostFiles
from purevirt.daemons.xend.classic import ClassicFace, operations
from purevirt.daemons.xend.http import Request, Response
from purevirt.errors import ChannelUnavailable, InvalidConfig, NoSuchDomain, Timeout, WrongState
from purevirt.formats import xend_sxpr
from purevirt.model import BlockDevice, DomainStats, DomainType, Interface
from purevirt.model.access import Caller, Role
from tests.daemons.xend.double import ADMIN, READER, Double, Guest
from tests.daemons.xend.line import Line, until

FORM = ("content-type", "application/x-www-form-urlencoded")
BROWSER = (("user-agent", "Mozilla"), ("accept", "text/html"))
UUID1 = "596a5d21-71f4-8fb2-e068-e2386a5c413e"


def dom0() -> Guest:
    return Guest(0, "00000000-0000-0000-0000-000000000000", "Domain-0", 1024, None, 2, 5, "r-----")


def pv1(flags: str = "-b----") -> Guest:
    disk = BlockDevice("xvda", 51712, "/a.img", "disk", "qcow2", "qdisk", True, 0, True)
    nic = Interface("vif1.0", 0, "00:16:3e:00:00:01", "bridge", "br0", None, None, 0, True)
    return Guest(1, UUID1, "pv1", 64, 128, 2, 5, flags, disks=(disk,), nics=(nic,))


class Face:
    """A face over a double, one event loop per call."""

    def __init__(
        self, *guests: Guest, scheduler: str = "credit", keep: float = 1.0, patience: float = 2.0
    ) -> None:
        self.double = Double(list(guests) or [dom0(), pv1()], scheduler)
        self.keep, self.patience = keep, patience

    def face(self) -> ClassicFace:
        return ClassicFace(self.double, HostFiles("/nowhere"), keep=self.keep, patience=self.patience)

    def ask(
        self,
        method: str,
        target: str,
        *headers: tuple[str, str],
        body: bytes = b"",
        caller: Caller = ADMIN,
    ) -> Response:
        async def run() -> Response:
            face = self.face()
            try:
                return await face(Request(method, target, headers, body, caller))
            finally:
                await face.close()

        return asyncio.run(run())

    def get(self, target: str, *headers: tuple[str, str], caller: Caller = ADMIN) -> Response:
        return self.ask("GET", target, *headers, caller=caller)

    def post(self, target: str, op: str, arguments: dict[str, str], caller: Caller = ADMIN) -> Response:
        body = urlencode({"op": op, **arguments}).encode()
        return self.ask("POST", target, FORM, body=body, caller=caller)

    def op(self, op: str, caller: Caller = ADMIN, **arguments: str) -> Response:
        return self.post("/xend/domain/pv1", op, arguments, caller)


def error(response: Response) -> str:
    """The words of an operation that failed."""
    found = sxp.parse_one(response.body)
    assert isinstance(found, list)
    assert found[0] == "xend.err"
    assert dict(response.headers)["Content-type"] == "application/sxp"
    return str(found[1])


DONE: list[tuple[str, dict[str, str], int, bytes, list[tuple[str, str | None, dict[str, object]]]]] = [
    ("pause", {}, 200, b"", [("suspend", "pv1", {})]),
    ("unpause", {}, 200, b"", [("resume", "pv1", {})]),
    ("destroy", {}, 202, b"", [("destroy", "pv1", {})]),
    ("shutdown", {"reason": "suspend"}, 202, b"", [("shutdown", "pv1", {"mode": "suspend"})]),
    ("rename", {"name": "other"}, 202, b"", [("rename", "pv1", {"name": "other"})]),
    ("reset", {}, 202, b"", [("send_trigger", "pv1", {"trigger": "reset", "vcpu": 0})]),
    ("sysrq", {"key": "115"}, 202, b"", [("send_sysrq", "pv1", {"key": "s"})]),
    ("wait_for_devices", {}, 202, b"", []),
    (
        "pincpu",
        {"vcpu": "1", "cpumap": "0, 2,3"},
        200,
        b"0",
        [("pin_vcpu", "pv1", {"vcpu": 1, "cpus": [0, 2, 3], "soft": False})],
    ),
    (
        "pincpu",
        {"vcpu": "all", "cpumap": "1"},
        200,
        b"0",
        [("pin_vcpu", "pv1", {"vcpu": number, "cpus": [1], "soft": False}) for number in (0, 1)],
    ),
    ("set_vcpus", {"vcpus": "2"}, 200, b"", [("set_vcpus", "pv1", {"count": 2})]),
    ("maxmem_set", {"memory": "64"}, 200, b"", [("set_max_memory", "pv1", {"kib": 65536})]),
    ("mem_target_set", {"target": " 32 "}, 200, b"", [("set_memory", "pv1", {"kib": 32768})]),
    ("domain_sched_credit_get", {}, 200, b"\"{'cap': 0, 'weight': 256}\"", []),
    (
        "domain_sched_credit_set",
        {"weight": "512", "cap": "50"},
        200,
        b"0",
        [("set_scheduler_parameters", "pv1", {"weight": 512, "cap": 50})],
    ),
    ("domain_sched_credit_set", {"cap": "0"}, 200, b"0", [("set_scheduler_parameters", "pv1", {"cap": 0})]),
    (
        "devices",
        {"type": "vbd"},
        200,
        b"((51712 (vbd (dev xvda:disk) (uname tap:qcow2:/a.img) (mode r) (backend 0))))",
        [],
    ),
    ("devices", {"type": "vif"}, 200, b"((0 (vif (bridge br0) (mac 00:16:3e:00:00:01) (backend 0))))", []),
    ("devices", {"type": "pci"}, 200, b"()", []),
]


@pytest.mark.parametrize(
    ("op", "arguments", "status", "body", "changes"), DONE, ids=[f"{d[0]} {d[1]}" for d in DONE]
)
def test_an_operation_is_what_the_supervisor_is_asked_for(
    op: str,
    arguments: dict[str, str],
    status: int,
    body: bytes,
    changes: list[tuple[str, str | None, dict[str, object]]],
) -> None:
    face = Face()
    response = face.post("/xend/domain/pv1", op, arguments)
    assert (response.status, response.body, face.double.changes) == (status, body, changes)
    assert ("Location" in dict(response.headers)) == (status == 202)


def test_credit2_has_operations_of_its_own() -> None:
    face = Face(scheduler="credit2")
    assert face.op("domain_sched_credit2_get").body == b"\"{'weight': 256}\""
    assert face.op("domain_sched_credit2_set", weight="300").body == b"0"
    assert face.double.changes == [("set_scheduler_parameters", "pv1", {"weight": 300})]
    assert "is credit2, not credit" in error(face.op("domain_sched_credit_get"))
    assert "is credit2, not credit" in error(face.op("domain_sched_credit_set", weight="1"))
    other = Face(scheduler="null")
    assert "is another, not credit" in error(other.op("domain_sched_credit_get"))
    assert "cpu_weight" not in other.get("/xend/domain/pv1").body.decode()


WRONG: list[tuple[str, dict[str, str], str]] = [
    ("shutdown", {}, "Missing parameter: reason"),
    ("shutdown", {"reason": "now"}, "Invalid reason: now"),
    ("rename", {}, "Missing parameter: name"),
    ("sysrq", {"key": "s"}, "invalid literal for int() with base 10: 's'"),
    ("sysrq", {"key": "7"}, "Invalid key: 7"),
    ("pincpu", {"vcpu": "0"}, "Missing parameter: cpumap"),
    ("pincpu", {"vcpu": "x", "cpumap": "0"}, "invalid literal for int() with base 10: 'x'"),
    ("pincpu", {"vcpu": "0", "cpumap": ""}, "invalid literal for int() with base 10: ''"),
    ("set_vcpus", {"vcpus": "1" * 50}, f"invalid literal for int() with base 10: '{'1' * 50}'"),
    ("set_vcpus", {"vcpus": "1_0"}, "invalid literal for int() with base 10: '1_0'"),
    ("set_vcpus", {"vcpus": "²"}, "invalid literal for int() with base 10: '²'"),
    ("domain_sched_credit_set", {}, "Missing parameter: weight"),
    ("save", {}, "Missing parameter: file"),
    ("dump", {"file": "/x", "live": "0", "crash": "0"}, "Missing parameter: reset"),
    ("migrate", {"destination": "h"}, "Missing parameter: live"),
    (
        "migrate",
        {
            "destination": "h",
            "live": "1",
            "port": "8002",
            "node": "-1",
            "ssl": "0",
            "change_home_server": "yes",
        },
        "port: not supported: domains move over ssh, expected 0",
    ),
    (
        "device_create",
        {"config": "(vbd"},
        "Coercion to sxpr failed: not an S-expression: the input ends within a list (byte 4)",
    ),
    ("device_create", {"config": "(vbd) (vif)"}, "Too many sxprs"),
    ("device_create", {"config": " "}, "Coercion to sxpr failed"),
    ("device_create", {"config": "(vbd)"}, "config:1:1: (vbd …) lacks (dev …), as in (dev xvda)"),
    ("cpu_sedf_get", {}, "the scheduler of this host is not sedf: Xen has none since 4.6"),
    ("configure", {}, "not supported: this operation never worked in xend either"),
]


@pytest.mark.parametrize(("op", "arguments", "words"), WRONG, ids=[f"{w[0]} {w[1]}"[:60] for w in WRONG])
def test_a_wrong_argument_is_named_in_the_words_of_xend(
    op: str, arguments: dict[str, str], words: str
) -> None:
    face = Face()
    response = face.post("/xend/domain/pv1", op, arguments)
    assert (response.status, response.reason) == (500, f"Request failed: {op}")
    assert error(response) == words
    assert face.double.changes == []


def test_every_operation_of_xend_is_known() -> None:
    """The table in docs/xend.md has all of Xen 4.1, and names what is served."""
    page = (Path(__file__).parents[3] / "docs" / "xend.md").read_text()
    table = page.partition("### Operations on a domain")[2].partition("###")[0]
    rows = [
        line.split("|")[1]
        for line in table.splitlines()
        if line.startswith("| `") and "arguments" not in line
    ]
    assert sorted(operations.DOMAIN) == sorted(name for row in rows for name in re.findall(r"`(\w+)`", row))


FAILING: list[tuple[BaseException, int, str]] = [
    (WrongState("domain pv1 is paused already"), 500, "domain pv1 is paused already"),
    (Timeout("no answer in 30 s"), 500, "no answer in 30 s"),
    (InvalidConfig("it's out of range"), 500, "it's out of range"),
    (NoSuchDomain("pv1 is gone"), 500, "pv1 is gone"),
]


@pytest.mark.parametrize(("failure", "status", "words"), FAILING)
def test_what_the_supervisor_refuses_is_told(failure: BaseException, status: int, words: str) -> None:
    for op, operation, arguments in (("pause", "suspend", {}), ("shutdown", "shutdown", {"reason": "halt"})):
        face = Face()
        face.double.failing[operation] = failure
        response = face.post("/xend/domain/pv1", op, arguments)
        assert (response.status, response.reason, error(response)) == (status, f"Request failed: {op}", words)


def test_a_caller_without_the_role_is_refused() -> None:
    face = Face()
    response = face.op("pause", caller=READER)
    assert (response.status, response.reason) == (403, "Request failed: pause")
    assert error(response) == "user 1000 may not change domains"
    assert face.double.changes == []
    created = face.post("/xend/domain", "create", {"config": "(vm)"}, caller=READER)
    assert (created.status, error(created)) == (403, "this takes the role operator")
    nobody = READER._replace(role=Role.NONE)
    for target in ("/xend/domain", "/xend/domain/pv1", "/xend/node", "/xend/node/dmesg"):
        response = face.get(target, caller=nobody)
        assert (response.status, response.reason, response.body) == (
            403,
            "Forbidden",
            b"user 1000 may not read",
        )


def test_a_read_that_fails_is_a_500() -> None:
    face = Face()
    face.double.failing["list_domains"] = ChannelUnavailable("the hypervisor does not answer")
    response = face.get("/xend/domain")
    assert (response.status, response.reason) == (500, "Internal server error")
    assert (dict(response.headers)["Content-type"], response.body) == (
        "text/plain",
        b"the hypervisor does not answer",
    )


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("/favicon.ico", "Not found favicon.ico"),
        ("/xend/nothing", "Not found nothing"),
        ("/xend/node/x/y", "Not found x"),
        ("/xend/node/dmesg/y", "Not found y"),
        ("/xend/domain/pv1/y", "Not found y"),
        ("/xend/vnet/7", "Not found 7"),
        ("/a%2Fb", "Not found a/b"),
        ("/%ff%00", "Not found \udcff\0"),
        ("/xend/domain/it's", '<Fault 3: "it\'s">'),
        ("/xend/domain/99", "<Fault 3: '99'>"),
        ("/xend/domain/" + "9" * 5000, f"<Fault 3: '{'9' * 5000}'>"),
    ],
)
def test_what_is_not_there_is_a_404(target: str, words: str) -> None:
    for response in (Face().get(target), Face().post(target, "pause", {})):
        assert (response.status, response.reason) == (404, "Not found")
        assert response.body == words.encode("utf-8", "surrogateescape")
        assert dict(response.headers)["Content-type"] == "text/plain"


@pytest.mark.parametrize(
    "target", ["/xend/domain/pv1", "/xend/domain", "/xend", "/", "/xend/node", "/xend/node/log"]
)
def test_a_post_names_exactly_one_operation(target: str) -> None:
    for body in (b"", b"a=b", b"op=x&op=y"):
        response = Face().ask("POST", target, FORM, body=body)
        assert (response.status, response.reason, response.body) == (406, "Invalid request", b"")
        assert "Content-type" not in dict(response.headers)
    response = Face().post(target, "frobnicate", {})
    assert (response.status, response.reason) == (501, "Operation not implemented: frobnicate")


def test_other_methods_are_not_supported() -> None:
    response = Face().ask("DELETE", "/xend/domain/pv1")
    assert (response.status, response.reason) == (501, "Not implemented")
    assert response.body == b"Request method not supported (DELETE)"


def test_the_small_resources() -> None:
    face = Face()
    assert face.get("/").body == b"(ls )''"
    assert face.get("//xend//").body == b"(ls  node domain vnet)''"
    assert face.get("http://h:1/xend?x=1").body == face.get("/xend#y").body == b"(ls  node domain vnet)''"
    assert face.get("/xend/vnet").body == b"()"
    assert error(face.post("/xend/vnet", "create", {"config": "(vnet)"})).startswith("not supported")
    assert error(face.post("/xend/node", "reboot", {})).startswith("not supported")
    assert error(face.post("/xend/node/dmesg", "clear", {})).startswith("not supported")
    assert face.get("/xend/node/log").body.decode() == (
        "[1970-01-01 00:00:00 xend] changed pv1 set_memory\n[1970-01-01 00:01:01 store] stopped 7\n"
    )
    node = xend_sxpr.read_node(sxp.parse_one(face.get("/xend/node").body))
    assert (node.free_cpus, node.xen_caps, node.xen_scheduler) == (0, None, "credit")
    assert (
        xend_sxpr.read_node(sxp.parse_one(Face(scheduler="null").get("/xend/node").body)).xen_scheduler
        == "unknown"
    )


STATES = ["r-----", "------", "-b----", "--p---", "---s--", "---sc-"]


def test_a_listing_has_the_domains_of_one_state_by_name() -> None:
    guests = [
        Guest(i, f"{i:032x}", name, 64, 64, 1, 0, flags)
        for i, (name, flags) in enumerate(zip("fedcba", STATES, strict=True))
    ]
    face = Face(*guests)
    for query, names in {
        "": "(d e f)",
        "?state=running": "(d e f)",
        "?state=Paused": "(c)",
        "?state=halted": "()",
        "?state=suspended": "()",
        "?state=crashed": "(a)",
        "?state=unknown": "(b)",
        "?state=all": "(a b c d e f)",
        "?state=nonsense": "()",
        "?state=": "(d e f)",
    }.items():
        assert face.get(f"/xend/domain{query}").body.decode() == names
        detailed = sxp.parse_one(face.get(f"/xend/domain?detail=1&{query[1:]}").body)
        assert "(" + " ".join(str(sxp.value(one, "name")) for one in detailed) + ")" == names
    assert face.post("/xend/domain", "list", {}).body == face.get("/xend/domain?detail=1").body
    assert (
        face.ask("POST", "/xend/domain?op=list&state=paused").body
        == face.get("/xend/domain?detail=1&state=paused").body
    )


def test_a_domain_is_found_by_name_id_or_uuid() -> None:
    guests = [
        Guest(3, f"{3:032x}", "4", 64, 64, 1, 0, "r-----"),
        Guest(4, f"{4:032x}", "three", 64, 64, 1, 0, "r-----"),
        Guest(5, f"{5:032x}", None, 64, 64, 1, 0, "r-----"),
    ]
    face = Face(*guests)
    for x, domid in {
        "4": 3,  # the name counts before the id
        "3": 3,
        "three": 4,
        "%74hree": 4,
        f"{4:032x}": 4,
        "00000000-0000-0000-0000-000000000005": 5,
        "Domain-5": 5,
    }.items():
        found = xend_sxpr.read_domain(sxp.parse(face.get(f"/xend/domain/{x}?detail=1").body)[0])
        assert found.info.domid == domid
    assert face.get("/xend/domain?state=all").body == b"(4 Domain-5 three)"


def test_what_is_shown_of_a_domain_that_another_toolstack_made() -> None:
    guest = pv1()
    guest.type = DomainType.HVM
    guest.affinity = frozenset({1})
    assert Face(dom0(), guest).get("/xend/domain/pv1").body.decode() == (
        "(domain (domid 1) (cpu_weight 256) (cpu_cap 0) (pool_name Pool-0) (bootloader '') (vcpus 2)"
        f" (cpus ((1) (1))) (uuid {UUID1}) (bootloader_args '') (name pv1) (maxmem 128) (memory 64)"
        " (vcpu_avail 3) (features '') (on_xend_start ignore) (on_xend_stop ignore) (cpu_time 5e-09)"
        " (online_vcpus 2) (image (hvm (kernel '') (superpages 0) (nomigrate 0) (tsc_mode 0))) (status 2)"
        " (state -b----) (device (vif (bridge br0) (mac 00:16:3e:00:00:01) (backend 0)))"
        " (device (vbd (dev xvda:disk) (uname tap:qcow2:/a.img) (mode r) (backend 0))))''"
    )
    unlimited = Face().get("/xend/domain/Domain-0").body
    assert b"(maxmem 1024) (memory 1024)" in unlimited


def test_arguments_come_from_query_and_form_and_the_form_counts() -> None:
    face = Face()
    response = face.ask("POST", "/xend/domain/pv1?op=pause&name=a&x=", FORM, body=b"op=rename&name=b+c")
    assert response.status == 202
    assert face.double.changes == [("rename", "pv1", {"name": "b c"})]
    twice = face.ask("POST", "/xend/domain/pv1", FORM, body=b"op=rename&name=b&name=c")
    assert error(twice) == "Too many values for name"
    blank = face.ask("POST", "/xend/domain/pv1", FORM, body=b"op=sysrq&key=")
    assert error(blank) == "invalid literal for int() with base 10: ''"
    dropped = face.ask("POST", "/xend/domain/pv1?op=sysrq&key=")
    assert error(dropped) == "Missing parameter: key"
    other_type = face.ask("POST", "/xend/domain/pv1", ("content-type", "text/plain"), body=b"op=pause")
    assert other_type.status == 406


MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="op"\r\n\r\nrename\r\n'
    b'--b\r\nContent-Disposition: form-data; filename="f"; name="name"\r\nContent-Type: text/plain\r\n\r\n'
    b"a\r\nb\xff\r\n--b--\r\n"
)


def test_a_multipart_form_is_read() -> None:
    face = Face()
    kind = ("content-type", 'multipart/form-data; boundary="b"')
    assert face.ask("POST", "/xend/domain/pv1", kind, body=MULTIPART).status == 202
    assert face.double.changes == [("rename", "pv1", {"name": "a\r\nb\udcff"})]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", MULTIPART),
        ("multipart/form-data; boundary=b", MULTIPART[:-8]),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--"),
        ("multipart/form-data; boundary=b", b"--b\r\n" * 3000 + b"--b--"),
        ("application/x-www-form-urlencoded", b"&".join([b"a=b"] * 2000)),
    ],
)
def test_a_form_that_cannot_be_read_is_a_400(kind: str, body: bytes) -> None:
    response = Face().ask("POST", "/xend/domain/pv1", ("content-type", kind), body=body)
    assert (response.status, response.reason) == (400, "Bad request")


def test_the_location_is_where_the_client_found_us() -> None:
    for host, shown in (
        ("xen.example:8000", "xen.example:8000"),
        ("[::1]:8000", "[::1]:8000"),
        ("a b", "localhost"),
    ):
        response = Face().ask("POST", "/xend/domain/pv1?op=destroy", ("host", host))
        assert dict(response.headers)["Location"] == f"http://{shown}/xend/domain/pv1/.."


def test_a_browser_gets_a_page() -> None:
    response = Face().get("/xend/domain", *BROWSER)
    page = response.body.decode()
    assert dict(response.headers)["Content-type"] == "text/html"
    assert '<a href="/xend/domain/Domain-0">Domain-0</a>' in page
    assert "<pre>(Domain-0 pv1)</pre>" in page
    assert "<pre>(ls  node domain vnet)</pre>" in Face().get("/xend", *BROWSER).body.decode()
    failed = Face().ask("POST", "/xend/domain/pv1?op=sysrq&key=%3Cb%3E", *BROWSER)
    assert failed.status == 500
    assert b"<p>invalid literal for int() with base 10: &#x27;&lt;b&gt;&#x27;</p>" in failed.body
    assert (
        b"<p>Operation not implemented: &lt;b&gt;</p>"
        in Face().ask("POST", "/xend?op=%3Cb%3E", *BROWSER).body
    )
    evil = Face(Guest(1, f"{1:032x}", '"><script>', 64, 64, 1, 0, "r-----")).get("/xend/domain", *BROWSER)
    assert b"<script>" not in evil.body
    for headers in (BROWSER[:1], BROWSER[1:], (*BROWSER[:1], ("accept", "text/html, application/sxp"))):
        assert Face().get("/xend/domain", *headers).body == b"(Domain-0 pv1)"


def test_a_guest_that_takes_its_time_keeps_nobody_waiting() -> None:
    async def run() -> None:
        double = Double([pv1()])
        go_on = asyncio.Event()

        async def wait() -> None:
            await go_on.wait()

        double.before["shutdown"] = wait
        face = ClassicFace(double, HostFiles("/nowhere"), patience=0.01)
        response = await face(Request("POST", "/xend/domain/pv1?op=shutdown&reason=halt", (), b"", ADMIN))
        assert (response.status, double.changes) == (202, [])
        go_on.set()
        await until(lambda: double.changes == [("shutdown", "pv1", {"mode": "halt"})])
        # A failure that comes too late to be told disturbs nobody.
        double.failing["shutdown"] = WrongState("the guest refuses")
        go_on.clear()
        response = await face(Request("POST", "/xend/domain/pv1?op=shutdown&reason=halt", (), b"", ADMIN))
        assert response.status == 202
        go_on.set()
        for _ in range(5):
            await asyncio.sleep(0)
        go_on.clear()
        await face(Request("POST", "/xend/domain/pv1?op=shutdown&reason=halt", (), b"", ADMIN))
        await face.close()

    asyncio.run(run())


def test_devices_are_waited_for_until_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "_DEVICE_POLL", 0)
    face = Face(pv1())
    guest = face.double.guests[0]
    ready = guest.disks
    guest.disks = (ready[0]._replace(connected=False),)
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            guest.disks = ready

    face.double.before["block_devices"] = look
    assert face.op("wait_for_devices").status == 202
    assert looks == 3
    monkeypatch.setattr(operations, "_DEVICE_TIME", 0.01)
    guest.nics = (guest.nics[0]._replace(connected=False),)
    assert error(face.op("wait_for_devices")) == "not connected after 0.01 s: vif 0"


def listing(count: int, keep: float, between: Callable[[Double], None]) -> tuple[list[bytes], Double]:
    async def run() -> list[bytes]:
        face = ClassicFace(double, HostFiles("/nowhere"), keep=keep)
        bodies = []
        for _ in range(count):
            bodies.append((await face(Request("GET", "/xend/domain?detail=1", (), b"", ADMIN))).body)
            between(double)
        return bodies

    double = Double([dom0(), pv1()])
    return asyncio.run(run()), double


def test_a_listing_reads_what_is_dear_once_in_a_while_and_state_always() -> None:
    def change(double: Double) -> None:
        double.guests[1].cpu_time += 1_000_000_000
        double.guests[1].weight += 1

    bodies, double = listing(3, 1000.0, change)
    assert (double.reads.count("list_domains"), double.reads.count("domain_stats")) == (3, 1)
    assert double.reads.count("scheduler_parameters") == 2
    assert [body.count(b"(cpu_time 1.000000005)") for body in bodies] == [0, 1, 0]
    assert [body.count(b"(cpu_weight 256)") for body in bodies] == [2, 2, 2]
    bodies, double = listing(3, 0, change)
    assert double.reads.count("domain_stats") == 3
    assert [body.count(b"(cpu_weight 257)") for body in bodies] == [0, 1, 0]


def test_a_new_domain_is_listed_at_once_and_one_that_went_is_not() -> None:
    def change(double: Double) -> None:
        if len(double.guests) == 2:
            double.guests.append(Guest(9, f"{9:032x}", "new", 64, 64, 1, 0, "r-----"))
        else:
            del double.guests[1]

    bodies, _ = listing(3, 1000.0, change)
    assert [(b"(name pv1)" in body, b"(name new)" in body) for body in bodies] == [
        (True, False),
        (True, True),
        (False, True),
    ]


def test_what_this_face_changed_is_listed_at_once() -> None:
    async def run() -> None:
        double = Double([pv1()])
        face = ClassicFace(double, HostFiles("/nowhere"), keep=1000.0)
        for weight in (256, 300):
            double.guests[0].weight = weight
            listed = await face(Request("GET", "/xend/domain?detail=1", (), b"", ADMIN))
            assert f"(cpu_weight {weight})".encode() in listed.body
            await face(Request("POST", "/xend/domain/pv1?op=pause", (), b"", ADMIN))

    asyncio.run(run())


def test_a_domain_that_goes_between_two_looks_is_a_404_or_listed_as_it_was() -> None:
    face = Face()
    face.double.failing["domain_info"] = NoSuchDomain("gone")
    assert face.get("/xend/domain/pv1").body == b"<Fault 3: 'pv1'>"
    face = Face()
    face.double.failing["vcpus"] = NoSuchDomain("gone")
    assert face.get("/xend/domain/pv1?op=vcpuinfo").status == 404
    face = Face()
    face.double.failing["scheduler_parameters"] = NoSuchDomain("gone")
    listed = face.get("/xend/domain?detail=1").body
    assert listed.count(b"(domain (domid ") == 2
    assert b"cpu_weight" not in listed


def test_a_domain_that_is_being_torn_down_is_listed_and_costs_no_reading_each_time() -> None:
    class Zombies(Double):
        def read_domain_stats(self) -> list[DomainStats]:
            return [stats for stats in super().read_domain_stats() if "d" not in (stats.info.flags or "")]

    async def run() -> None:
        double = Zombies([dom0(), pv1("--ps-d")])
        face = ClassicFace(double, HostFiles("/nowhere"), keep=1000.0)
        for _ in range(3):
            listed = await face(Request("GET", "/xend/domain?detail=1&state=all", (), b"", ADMIN))
            assert b"(name pv1)" in listed.body
            assert b"(maxmem 1024) (memory 1024)" in listed.body  # Domain 0's, which has no limit
        assert double.reads.count("domain_stats") == 1

    asyncio.run(run())


def test_many_who_list_at_once_read_once() -> None:
    async def run() -> None:
        double = Double([dom0(), pv1()])
        face = ClassicFace(double, HostFiles("/nowhere"), keep=1000.0)
        request = Request("GET", "/xend/domain?detail=1", (), b"", ADMIN)
        go_on = asyncio.Event()

        async def wait() -> None:
            await go_on.wait()

        double.before["domain_stats"] = wait
        asking = [asyncio.ensure_future(face(request)) for _ in range(20)]
        await until(lambda: double.reads.count("list_domains") == 20)
        asking[0].cancel()  # the one who began: the others get theirs all the same
        await asyncio.sleep(0)
        go_on.set()
        assert len({(await one).body for one in asking[1:]}) == 1
        assert double.reads.count("domain_stats") == 1
        double.failing["domain_stats"] = ChannelUnavailable("lost")
        await face(Request("POST", "/xend/domain/pv1?op=pause", (), b"", ADMIN))
        assert {(await face(request)).status for _ in range(3)} == {500}
        double.failing.clear()
        assert (await face(request)).status == 200

    asyncio.run(run())


words = st.text(max_size=8) | st.sampled_from(
    [
        "pv1",
        "Domain-0",
        "xend",
        "domain",
        "node",
        "0",
        "1",
        "-1",
        "op",
        "all",
        "9" * 30,
        "%",
        "%ff",
        "..",
        "?",
        "#",
        "\0",
    ]
)
names = st.sampled_from(
    [
        "op",
        "state",
        "detail",
        "name",
        "config",
        "vcpu",
        "cpumap",
        "vcpus",
        "memory",
        "target",
        "reason",
        "key",
        "type",
    ]
)


@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
    st.lists(words, max_size=4),
    st.lists(st.tuples(names, words | st.sampled_from(sorted(operations.DOMAIN))), max_size=5),
    st.booleans(),
    st.booleans(),
)
def test_any_request_is_answered(
    method: str, path: list[str], arguments: list[tuple[str, str]], form: bool, browser: bool
) -> None:
    encoded = urlencode(arguments, errors="surrogatepass")
    target = "/" + "/".join(path)
    headers = BROWSER if browser else ()
    if form:
        response = Face(patience=0).ask(method, target, FORM, *headers, body=encoded.encode())
    else:
        response = Face(patience=0).ask(method, f"{target}?{encoded}", *headers)
    assert 200 <= response.status < 600
    assert dict(response.headers)["Content-length"] == str(len(response.body))


sxp_like = st.lists(
    st.sampled_from(list("()'\"\\x7#\n\x04a {@é"))
    | st.sampled_from(["vm", "name", "(device", "(" * 200, "\udcff"])
).map("".join)


@given(
    sxp_like | st.text(max_size=30), st.sampled_from(["create", "new", "device_create", "device_configure"])
)
def test_any_expression_is_taken_or_refused(config: str, op: str) -> None:
    target = "/xend/domain/pv1" if op.startswith("device") else "/xend/domain"
    arguments = [("op", op), ("config", config.encode("utf-8", "surrogatepass")), ("dev", "0")]
    body = urlencode(arguments).encode()
    response = Face().ask("POST", target, FORM, body=body)
    assert (response.status, response.reason) == (500, f"Request failed: {op}")
    assert error(response)


raw = st.lists(
    st.sampled_from(
        [
            b"GET /xend/domain?detail=1 HTTP/1.1\r\n",
            b"POST /xend/domain/pv1 HTTP/1.1\r\n",
            b"POST /xend/domain HTTP/1.0\r\n",
            b"Host: h\r\n",
            b"Content-Type: application/x-www-form-urlencoded\r\n",
            b"Content-Type: multipart/form-data; boundary=--\r\n",
            b"Content-Length: 13\r\n\r\nop=sysrq&key=9",
            b"Content-Length: 8\r\n\r\nop=pause",
            b"Connection: keep-alive\r\n",
            b"User-Agent: x\r\nAccept: */*\r\n",
            b"\r\n",
            b"\xff\0",
        ]
    )
    | st.binary(max_size=12),
    max_size=10,
).map(b"".join)


@given(raw, st.integers(0, 200))
def test_any_bytes_on_the_wire_leave_the_tree_answering(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int
) -> None:
    async def run() -> None:
        face = ClassicFace(Double([dom0(), pv1()]), HostFiles("/nowhere"), patience=0)
        async with asyncio.timeout(20), Line(tmp_path_factory.mktemp("w") / "s", face) as line:
            reader, writer = await line.open()
            with contextlib.suppress(OSError):
                writer.write(data[:cut])
                await asyncio.sleep(0)
                writer.write(data[cut:])
                writer.write_eof()
                got = await reader.read()
                assert not got or got.startswith(b"HTTP/1.1 ")
                assert b"daemon failed" not in got
            writer.close()
            assert b"(Domain-0 pv1)" in await line.talk(b"GET /xend/domain HTTP/1.1\r\nHost: h\r\n\r\n")

    asyncio.run(run())
