"""Short messages and pongs are taken out of a WebSocket's frames wherever they are cut; the rest stays as it came."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import SERVER, Connection
from wsproto.events import Event, Ping, TextMessage
from wsproto.frame_protocol import FrameProtocol, Opcode
from wsproto.frame_protocol import ParseFailed as Broken

from harness.client.socket_frames import SHORT, Frames, Pong, ping, text

LONGEST = 2_000
Part = str | Pong | bytes
Group = list[tuple[bytes, list[str | None]]]


def server(opcode: Opcode, payload: bytes, fin: bool = True) -> bytes:
    return bytes(FrameProtocol(client=False, extensions=[])._serialize_frame(opcode, payload, fin))


def parts(frames: Frames, wire: bytes, cuts: list[int]) -> list[Part]:
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    return [part for a, b in itertools.pairwise(edges) for part in frames.feed(wire[a:b])]


def said(found: list[Part]) -> list[str | None]:
    """The texts in their order, by wsproto where it got bytes; None for a pong."""
    proto = FrameProtocol(client=True, extensions=[])
    told: list[str | None] = []
    partial = ""
    for part in found:
        if isinstance(part, str):
            told.append(part)
        elif isinstance(part, Pong):
            told.append(None)
        else:
            proto.receive_bytes(part)
            for frame in proto.received_frames():
                if frame.opcode is Opcode.TEXT:
                    partial += str(frame.payload)
                    if frame.message_finished:
                        told.append(partial)
                        partial = ""
                elif frame.opcode is Opcode.PONG:
                    told.append(None)
    return told


texts = st.text(max_size=60).map(lambda t: [(server(Opcode.TEXT, t.encode()), [t])])
long_texts = st.text(alphabet="ab", min_size=130, max_size=3_000).map(
    lambda t: [(server(Opcode.TEXT, t.encode()), [t])]
)
pongs = st.just([(server(Opcode.PONG, b""), [None])]) | st.just([(server(Opcode.PONG, b"x"), [None])])
pings: st.SearchStrategy[Group] = st.binary(max_size=9).map(lambda b: [(server(Opcode.PING, b), [])])
fragments = st.lists(st.text(max_size=20), min_size=2, max_size=4).map(
    lambda ts: [
        *[
            (
                server(Opcode.CONTINUATION if n else Opcode.TEXT, t.encode(), fin=n == len(ts) - 1),
                ["".join(ts)] * (n == len(ts) - 1),
            )
            for n, t in enumerate(ts)
        ],
    ]
)


@given(
    st.lists(texts | long_texts | pongs | pings | fragments, max_size=12), st.lists(st.integers(0, 9_000), max_size=12)
)
def test_what_was_said_is_heard_in_its_order_however_it_is_cut(groups: list[Group], cuts: list[int]) -> None:
    flat = [one for group in groups for one in group]
    wire = b"".join(frame for frame, _ in flat)
    assert said(parts(Frames(LONGEST), wire, cuts)) == [word for _, words in flat for word in words]


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=6))
def test_bytes_that_are_no_frames_are_refused_where_wsproto_alone_refuses_them(wire: bytes, cuts: list[int]) -> None:
    def refused(found: list[Part]) -> bool:
        try:
            said(found)
        except Broken:
            return True
        return False

    found = parts(Frames(LONGEST), wire, cuts)
    rest = len(wire) - sum(
        len(one) if isinstance(one, bytes) else 2 + len(one.encode()) for one in found if one is not Pong.EMPTY
    )
    waits = rest - 2 * found.count(Pong.EMPTY) > 0  # wsproto looks into a frame that isn't whole yet
    assert refused(found) == refused([wire]) or waits


def test_a_text_between_fragments_is_wsprotos_to_refuse() -> None:
    wire = server(Opcode.TEXT, b"a", fin=False) + server(Opcode.TEXT, b"b")
    assert b"".join(part for part in Frames(LONGEST).feed(wire) if isinstance(part, bytes)) == wire


@pytest.mark.parametrize(
    "wire",
    [
        b"\xc1\x01a",  # a reserved bit
        b"\x83\x00",  # an opcode that there is not
        b"\x81\x81abcd1",  # masked, by a server
        b"\x82\x7f" + (LONGEST + 1).to_bytes(8, "big"),
    ],
)
def test_what_is_no_frame_to_wait_for_is_passed_on_at_once_and_so_is_all_behind_it(wire: bytes) -> None:
    frames = Frames(LONGEST)
    assert list(frames.feed(server(Opcode.TEXT, b"a") + wire)) == ["a", wire]
    assert list(frames.feed(b"\x81\x01b")) == [b"\x81\x01b"]


def test_a_frame_is_waited_for_as_a_whole() -> None:
    wire, frames = server(Opcode.BINARY, b"z" * 300), Frames(LONGEST)
    assert [list(frames.feed(wire[a:b])) for a, b in ((0, 1), (1, 3), (3, 303), (303, None))] == [[], [], [], [wire]]


@given(st.text(max_size=200))
def test_a_server_hears_what_a_client_says(message: str) -> None:
    sent = text(message)
    assert bool(sent) == (len(message.encode()) <= SHORT)
    connection = Connection(SERVER)
    connection.receive_data(sent + ping())
    heard: list[Event] = list(connection.events())
    assert [one.data for one in heard if isinstance(one, TextMessage)] == ([message] if sent else [])
    assert [bytes(one.payload) for one in heard if isinstance(one, Ping)] == [b""]
    assert text("a") != text("a")  # a key of its own each
