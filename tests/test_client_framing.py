"""Where an answer ends, and what is none: the same verdict however the bytes are cut."""

import tracemalloc
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.client.framing import MAX_HEAD, AnswerReader
from harness.client.parsing import MAX_BODY_KEPT, FramingError

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def verdict(pieces: Sequence[bytes], *, head_only: bool = False) -> tuple[object, ...]:
    """All that a reader says of the pieces followed by FIN; equal for equal bytes."""
    reader = AnswerReader((b"x-revision",), head_only=head_only, keep_body=True)
    try:
        for piece in pieces:
            reader.feed(piece)
        end = reader.feed_eof()
    except FramingError as error:
        return ("framing", error.complete)
    if end == "closed":
        return (end,)
    return (end, reader.status, reader.close, dict(reader.headers), reader.body)


GOOD = {
    "sized": (OK + b"Content-Length: 5\r\nX-Revision: v1\r\n\r\nhello", 200, b"hello", False),
    "empty": (OK + b"content-length:0\r\n\r\n", 200, b"", False),
    "server closes": (OK + b"Connection: x, Close\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
    "nginx": (OK + b"Connection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
    "chunked": (CHUNKED + b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\n\r\n", 200, b"abcde", False),
    "trailers": (CHUNKED + b"3\r\nabc\r\n0\r\nX-Revision: v9\r\nX: y\r\n\r\n", 200, b"abc", False),
    "until close": (OK + b"X-Revision: v1\r\n\r\nall the rest", 200, b"all the rest", True),
    "until close, empty": (OK + b"\r\n", 200, b"", True),
    "http/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", True),
    "http/1.0 kept": (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", False),
    "no content": (b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", 204, b"", False),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, b"", False),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + OK + b"Content-Length: 1\r\n\r\na", 200, b"a", False),
    "early hints": (
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\nLink: x\r\n\r\n" + CHUNKED + b"0\r\n\r\n",
        200,
        b"",
        False,
    ),
    "no reason": (b"HTTP/1.1 503 \r\nContent-Length: 0\r\n\r\n", 503, b"", False),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_answer_is_complete_wherever_it_is_cut(name: str) -> None:
    raw, status, body, close = GOOD[name]
    whole = verdict([raw])
    assert whole[:3] == ("none", status, close)
    assert whole[4] == body
    for cut in range(1, len(raw)):
        assert verdict([raw[:cut], raw[cut:]]) == whole
    assert verdict([raw[i : i + 1] for i in range(len(raw))]) == whole


@pytest.mark.parametrize("name", [name for name in GOOD if not name.startswith("until")])
def test_it_is_complete_with_its_last_byte_and_not_before(name: str) -> None:
    raw = GOOD[name][0]
    reader = AnswerReader()
    for i in range(len(raw) - 1):
        assert reader.feed(raw[i : i + 1]) is False
        assert reader.feed_eof() in ("closed", "truncated")
    assert reader.feed(raw[-1:]) is True
    assert reader.done


@pytest.mark.parametrize(
    "extra", [b"\r\n", b"\n", b"\r", b"x", b"\0", b"HTTP/1.1 204 No Content\r\n\r\n", b"0\r\n\r\n"]
)
@pytest.mark.parametrize("name", [name for name in GOOD if not name.startswith("until")])
def test_one_byte_too_many_is_wrong_framing_of_a_complete_answer(name: str, extra: bytes) -> None:
    raw = GOOD[name][0]
    assert verdict([raw + extra]) == ("framing", True)
    assert verdict([raw, extra]) == ("framing", True)
    assert verdict([raw[:-1], raw[-1:] + extra]) == ("framing", True)


BAD = {
    "garbage": b"\x16\x03\x01\x00\xa5",
    "words": b"hello\r\n\r\n",
    "ftp": b"220 ready\r\n",
    "blank line first": b"\r\n" + GOOD["sized"][0],
    "http/2": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "http/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status below 100": b"HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n",
    "folded header": OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "space before colon": OK + b"Content-Length : 0\r\n\r\n",
    "nul in a header": OK + b"A: \0\r\nContent-Length: 0\r\n\r\n",
    "same length twice": OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "two lengths": OK + b"Content-Length: 1\r\ncontent-length: 2\r\n\r\nab",
    "length list": OK + b"Content-Length: 1, 1\r\n\r\na",
    "negative length": OK + b"Content-Length: -1\r\n\r\n",
    "plus length": OK + b"Content-Length: +1\r\n\r\na",
    "hex length": OK + b"Content-Length: 0x1\r\n\r\na",
    "empty length": OK + b"Content-Length: \r\n\r\n",
    "huge length": OK + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "length and chunked": OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "other coding": OK + b"Transfer-Encoding: gzip\r\n\r\nabc",
    "coding before chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked in http/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked 204": b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "204 with a body": b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nabc",
    "304 with a body": b"HTTP/1.1 304 No\r\nContent-Length: 3\r\n\r\nabc",
    "length in a trailer": CHUNKED + b"0\r\nContent-Length: 1\r\n\r\n",
    "chunk size": CHUNKED + b"xyz\r\nabc\r\n",
    "chunk size with a space": CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n",
    "chunk longer than its size": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "chunk shorter than its size": CHUNKED + b"3\r\nab\r\n0\r\n\r\n",
    "body longer than its length": OK + b"Content-Length: 2\r\n\r\nokay",
    "too many interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 17,
    "headers too big": OK + b"A: " + b"x" * MAX_HEAD + b"\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_framing_is_never_an_answer_wherever_it_is_cut(name: str) -> None:
    raw = BAD[name]
    whole = verdict([raw])
    assert whole[0] == "framing", whole
    for cut in range(1, min(len(raw), 200)):
        assert verdict([raw[:cut], raw[cut:]]) == whole


@pytest.mark.parametrize(
    ("raw", "end"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "closed"),
        (OK + b"Content-Length: 100\r\n\r\n" + b"x" * 50, "truncated"),
        (OK + b"Content-Length: 100\r\n\r\n", "truncated"),
        (CHUNKED + b"3\r\nabc\r\n", "truncated"),
        (CHUNKED + b"3\r\nabc\r\n0\r\n", "truncated"),
    ],
)
def test_fin_completes_only_what_has_no_length(raw: bytes, end: str) -> None:
    assert verdict([raw] if raw else [])[0] == end


def test_an_answer_to_head_has_no_body_and_a_length_all_the_same() -> None:
    raw = OK + b"Content-Length: 5\r\n\r\n"
    assert verdict([raw], head_only=True)[:2] == ("none", 200)
    assert verdict([CHUNKED], head_only=True)[:2] == ("none", 200)
    assert verdict([raw + b"hello"], head_only=True) == ("framing", True)


def test_101_is_final_and_ends_the_connection() -> None:
    raw = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    assert verdict([raw])[:3] == ("none", 101, True)


def test_repeated_headers_are_joined_and_trailers_never_get_in() -> None:
    raw = OK + b"X-Revision: a\r\nx-revision:  b \r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Revision: c\r\n\r\n"
    assert verdict([raw])[3] == {b"x-revision": b"a, b ", b"transfer-encoding": b"chunked"}


def test_a_reader_is_reused_after_any_answer() -> None:
    reader = AnswerReader((b"x-revision",), keep_body=True)
    for name in [*GOOD, *reversed(GOOD)]:
        raw, status, body, close = GOOD[name]
        reader.reset()
        done = reader.feed(raw)
        assert done or reader.feed_eof() == "none"
        assert (reader.status, reader.body, reader.close) == (status, body, close), name
    for raw in BAD.values():
        reader.reset()
        with pytest.raises(FramingError):
            reader.feed(raw)
    reader.reset()
    assert reader.feed(GOOD["sized"][0])


@st.composite
def cut_up(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """An answer, good or bad, with up to three bytes changed, put in or left out; and the same in pieces."""
    raw = bytearray(
        draw(st.sampled_from([good[0] for good in GOOD.values()] + [bad for bad in BAD.values() if len(bad) < 500]))
    )
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(0, len(raw) - 1)))
        raw[at : at + draw(st.integers(0, 1))] = draw(
            st.sampled_from([b"", b"\r", b"\n", b"\r\n", b"0", b"1", b":", b" ", b"\0", b"H"])
        )
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(raw) - 1)), max_size=5)))
    pieces = [bytes(raw[a:b]) for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    return bytes(raw), [piece for piece in pieces if piece]


@given(cut_up())
@settings(max_examples=600)
def test_the_verdict_depends_on_the_bytes_alone(case: tuple[bytes, list[bytes]]) -> None:
    raw, pieces = case
    assert verdict(pieces) == verdict([raw] if raw else [])


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
@settings(max_examples=100)
def test_random_bytes_never_make_an_answer(pieces: list[bytes]) -> None:
    assert verdict(pieces)[0] in ("framing", "closed")


def endless(first: bytes, piece: bytes) -> Iterator[bytes]:
    yield first
    for _ in range(50):
        yield piece


LONG = 65_536
ENDLESS = {
    "one header": (OK + b"A: ", b"x" * LONG, True),
    "many headers": (OK, b"A: b\r\n" * (LONG // 6), True),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000, True),
    "a chunk extension": (CHUNKED + b"3;", b"x" * LONG, True),
    "a trailer": (CHUNKED + b"0\r\nA: ", b"x" * LONG, True),
    "trailers": (CHUNKED + b"0\r\n", b"A: b\r\n" * (LONG // 6), True),
    "garbage": (b"", bytes(range(256)) * 256, True),
    "chunks": (CHUNKED, b"1\r\nx\r\n" * (LONG // 6), False),
    "until close": (OK + b"\r\n", b"x" * LONG, False),
    "a large body": (OK + b"Content-Length: 999999999999\r\n\r\n", b"x" * LONG, False),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_server_without_end_costs_bounded_memory(name: str) -> None:
    first, piece, refused = ENDLESS[name]
    reader = AnswerReader(keep_body=True)
    error = None
    tracemalloc.start()
    try:
        for data in endless(first, piece):
            if data:
                reader.feed(data)
    except FramingError as caught:
        error = caught
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (error is not None) is refused
    assert peak < 4 * MAX_BODY_KEPT
