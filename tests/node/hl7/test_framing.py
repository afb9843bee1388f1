"""Frames come out of a byte stream whole, however it is cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from node.hl7.framing import HEAD_BYTES, FrameDecoder, frame

CONTENT = st.binary(max_size=200).map(lambda data: data.translate(None, b"\x0b\x1c"))
NOISE = st.binary(max_size=20).map(lambda data: data.translate(None, b"\x0b\x1c"))


@given(messages=st.lists(CONTENT, max_size=6), cuts=st.lists(st.integers(0, 1500), max_size=12))
def test_messages_come_out_whole_however_the_stream_is_cut(messages: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, messages))
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    decoder = FrameDecoder(1000)
    out = [message for a, b in pairwise(edges) for message in decoder.feed(stream[a:b])]
    assert out == messages
    assert decoder.garbage == 0
    assert decoder.pending == 0


@given(pieces=st.lists(st.tuples(NOISE, CONTENT), max_size=6))
def test_bytes_between_frames_are_counted_and_do_no_harm(pieces: list[tuple[bytes, bytes]]) -> None:
    decoder = FrameDecoder(1000)
    out = [message for noise, content in pieces for message in decoder.feed(noise + frame(content))]
    assert out == [content for _, content in pieces]
    assert decoder.garbage == sum(len(noise.translate(None, b"\r\n")) for noise, _ in pieces)


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_any_bytes_are_survived(chunks: list[bytes]) -> None:
    decoder = FrameDecoder(50)
    for chunk in chunks:
        for message in decoder.feed(chunk):
            assert len(message) <= 50


def test_a_stream_fed_byte_by_byte_gives_the_same_messages() -> None:
    decoder = FrameDecoder(100)
    stream = frame(b"one") + frame(b"two") + frame(b"")
    assert [message for byte in stream for message in decoder.feed(bytes((byte,)))] == [b"one", b"two", b""]


def test_a_frame_without_its_carriage_return_is_complete() -> None:
    assert FrameDecoder(100).feed(b"\x0bone\x1c\x0btwo\x1c") == [b"one", b"two"]


def test_a_frame_that_begins_anew_is_taken_from_its_new_beginning() -> None:
    decoder = FrameDecoder(100)
    assert decoder.feed(b"\x0bhalf a mess") == []
    assert decoder.feed(b"age\x0bwhole\x1c\r") == [b"whole"]
    assert decoder.garbage == len(b"half a message")


def test_a_frame_of_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert FrameDecoder(10).feed(frame(b"x" * 10)) == [b"x" * 10]
    decoder = FrameDecoder(10)
    assert decoder.feed(frame(b"fits") + frame(b"y" * 11)) == [b"fits"]
    assert decoder.too_large == b"y" * 11
    assert decoder.feed(frame(b"after")) == []


def test_an_endless_frame_is_refused_while_it_comes_and_only_its_head_is_kept() -> None:
    decoder = FrameDecoder(100_000)
    decoder.feed(b"\x0bMSH|")
    for _ in range(200):
        decoder.feed(b"z" * 1000)
        assert decoder.pending <= 100_000
    assert decoder.too_large == b"MSH|" + b"z" * (HEAD_BYTES - 4)
