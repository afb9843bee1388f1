"""What the fuzzer found in reading headers: what is answered with Success must be one that the index can read."""

from __future__ import annotations

import struct

import pytest
from pydicom.charset import convert_encodings

from node.dicom.headers import check, read
from node.dicom.structure import MAX_ELEMENTS, scan
from node.errors import DicomInputError
from tests.node.dicom.objects import EXPLICIT, IMPLICIT, command_for, encoded, image

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


@pytest.mark.parametrize("name", ["undefined", "idna", "rot13", "base64", "utf_16", "utf_7", "raw_unicode_escape"])
def test_a_character_set_that_only_python_knows_is_read_as_the_default_one(name: str) -> None:
    ds = image()
    text = b"\xd8\x00\\udc80+2AA-"
    data = element(0x00080005, b"CS", name.encode() + b" " * (len(name) % 2)) + encoded(ds).replace(
        element(0x00100020, b"LO", b"P1"), element(0x00100020, b"LO", text)
    )
    assert convert_encodings([name]) != convert_encodings(["ISO_IR 6"])
    check(command_for(ds), memoryview(data))
    header = read(command_for(ds), memoryview(data))
    assert header.patient_id == text.decode("latin-1").replace("\0", "")
    assert header.patient_name == "Example^Robin"
    header.patient_id.encode("utf-8")


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_identifiers_behind_a_higher_tag_are_found(syntax: str) -> None:
    ds = image()
    data = encoded(ds, syntax)
    high = element(0x00E10010, b"LO", b"X ") if syntax == EXPLICIT else struct.pack("<HHL", 0xE1, 0x10, 2) + b"X "
    mixed = high + data
    check(command_for(ds, syntax), memoryview(mixed))
    header = read(command_for(ds, syntax), memoryview(mixed))
    assert (header.study_uid, header.series_uid) == ("1.2.3", "1.2.3.1")


def test_of_an_identifier_that_comes_twice_the_first_counts_for_the_answer_and_for_the_index() -> None:
    ds = image()
    data = encoded(ds) + element(0x0020000D, b"UI", b"1.9.9\0")
    assert check(command_for(ds), memoryview(data)).study_uid == "1.2.3"
    assert read(command_for(ds), memoryview(data)).study_uid == "1.2.3"


@pytest.mark.parametrize(("syntax", "empty"), [(EXPLICIT, b"LO\0\0"), (IMPLICIT, bytes(4))])
def test_a_data_set_of_more_elements_than_any_has_is_refused_before_it_fills_the_memory(
    syntax: str, empty: bytes
) -> None:
    ds = image()
    many = b"".join(struct.pack("<HH", 0x0031, number) + empty for number in range(MAX_ELEMENTS))
    assert len(scan(memoryview(many), implicit=syntax == IMPLICIT)) == MAX_ELEMENTS
    with pytest.raises(DicomInputError, match="too many elements"):
        check(command_for(ds, syntax), memoryview(encoded(ds, syntax) + many))
