"""The protocol of the agent, decoded whole and a byte at a time."""

from __future__ import annotations

import socket

import pytest

from lab.dom0 import frames

STREAM = frames.pack(b"R", b"{}") + frames.pack(b"I", b"") + frames.pack(b"O", bytes(300))
DECODED = [(b"R", b"{}"), (b"I", b""), (b"O", bytes(300))]


@pytest.mark.parametrize("size", [1, 2, 7, len(STREAM)])
def test_frames_come_out_however_the_stream_is_cut(size: int) -> None:
    decoder = frames.Frames()
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [frame for piece in pieces for frame in decoder.feed(piece)] == DECODED


def test_a_connection_that_ends_inside_a_frame_is_an_end_of_file() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(STREAM[:3])
        ours.close()
        with pytest.raises(EOFError):
            frames.read_frame(theirs)
