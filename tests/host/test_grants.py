"""Grant tables: what may be mapped by whom, and what is left when a domain has gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from purevirt.host.frames import Frames
from purevirt.host.grants import MAX_ENTRIES, GrantRefused, Grants
from purevirt.wire.bus import GrantFlag, GrantStatus

GRANTED = GrantFlag.PERMIT_ACCESS


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    return Frames(str(tmp_path / "memory"))


@pytest.fixture
def grants(frames: Frames) -> Grants:
    return Grants(frames, lambda domid: domid in (0, 1, 2))


def status(refused: pytest.ExceptionInfo[GrantRefused]) -> GrantStatus:
    return refused.value.status


def test_a_granted_page_is_the_same_bytes_on_both_sides(frames: Frames, grants: Grants) -> None:
    frame = frames.allocate()
    mapping = grants.map(0, 1, grants.grant(1, 0, frame))
    frames.page(frame)[:5] = b"hello"
    assert bytes(frames.page(mapping.frame)[:6]) == b"hello\0"


@pytest.mark.parametrize(
    ("mapper", "domid", "reference", "writable", "expected"),
    [
        (0, 9, 8, True, GrantStatus.BAD_DOMAIN),
        (0, 1, 9, True, GrantStatus.GENERAL_ERROR),  # an entry that grants nothing
        (0, 1, MAX_ENTRIES, True, GrantStatus.BAD_GNTREF),
        (2, 1, 8, False, GrantStatus.GENERAL_ERROR),  # it is for another domain
        (0, 1, 8, True, GrantStatus.GENERAL_ERROR),  # it is for reading
        (0, 1, 8, False, GrantStatus.OKAY),
    ],
)
def test_what_may_be_mapped(
    frames: Frames,
    grants: Grants,
    mapper: int,
    domid: int,
    reference: int,
    writable: bool,
    expected: GrantStatus,
) -> None:
    assert grants.grant(1, 0, frames.allocate(), read_only=True) == 8
    if expected is GrantStatus.OKAY:
        assert grants.map(mapper, domid, reference, writable=writable).writable is writable
        return
    with pytest.raises(GrantRefused) as refused:
        grants.map(mapper, domid, reference, writable=writable)
    assert status(refused) is expected


def test_an_entry_says_who_uses_it_and_cannot_be_ended_meanwhile(frames: Frames, grants: Grants) -> None:
    reference = grants.grant(1, 0, frames.allocate())
    reading = grants.map(0, 1, reference, writable=False)
    assert grants.flags(1, reference) == GRANTED | GrantFlag.READING
    writing = grants.map(0, 1, reference)
    assert grants.flags(1, reference) == GRANTED | GrantFlag.READING | GrantFlag.WRITING
    assert not grants.end(1, reference)
    grants.unmap(0, writing.handle)
    assert grants.flags(1, reference) == GRANTED | GrantFlag.READING
    grants.unmap(0, reading.handle)
    assert grants.flags(1, reference) == GRANTED
    assert grants.end(1, reference)
    assert grants.flags(1, reference) == 0
    with pytest.raises(GrantRefused) as refused:
        grants.end(1, reference)
    assert status(refused) is GrantStatus.GENERAL_ERROR


def test_a_handle_is_its_owners_and_good_once(frames: Frames, grants: Grants) -> None:
    mapping = grants.map(0, 1, grants.grant(1, 0, frames.allocate()))
    for mapper, handle in ((2, mapping.handle), (0, 99)):
        with pytest.raises(GrantRefused) as refused:
            grants.unmap(mapper, handle)
        assert status(refused) is GrantStatus.BAD_HANDLE
    grants.unmap(0, mapping.handle)
    with pytest.raises(GrantRefused):
        grants.unmap(0, mapping.handle)


def test_entries_are_chosen_or_named(frames: Frames, grants: Grants) -> None:
    frame = frames.allocate()
    assert grants.grant(1, 0, frame, reference=1) == 1
    assert [grants.grant(1, 0, frame) for _ in range(3)] == [8, 9, 10]
    for reference in (1, -1, MAX_ENTRIES):
        with pytest.raises(GrantRefused) as refused:
            grants.grant(1, 0, frame, reference=reference)
        assert status(refused) is GrantStatus.BAD_GNTREF


def test_a_mapped_page_outlives_its_domain_and_is_cleared_before_another_gets_it(
    frames: Frames, grants: Grants
) -> None:
    frame = frames.allocate()
    mapping = grants.map(0, 1, grants.grant(1, 0, frame))
    frames.page(frame)[:3] = b"old"
    grants.forget(1)
    frames.release(frame)  # the domain's own use of it
    assert bytes(frames.page(frame)[:3]) == b"old"
    assert frames.allocate() != frame
    grants.unmap(0, mapping.handle)
    assert frames.allocate() == frame
    assert bytes(frames.page(frame)) == bytes(4096)


def test_what_a_domain_had_mapped_ends_with_it(frames: Frames, grants: Grants) -> None:
    reference = grants.grant(1, 2, frames.allocate())
    grants.map(2, 1, reference)
    grants.forget(2)
    assert grants.flags(1, reference) == GRANTED


def test_memory_grows_as_it_is_used(frames: Frames) -> None:
    used = [frames.allocate() for _ in range(2500)]
    assert len(set(used)) == len(frames) == 2500
    frames.page(used[-1])[4095] = 1
    for frame in used:
        frames.release(frame)
    assert len(frames) == 0
