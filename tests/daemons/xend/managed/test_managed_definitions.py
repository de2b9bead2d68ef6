"""Definitions, through the supervisor's operations on a simulated host."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from purevirt import testing
from purevirt.errors import Conflict, Denied, DomainExists, InvalidConfig, NoSuchDomain, WrongState
from purevirt.model import DomainRef, DomainState, EventKind, Role
from tests.daemons.xend.managed.machine import UUID_TEXT, WEB, Daemon, by, daemon


def on(host: testing.Host, work: Callable[[Daemon], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), daemon(host) as xend:
            await work(xend)

    asyncio.run(main())


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host(xend=False) as made:
        yield made


def test_what_is_defined_is_listed_read_and_remembered(host: testing.Host) -> None:
    async def main() -> None:
        async with daemon(host) as xend:
            made = await xend.call("define", text=WEB)
            assert (made.name, str(made.uuid), made.revision, made.format) == ("web", UUID_TEXT, 1, "xen-xl")
            assert (made.memory_kib, made.max_vcpus, made.autostart) == (65536, 1, False)
            assert xend.told() == [("defined", "added")]
        async with daemon(host) as xend:
            assert await xend.call("list_definitions") == [made]
            text = await xend.call("definition_text", "web")
            assert (text.text, text.format, text.revision) == (WEB, "xen-xl", 1)
            info = await xend.call("domain_info", "web")
            assert (info.state, info.domid, info.max_memory_kib) == (DomainState.SHUTOFF, None, 65536)
            assert await xend.call("domid", "web") is None
            assert (await xend.call("lookup_uuid", handle=made.handle)).name == "web"
            with pytest.raises(WrongState, match="domain web is not running"):
                await xend.call("vcpus", "web")
            with pytest.raises(WrongState, match="domain web is not running"):
                await xend.call("suspend", "web")

    asyncio.run(main())


def test_the_second_of_two_editors_is_told(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        await xend.call("define", text=WEB)
        other = WEB.replace("memory = 64", "memory = 96")
        assert (await xend.call("define", text=other, revision=1)).revision == 2
        with pytest.raises(Conflict, match="of revision 2, not 1"):
            await xend.call("define", text=WEB, revision=1)
        assert (await xend.call("definition_text", "web")).text == other
        await xend.call("undefine", "web")
        with pytest.raises(Conflict, match="is gone, and was of revision 2"):
            await xend.call("define", text=WEB, revision=2)

    on(host, work)


def test_names_and_uuids_are_nobody_elses(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        await xend.call("define", text=WEB)
        with pytest.raises(DomainExists, match="the name web is another definition's"):
            await xend.call("define", text=WEB.replace("0a7e", "0b7e"))
        with pytest.raises(DomainExists, match=f"the UUID {UUID_TEXT} is that of domain web"):
            await xend.call("define", text=WEB.replace('"web"', '"web2"'))
        test = await xend.call("domain_info", "test")
        with pytest.raises(DomainExists, match="the name test is that of domain test"):
            await xend.call("define", text=WEB.replace('"web"', '"test"').replace("0a7e", "0b7e"))
        with pytest.raises(DomainExists, match=r"the UUID .* is that of domain test"):
            await xend.call("define", text=WEB.replace(UUID_TEXT, str(test.uuid)).replace('"web"', '"web2"'))
        with pytest.raises(DomainExists, match="which is defined: start it"):
            await xend.call("create", text=WEB)
        assert [known.name for known in await xend.call("list_definitions")] == ["web"]
        assert await xend.call("jobs") == []

    on(host, work)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("memory = 64", "memory = 0", "memory.kib: a domain needs at least 1024 KiB of memory, not 0"),
        ('"web"', '"a/b"', "name: 'a/b' cannot be a domain's name"),
        ('"web"', '" "', "name: ' ' is no name for a domain"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(host: testing.Host, old: str, new: str, message: str) -> None:
    async def work(xend: Daemon) -> None:
        with pytest.raises(InvalidConfig, match=message):
            await xend.call("define", text=WEB.replace(old, new))
        assert await xend.call("list_definitions") == []

    on(host, work)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('bootloader = "/tmp/evil"\ndisk = ["/var/lib/xen/images/a,raw,xvda,rw"]', "boot.bootloader"),
        ('kernel = "/etc/shadow"', "boot.kernel '/etc/shadow', which is not below /var/lib/xen/images"),
        ('disk = ["/dev/sda,raw,xvda,rw"]', "source '/dev/sda', which is not below"),
        ('vif = ["script=/tmp/evil"]', "script '/tmp/evil'"),
        ('pci = ["01:00.0"]', "pci_devices"),
        ('device_model_override = "/tmp/evil"', "device_model"),
        ("irqs = [5]", "interrupts"),
        ('wonder = "what"', "unknown"),
    ],
)
def test_what_takes_an_admin_is_refused_to_operators(host: testing.Host, line: str, field: str) -> None:
    plain = f'name = "web"\nuuid = "{UUID_TEXT}"\nmemory = 64\n'
    if "kernel" not in line and "bootloader" not in line:
        plain += 'kernel = "/var/lib/xen/images/vmlinuz"\n'

    async def work(xend: Daemon) -> None:
        with pytest.raises(Denied, match=f"define: {field}.* takes the role admin"):
            await xend.call("define", text=plain + line + "\n", by=by(Role.OPERATOR))
        await xend.call("define", text=plain + line + "\n")
        changed = plain.replace("64", "65") + line + "\n"
        assert (await xend.call("define", text=changed, by=by(Role.OPERATOR))).revision == 2

    on(host, work)


def test_passwords_are_told_to_admins_and_stay_when_others_edit(host: testing.Host) -> None:
    text = WEB + 'vfb = ["type=vnc,vncpasswd=s3cret"]\n'

    async def work(xend: Daemon) -> None:
        await xend.call("define", text=text)
        shown = (await xend.call("definition_text", "web", by=by(Role.OPERATOR))).text
        assert "s3cret" not in shown
        with pytest.raises(Denied, match="told to administrators only"):
            await xend.call("definition_text", "web", security_info=True, by=by(Role.OPERATOR))
        await xend.call("define", text=shown.replace("64", "65"), by=by(Role.OPERATOR))
        assert "s3cret" in (await xend.call("definition_text", "web", security_info=True)).text
        await xend.call("define", text=shown)
        assert "s3cret" not in (await xend.call("definition_text", "web", security_info=True)).text
        lines = [line for line in xend.audit() if line["operation"] == "define"]
        assert "s3cret" not in str(lines)
        assert lines[0]["arguments"]["text"].startswith(f"{len(text)} characters, sha256 ")

    on(host, work)


def test_another_name_for_one_that_does_not_run_and_one_that_does(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        await xend.call("define", text=WEB)
        await xend.call("rename", "web", name="shop")
        assert 'name = "shop"' in (await xend.call("definition_text", "shop")).text
        assert xend.told() == [("defined", "added"), ("renamed", "web")]
        with pytest.raises(NoSuchDomain):
            await xend.call("definition", "web")
        with pytest.raises(DomainExists, match="the name test is that of domain"):
            await xend.call("rename", "shop", name="test")
        await xend.done("start", "shop")
        await xend.call("rename", "shop", name="web")
        assert (await xend.call("definition", "web")).revision == 3
        await xend.call("reboot", "web")
        await xend.until_event(EventKind.STARTED, "web")
        assert (await xend.call("domain_info", "web")).name == "web"

    on(host, work)


def test_one_that_runs_goes_on_when_it_is_undefined(host: testing.Host) -> None:
    async def work(xend: Daemon) -> None:
        made = await xend.call("define", text=WEB)
        await xend.call("set_autostart", "web", autostart=True, order=7)
        known = await xend.call("definition", "web")
        assert (known.autostart, known.autostart_order, known.revision) == (True, 7, 1)
        job = await xend.done("start", "web")
        await xend.call("undefine", "web")
        assert (await xend.call("domain_info", DomainRef(made.handle))).domid == job.domid
        with pytest.raises(NoSuchDomain, match="the Xen daemon has no definition of domain web"):
            await xend.call("start", "web")
        await xend.call("reboot", "web")  # its policy is still carried out
        await xend.until_event(EventKind.STARTED, "web", times=2)
        await xend.call("destroy", "web")
        with pytest.raises(NoSuchDomain):
            await xend.call("domain_info", "web")

    on(host, work)
