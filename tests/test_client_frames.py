"""GOAWAY is taken out of a stream of frames wherever the bytes are cut, and nothing else is."""

import itertools
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.client.frames import GOAWAY, HEAD, MAX_GOAWAY, MAX_STREAM, Goaway, Splitter

Parts = list[bytes | Goaway]


def frame(kind: int, payload: bytes) -> bytes:
    return HEAD.pack(len(payload) >> 8, len(payload) & 0xFF, kind, 0, 1) + payload


others = st.builds(frame, st.integers(0, 20).filter(lambda kind: kind != GOAWAY), st.binary(max_size=700))
goaways = st.builds(Goaway, st.integers(0, MAX_STREAM), st.integers(0, 2**32 - 1))


def joined(parts: Iterable[bytes | Goaway]) -> Parts:
    """Neighboring bytes as one."""
    found: Parts = []
    for part in parts:
        if found and isinstance(part, bytes) and isinstance(found[-1], bytes):
            found[-1] += part
        else:
            found.append(part)
    return found


@given(st.lists(others | goaways, max_size=12), st.lists(st.integers(0, 3000), max_size=12))
def test_frames_come_out_in_order_however_they_are_cut(frames: Parts, cuts: list[int]) -> None:
    wire = b"".join(bytes(one) for one in frames)
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    splitter = Splitter()
    found = [part for a, b in itertools.pairwise(edges) for part in splitter.feed(wire[a:b])]
    assert joined(found) == joined(frames)


def test_debug_data_is_left_out() -> None:
    wire = frame(GOAWAY, struct.pack(">LL", 2**31 + 5, 2) + b"too much load")
    assert list(Splitter().feed(wire)) == [Goaway(5, 2)]


@pytest.mark.parametrize("length", [0, 7, MAX_GOAWAY + 1])
def test_a_goaway_that_is_none_is_refused_before_its_bytes_are_there(length: int) -> None:
    head = HEAD.pack(length >> 8, length & 0xFF, GOAWAY, 0, 0)
    with pytest.raises(ValueError, match="GOAWAY"):
        list(Splitter().feed(head))
