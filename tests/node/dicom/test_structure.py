from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from node.dicom.headers import check, read, read_excerpt
from node.dicom.structure import Element, Truncated, _Scanner, peek, scan
from node.errors import OverreadError
from tests.node.dicom.objects import BIG, DEFLATED, EXPLICIT, IMPLICIT, MR, command_for, encoded, image

JPEG = "1.2.840.10008.1.2.4.50"


def nested() -> Dataset:
    """Make an image with sequences of defined and undefined length within one another."""
    inner = Dataset()
    inner.CodeValue = "1"
    middle = Dataset()
    middle.ConceptNameCodeSequence = Sequence([inner, Dataset()])
    ds = image()
    ds.ReferencedImageSequence = Sequence([middle, middle])
    ds["ReferencedImageSequence"].is_undefined_length = True
    for item in ds.ReferencedImageSequence:
        item.is_undefined_length_sequence_item = True
    return ds


def encapsulated(*fragments: bytes, uid: str = "1.2.3.4") -> bytes:
    """Return a JPEG image with the fragments given (PS3.5 annex A.4)."""
    items = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item for item in (b"", *fragments))
    end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    head = encoded(image(PixelData=None, SOPInstanceUID=uid))
    return head + struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + items + end


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("make", [image, nested])
def test_every_cut_of_a_data_set_is_found(syntax: str, make: Callable[[], Dataset]) -> None:
    data = encoded(make(), syntax)
    how = {"implicit": syntax == IMPLICIT, "little": syntax != BIG}
    whole = scan(memoryview(data), **how)
    ends = {element.end for element in whole.values()}
    assert max(ends) == len(data)
    for cut in range(8, len(data)):
        if cut in ends:
            continue  # a data set that stops between two elements is whole in itself
        with pytest.raises(Truncated):
            scan(memoryview(data)[:cut], **how)


def test_every_cut_within_a_deflated_data_set_is_refused() -> None:
    ds = image()
    data = encoded(ds, DEFLATED)
    assert check(command_for(ds, DEFLATED), memoryview(data)).study_uid == "1.2.3"
    for cut in range(len(data) - 1):
        with pytest.raises(Truncated):
            check(command_for(ds, DEFLATED), memoryview(data)[:cut])


def test_every_cut_within_encapsulated_pixels_is_refused() -> None:
    data = encapsulated(b"\xff\xd8 one \xff\xd9", b"two!")
    assert scan(memoryview(data), implicit=False)[0x7FE00010].items == 3
    start = scan(memoryview(data), implicit=False)[0x7FE00010].start
    for cut in range(start, len(data)):
        with pytest.raises(Truncated):
            scan(memoryview(data)[:cut], implicit=False)


def test_a_delimiter_within_a_fragment_does_not_end_it() -> None:
    data = encapsulated(b"\xfe\xff\xdd\xe0\0\0\0\0more")
    assert scan(memoryview(data), implicit=False)[0x7FE00010].items == 2


def test_sequences_nested_without_end_are_refused_and_exhaust_nothing() -> None:
    level = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    with pytest.raises(Truncated, match="too deep"):
        scan(memoryview(level * 100_000), implicit=False)


def test_explicit_elements_that_were_announced_as_implicit_are_understood() -> None:
    data = memoryview(encoded(image(), EXPLICIT))
    assert scan(data, implicit=True).keys() == scan(data, implicit=False).keys()


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("make", [image, nested])
def test_every_beginning_gives_the_elements_that_are_whole_in_it(syntax: str, make: Callable[[], Dataset]) -> None:
    data = memoryview(encoded(make(), syntax))
    how = {"implicit": syntax == IMPLICIT, "little": syntax != BIG}
    whole = scan(data, **how)
    for cut in range(8, len(data)):
        found = peek(data[:cut], 0xFFFFFFFF, **how)
        assert found == {tag: element for tag, element in whole.items() if element.end <= cut}


@pytest.mark.parametrize("last", [0x00080018, 0x00100020, 0x00100021, 0x0020000E, 0x00287FFF])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_the_elements_up_to_a_tag_are_those_of_the_whole_walk(syntax: str, last: int) -> None:
    data = memoryview(encoded(nested(), syntax))
    how = {"implicit": syntax == IMPLICIT, "little": syntax != BIG}
    whole = scan(data, **how)
    found = peek(data, last, **how)
    assert {tag for tag in whole if tag <= last} <= found.keys()
    assert found.items() <= whole.items()
    assert len([tag for tag in found if tag > last]) <= 2


