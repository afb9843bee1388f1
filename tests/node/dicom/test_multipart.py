"""The multipart parser: however a body is cut, its parts are the same, and what is no body is an error."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from node.dicom.multipart import (
    MAX_HEADER_BYTES,
    MAX_PREAMBLE_BYTES,
    MultipartError,
    MultipartParser,
    PartBegin,
    PartData,
    PartEnd,
    boundary_of,
    media_type,
)

Part = tuple[dict[str, str], bytes]
ALPHABET = "0123456789abcXYZ'()+_,-./:=?"
boundaries = st.text(ALPHABET, min_size=1, max_size=70).map(str.encode)
near_boundaries = st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n", b"\r\n--", b"b", b"x", b" ", b"\r\n--b", b"\r\n--bx", b"\0"]),
    max_size=40,
).map(b"".join)


def encode(
    parts: Iterable[Part], boundary: bytes, preamble: bytes = b"", epilogue: bytes = b"", pad: bytes = b""
) -> bytes:
    body = preamble
    for headers, data in parts:
        lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
        body += b"\r\n--" + boundary + pad + b"\r\n" + lines + b"\r\n" + data
    return body + b"\r\n--" + boundary + b"--" + epilogue


def parse(body: bytes, boundary: bytes, cuts: Iterable[int] = ()) -> list[Part]:
    parser = MultipartParser(boundary)
    parts: list[Part] = []
    position = 0
    for cut in [*sorted(cuts), len(body)]:
        for event in parser.feed(body[position:cut]):
            match event:
                case PartBegin(headers):
                    parts.append((dict(headers), b""))
                case PartData(data):
                    assert data
                    parts[-1] = (parts[-1][0], parts[-1][1] + data)
                case PartEnd():
                    parts[-1][0]["ended"] = "yes"
        position = cut
    parser.close()
    assert all(headers.pop("ended") == "yes" for headers, _ in parts)
    return parts


@given(st.data())
def test_any_cutting_of_the_body_gives_the_same_parts(data: st.DataObject) -> None:
    boundary = data.draw(boundaries | st.just(b"b"))
    names = st.sampled_from(["content-type", "content-id", "content-location"])
    values = st.text('abc/+;= "', max_size=10).map(str.strip)
    contents = near_boundaries | st.binary(max_size=200)
    parts = data.draw(st.lists(st.tuples(st.dictionaries(names, values, max_size=3), contents), max_size=5))
    preamble = data.draw(st.sampled_from([b"", b"This is a message.\r\nIt has parts."]))
    assume(not any(b"\r\n--" + boundary in b"\r\n" + content for _, content in parts))
    body = encode(
        parts, boundary, preamble, data.draw(st.binary(max_size=50)), data.draw(st.sampled_from([b"", b" \t"]))
    )
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=30))
    assert parse(body, boundary, cuts) == parts
    assert parse(body, boundary, range(len(body))) == parts


@given(near_boundaries | st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10))
def test_any_bytes_give_the_same_in_one_piece_and_in_many_or_an_error_in_both(body: bytes, cuts: list[int]) -> None:
    whole, pieces = (attempt(body, [cut for cut in chosen if cut <= len(body)]) for chosen in ([], cuts))
    assert whole == pieces


def attempt(body: bytes, cuts: list[int]) -> list[Part] | str:
    try:
        return parse(body, b"b", cuts)
    except MultipartError as exc:
        return str(exc)


@given(st.binary(max_size=100), st.integers(1, 20))
def test_a_body_without_its_closing_boundary_is_an_error(content: bytes, missing: int) -> None:
    assume(b"--b" not in content)
    body = encode([({"content-type": "application/dicom"}, content)], b"b")
    shorter = body[: -min(missing, 4)]
    with pytest.raises(MultipartError, match="closing boundary"):
        parse(shorter, b"b")


@pytest.mark.parametrize("body", [b"--b--", b"\r\n--b--", b"--b--\r\n", b"--b--epilogue", b"text\r\n--b--"])
def test_a_body_may_have_no_parts(body: bytes) -> None:
    assert parse(body, b"b") == []


def test_the_first_boundary_may_stand_at_the_very_beginning() -> None:
    assert parse(b"--b\r\nA: 1\r\n\r\nx\r\n--b--", b"b") == [({"a": "1"}, b"x")]


def test_a_part_without_headers_and_one_without_body_are_parts() -> None:
    assert parse(b"--b\r\n\r\nx\r\n--b\r\nA: 1\r\n\r\n--b\r\n\r\n\r\n--b--", b"b") == [
        ({}, b"x"),
        ({"a": "1"}, b""),
        ({}, b""),
    ]


@pytest.mark.parametrize(
    "content",
    [b"\r\n--bc\r\n", b"\r\n--b-", b"\r\n--b-x", b"\r\n--b \tx", b"\n--b--", b"\r\n-b--", b"\r\n--b\n", b"--b"],
)
def test_what_only_looks_like_a_boundary_stays_in_the_part(content: bytes) -> None:
    content = b"x" + content
    body = encode([({}, content)], b"b")
    assert parse(body, b"b") == [({}, content)]
    assert parse(body, b"b", range(len(body))) == [({}, content)]


def test_a_part_of_any_size_is_never_held_as_a_whole() -> None:
    parser = MultipartParser(b"b")
    assert [type(event) for event in parser.feed(b"--b\r\n\r\n")] == [PartBegin]
    for _ in range(100):
        given_on = sum(len(event.data) for event in parser.feed(bytes(1 << 16)) if isinstance(event, PartData))
        assert given_on >= (1 << 16) - 8


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"x" * (MAX_PREAMBLE_BYTES + 100), "no boundary"),
        (b"--b\r\nA: " + b"x" * MAX_HEADER_BYTES, "too long"),
        (b"--b\r\n" + b"".join(b"A%d: 1\r\n" % n for n in range(40)) + b"\r\n", "too many headers"),
        (b"--b\r\nno colon\r\n\r\n", "header that is none"),
        (b"--b\r\n folded: 1\r\n\r\n", "header that is none"),
        (b"--b\r\nA : 1\r\n\r\n", "header that is none"),
        (b"--b\r\nA: 1\r\na: 2\r\n\r\n", "header twice"),
    ],
)
def test_hostile_headers_are_errors(body: bytes, problem: str) -> None:
    with pytest.raises(MultipartError, match=problem):
        parse(body, b"b")


@pytest.mark.parametrize(
    ("value", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', b"abc"),
        ('Multipart/Related;BOUNDARY="a b:c"', b"a b:c"),
        ('multipart/related; boundary="a\\-b";', b"a-b"),
        (f"multipart/related; boundary={'x' * 70}", b"x" * 70),
    ],
)
def test_a_boundary_is_read_quoted_and_bare(value: str, boundary: bytes) -> None:
    media = media_type(value)
    assert media.name == "multipart/related"
    assert boundary_of(media) == boundary


@pytest.mark.parametrize(
    "value",
    [
        "multipart/related",
        "multipart/related; boundary=",
        'multipart/related; boundary=""',
        'multipart/related; boundary="ends in space "',
        'multipart/related; boundary="a\r\nb"',
        'multipart/related; boundary="ä"',
        f"multipart/related; boundary={'x' * 71}",
        "multipart/related; boundary=a; boundary=b",
        'multipart/related; boundary="never closed',
        "multipart/related; boundary=a b",
        "multipart",
        "",
        "a/b/c; boundary=a",
    ],
)
def test_a_hostile_boundary_is_an_error(value: str) -> None:
    with pytest.raises(MultipartError):
        boundary_of(media_type(value))


@given(st.text(max_size=80))
def test_any_content_type_is_a_media_type_or_an_error(value: str) -> None:
    try:
        media = media_type(value)
    except MultipartError:
        return
    assert media.name.count("/") == 1
    assert media.name == media.name.lower()
