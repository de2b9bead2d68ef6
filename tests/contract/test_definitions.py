"""What every host with a Xen daemon remembers of domains, and what becomes of those.

The domains are the suite's own: each test undefines what it has defined. Starting one needs a kernel that the host has,
which the suite does not know of on a real one: there the end-to-end tests have guests for that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from purevirt import DomainState, JobKind, JobState
from purevirt.errors import (
    ChannelUnavailable,
    Conflict,
    DomainExists,
    InvalidConfig,
    NoSuchDomain,
    OperationError,
    ReadOnly,
    WrongState,
)

from .conftest import Caller, Facts

NAME = "contract-defined"
UUID = "7c1b3f4e-8a52-4d0e-b0f5-6d2f3f6f1d20"
TEXT = f"""# kept as it is
name = "{NAME}"
uuid = "{UUID}"
memory = 64
kernel = "/boot/vmlinuz"
"""


@pytest.fixture
def defined(do: Caller, changing: Any) -> Iterator[Any]:
    yield do(changing.define, TEXT)
    for found in do(changing.definitions):
        if str(found.uuid) == UUID:
            do(do(changing.lookup_by_uuid, UUID).undefine, managed_save=True)


@pytest.fixture
def startable(do: Caller, defined: Any) -> Iterator[Any]:
    if "PUREVIRT_CONTRACT_URI" in os.environ:
        pytest.skip("this host has no kernel that the suite knows of")
    yield defined
    if do(defined.is_active):
        do(defined.destroy)


def test_a_definition_is_there_and_does_not_run(do: Caller, changing: Any, defined: Any) -> None:
    info = do(defined.info)
    assert (info.state, info.domid, info.name) == (DomainState.SHUTOFF, None, NAME)
    assert do(defined.state) == do(do(changing.lookup_by_name, NAME).state)
    assert do(changing.lookup_by_uuid, UUID) == defined
    assert do(defined.is_persistent)
    assert not do(defined.is_active)
    assert NAME not in [found.name for found in do(changing.domain_infos)]
    assert [found.name for found in do(changing.domain_infos, inactive=True)].count(NAME) == 1
    assert do(defined.definition).memory_kib == 65536
    assert do(defined.definition_text).text == TEXT
    assert do(defined.description).memory.kib == 65536
    with pytest.raises(WrongState, match="not running"):
        do(defined.suspend)


def test_what_was_undefined_is_gone(do: Caller, changing: Any, defined: Any) -> None:
    do(defined.undefine)
    with pytest.raises(NoSuchDomain):
        do(changing.lookup_by_name, NAME)
    with pytest.raises(NoSuchDomain):
        do(defined.definition)
    assert not do(defined.is_persistent)


def test_the_second_of_two_editors_is_told(do: Caller, changing: Any, defined: Any) -> None:
    read = do(defined.definition_text)
    do(changing.define, TEXT.replace("64", "96"), revision=read.revision)
    with pytest.raises(Conflict, match=f"not {read.revision}"):
        do(changing.define, TEXT.replace("64", "80"), revision=read.revision)
    assert do(defined.definition).memory_kib == 96 * 1024


def test_names_are_nobody_elses(do: Caller, changing: Any, facts: Facts) -> None:
    with pytest.raises(DomainExists, match=facts.pv.name):
        do(changing.define, TEXT.replace(NAME, facts.pv.name))


def test_what_cannot_be_is_refused(do: Caller, changing: Any) -> None:
    with pytest.raises(InvalidConfig, match="memory"):
        do(changing.define, TEXT.replace("memory = 64", "memory = 0"))
    with pytest.raises(NoSuchDomain):
        do(changing.lookup_by_uuid, UUID)


def test_words_memory_and_vcpus_of_the_definition_change(do: Caller, defined: Any) -> None:
    do(defined.set_title, "The shop")
    do(defined.set_summary, "Sells things")
    do(defined.set_max_memory, 131072, live=False, config=True)
    do(defined.set_memory, 98304, live=False, config=True)
    do(defined.set_max_vcpus, 4)
    do(defined.set_vcpus, 3, live=False, config=True)
    described = do(defined.description)
    assert (described.title, described.summary) == ("The shop", "Sells things")
    assert (described.memory.kib, described.memory.max_kib) == (98304, 131072)
    assert (described.cpus.online, described.cpus.maximum) == (3, 4)
    assert do(defined.definition_text).text.startswith("# kept as it is\n")
    with pytest.raises(InvalidConfig, match="may have 1 to 4"):
        do(defined.set_vcpus, 5, live=False, config=True)


def test_devices_of_the_definition_come_and_go(do: Caller, defined: Any) -> None:
    do(defined.attach_disk, "/images/data", "xvdb", live=False, config=True)
    with pytest.raises(OperationError, match="xvdb is in the definition"):
        do(defined.attach_disk, "/images/data", "xvdb", live=False, config=True)
    assert [disk.key for disk in do(defined.description).disks] == ["xvdb"]
    do(defined.detach_disk, "xvdb", live=False, config=True)
    assert do(defined.description).disks == ()


def test_autostart_is_remembered(do: Caller, defined: Any) -> None:
    assert not do(defined.autostart)
    do(defined.set_autostart, order=7)
    assert do(defined.autostart)
    assert do(defined.definition).autostart_order == 7
    do(defined.set_autostart, False)
    assert not do(defined.autostart)


def test_a_definition_can_be_renamed(do: Caller, changing: Any, defined: Any) -> None:
    do(defined.rename, "contract-otherwise")
    assert do(do(changing.lookup_by_uuid, UUID).name) == "contract-otherwise"
    with pytest.raises(NoSuchDomain):
        do(changing.lookup_by_name, NAME)


def test_it_is_started_saved_and_goes_on(do: Caller, changing: Any, startable: Any) -> None:
    looks: list[Any] = []
    job = do(startable.start, progress=looks.append)
    assert (job.kind, job.state, job.name) == (JobKind.START, JobState.DONE, NAME)
    assert looks[-1] == job
    assert do(changing.job, job) == job
    assert do(changing.job_log, job)
    assert do(startable.is_active)
    assert do(startable.job) is None
    with pytest.raises(WrongState, match="running already"):
        do(startable.start)

    do(startable.managed_save)
    assert not do(startable.is_active)
    assert do(startable.definition).managed_save
    with pytest.raises(WrongState, match="saved state"):
        do(startable.undefine)
    do(startable.start)
    assert do(startable.is_active)
    assert not do(startable.definition).managed_save


def test_a_job_that_is_not_waited_for_is_waited_for_later(do: Caller, changing: Any, startable: Any) -> None:
    begun = do(startable.start, wait=False)
    assert do(changing.wait_for_job, begun).state is JobState.DONE
    assert do(startable.is_active)
    with pytest.raises(WrongState, match="ended"):
        do(changing.cancel_job, begun)
    with pytest.raises(InvalidConfig, match="there is no job 99999"):
        do(changing.job, 99999)


def test_to_stop_waiting_leaves_the_job_at_work(do: Caller, changing: Any, startable: Any) -> None:
    if do.loop is None:
        pytest.skip("what blocks cannot be cancelled")

    async def work() -> None:
        seen = asyncio.Event()
        task = asyncio.ensure_future(startable.start(progress=lambda job: seen.set()))
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (job,) = [job for job in await changing.jobs() if str(job.uuid) == UUID][-1:]
        assert (await changing.wait_for_job(job)).state is JobState.DONE

    do.loop.run_until_complete(work())
    assert do(startable.is_active)


CALLS: dict[str, Callable[[Caller, Any], Any]] = {
    "define": lambda do, xen: do(xen.define, TEXT),
    "create": lambda do, xen: do(xen.create, TEXT),
    "restore": lambda do, xen: do(xen.restore, "/var/lib/xen/none"),
    "job_cancel": lambda do, xen: do(xen.cancel_job, 1),
}


@pytest.mark.parametrize("operation", CALLS)
def test_a_read_only_connection_defines_and_makes_nothing(do: Caller, ro: Any, operation: str) -> None:
    with pytest.raises(ReadOnly) as caught:
        CALLS[operation](do, ro)
    assert caught.value.operation == operation


@pytest.mark.parametrize("operation", CALLS)
def test_without_a_daemon_nothing_is_remembered(do: Caller, rw: Any, operation: str) -> None:
    if rw.has_daemon:
        pytest.skip("the Xen daemon runs on this host")
    with pytest.raises(ChannelUnavailable, match="purevirt xend"):
        CALLS[operation](do, rw)