def test_of_an_element_that_comes_twice_the_refusals_and_the_index_see_the_same() -> None:
    """Else an object could be taken for one study and entered in another."""
    ds = image()
    data = encoded(ds)
    element = scan(memoryview(data), implicit=False)[0x0020000D]
    other = data[element.start - 8 : element.start] + data[element.start : element.end].replace(b"3", b"4")
    for doubled in (data + other, data[: element.start - 8] + other + data[element.start - 8 :]):
        checked = check(command_for(ds), memoryview(doubled))
        assert read(command_for(ds), memoryview(doubled)).study_uid == checked.study_uid
        assert read_excerpt(command_for(ds), checked.excerpt()).study_uid == checked.study_uid


def test_the_beginning_of_a_data_set_is_enough_for_its_identity() -> None:
    data = encoded(image(), EXPLICIT)
    assert 0x00080018 in peek(memoryview(data)[:120], 0x00080018, implicit=False)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.booleans(), st.booleans())
def test_any_bytes_at_all_are_whole_or_truncated_and_nothing_else(data: bytes, implicit: bool, little: bool) -> None:
    try:
        elements = scan(memoryview(data), implicit=implicit, little=little)
    except Truncated:
        return
    assert all(0 <= element.start <= element.end <= len(data) for element in elements.values())


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_object_is_read_or_refused_and_never_breaks_anything(data: st.DataObject) -> None:
    ds = nested()
    ds.SOPInstanceUID = "1.2.3.4"
    syntax = data.draw(st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED, JPEG]))
    raw = bytearray(encoded(ds, EXPLICIT if syntax == JPEG else syntax))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    command = command_for(ds, syntax)
    try:
        checked = check(command, memoryview(raw))
    except OverreadError:
        return
    header = read(command, memoryview(raw))  # what was taken can be entered in the index
    assert (header.uid, header.sop_class, header.study_uid) == ("1.2.3.4", MR, checked.study_uid)
    if excerpt := checked.excerpt():
        found = read_excerpt(command, excerpt)
        assert (found.study_uid, found.series_uid) == (header.study_uid, header.series_uid)


@pytest.mark.data
def test_the_truncated_files_of_pydicom_are_found(real_data: Callable[[str], Path]) -> None:
    from tests.part10 import read_file

    folder = real_data("dicom-pydicom") / "test_files"
    for name in ("MR_truncated.dcm", "rtplan_truncated.dcm"):
        meta, data = read_file(folder / name)
        with pytest.raises(Truncated):
            scan(memoryview(data), implicit=meta.transfer_syntax == IMPLICIT)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_objects_laid_out_alike_share_what_the_walk_over_the_first_one_found(syntax: str) -> None:
    how = {"implicit": syntax == IMPLICIT, "little": syntax != BIG}
    first, second = (memoryview(encoded(image(InstanceNumber=number), syntax)) for number in (1, 2))
    assert scan(first, **how) is scan(second, **how)
    assert scan(first, **how) == _Scanner(first, how["little"]).top(how["implicit"])


def test_one_bit_of_any_header_is_enough_for_another_walk() -> None:
    data = encoded(image())
    elements = scan(memoryview(data), implicit=False)
    for at, start, _, _ in elements.values():
        for position in range(at, start):
            other = bytearray(data)
            other[position] ^= 1
            assert result(scan, other) == result(walk, other)


def test_an_object_with_nested_items_or_a_tag_that_comes_twice_is_walked_each_time() -> None:
    once = encoded(image())
    number = scan(memoryview(once), implicit=False)[0x00200013]
    twice = once[: number.end] + once[number.at :]
    for data in (encoded(nested()), twice):
        first, second = (scan(memoryview(data), implicit=False) for _ in range(2))
        assert first == second
        assert first is not second


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_remembered_layout_never_tells_anything_else_than_a_walk(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 99999))
    description = data.draw(st.text("ab", max_size=8))
    body = bytearray(encoded(image(SOPInstanceUID="1.2.3.4", InstanceNumber=number, SeriesDescription=description)))
    for _ in range(data.draw(st.integers(0, 2))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    assert result(scan, body) == result(walk, body)


def walk(data: memoryview, *, implicit: bool, little: bool = True) -> Mapping[int, Element]:
    """Walk, whatever is remembered."""
    return _Scanner(data, little).top(implicit)


def result(find: Callable[..., Mapping[int, Element]], data: bytearray) -> object:
    """Return the elements, or the refusal."""
    try:
        return dict(find(memoryview(data), implicit=False))
    except OverreadError as exc:
        return str(exc)


def test_the_pieces_of_an_excerpt_that_follow_each_other_are_one() -> None:
    data = memoryview(encoded(image()))
    elements = scan(data, implicit=False)
    tags = tuple(sorted(elements))[:5]
    ((start, end),) = elements.spans(tags, 1 << 20)
    assert bytes(data[start:end]) == b"".join(data[elements[tag].at : elements[tag].end] for tag in tags)
    assert elements.spans((0x7FE00010,), 1) == []
