"""The devices of a domain that the daemon made: its guest takes up those that it was made with, and those that come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import purevirt
from purevirt import testing
from purevirt.errors import InvalidConfig, NoSuchDevice, NoSuchDomain, OperationError
from tests.daemons.xend.managed.machine import WEB


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host() as made:
        yield made


def test_a_guest_takes_up_its_devices_and_others(host: testing.Host) -> None:
    with purevirt.open(host.uri) as connection:
        web = connection.define(WEB)
        web.start()
        web.attach_disk("/images/b", "xvdb", config=True)
        web.attach_interface("xenbr0", mac="00:16:3e:00:00:07", live=False, config=True)
        disks = [(disk.target, disk.connected) for disk in web.block_devices()]
        assert disks == [("xvda", True), ("xvdb", True)]
        assert [nic.connected for nic in web.interfaces()] == [True]
        described = web.description(live=False)
        assert [disk.target for disk in described.disks] == ["xvda", "xvdb"]
        assert [nic.mac for nic in described.interfaces] == [None, "00:16:3e:00:00:07"]
        web.detach_disk("xvdb", config=True)
        with pytest.raises(NoSuchDevice, match="disk xvdb is not in the definition of domain web"):
            web.detach_disk("xvdb", live=False, config=True)
        with pytest.raises(OperationError, match="disk xvda is in the definition of domain web already"):
            web.attach_disk("/images/c", "xvda", live=False, config=True)
        told = web.change_media("xvda", "/images/d", live=False, config=True)
        assert (told.kind, told.name, told.source) == ("disk", "xvda", "/images/d")
        assert web.definition_text().text.startswith('name = "web"\n')


def test_memory_and_vcpus_of_the_definition(host: testing.Host) -> None:
    with purevirt.open(host.uri) as connection:
        web = connection.define(WEB)
        assert web.set_memory(32768, live=False, config=True) == 32768
        known = web.definition()
        assert (known.memory_kib, known.max_memory_kib, known.revision) == (32768, 65536, 2)
        with pytest.raises(InvalidConfig, match="70000 KiB are more than the 65536 KiB"):
            web.set_memory(70000, live=False, config=True)
        web.set_max_memory(131072, live=False, config=True)
        web.set_max_vcpus(3)
        web.set_vcpus(2, live=False, config=True)
        known = web.definition()
        assert (known.memory_kib, known.max_memory_kib) == (32768, 131072)
        assert (known.vcpus, known.max_vcpus) == (2, 3)
        with pytest.raises(InvalidConfig, match="may have 1 to 3 vCPUs, not 4"):
            web.set_vcpus(4, live=False, config=True)
        assert web.definition().revision == known.revision
        test = connection.lookup("test")
        with pytest.raises(NoSuchDomain, match="has no definition of domain test"):
            test.set_memory(65536, config=True)
