from __future__ import annotations

import dataclasses
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.dicom import headers
from node.dicom.headers import HEAD_BYTES, BadIdentifiers, check, read, read_excerpt
from node.dicom.part10 import Command
from node.dicom.structure import Truncated, scan
from node.errors import DatasetMismatch, DicomInputError
from tests.node.dicom.objects import BIG, DEFLATED, EXPLICIT, IMPLICIT, MR, command_for, encoded, image
from tests.node.dicom.test_structure import JPEG, encapsulated
from tests.part10 import read_file

FULL = {
    "AccessionNumber": "A7",
    "IssuerOfPatientID": "HOSPITAL",
    "PatientBirthDate": "19540317",
    "PatientSex": "F",
    "StudyDescription": "MR brain",
    "StudyDate": "20260102",
    "StudyTime": "030405.12",
    "SeriesDescription": "T1",
    "SeriesNumber": 4,
    "InstanceNumber": 12,
    "BodyPartExamined": "BRAIN",
    "Manufacturer": "Acme",
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "SliceThickness": 1.5,
}


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_what_the_index_keeps_is_read_in_every_encoding(syntax: str) -> None:
    ds = image(**FULL)
    header = read(command_for(ds, syntax), memoryview(encoded(ds, syntax)))
    assert (header.uid, header.sop_class, header.transfer_syntax) == (ds.SOPInstanceUID, MR, syntax)
    assert (header.study_uid, header.series_uid) == ("1.2.3", "1.2.3.1")
    assert (header.patient_id, header.issuer, header.patient_name) == ("P1", "HOSPITAL", "Example^Robin")
    assert (header.birth_date, header.sex, header.accession_number) == ("19540317", "F", "A7")
    assert (header.study_description, header.study_date, header.study_time) == ("MR brain", "20260102", "030405.12")
    assert (header.modality, header.body_part, header.series_description) == ("MR", "BRAIN", "T1")
    assert (header.series_number, header.number) == (4, 12)
    assert header.tags["ImageType"] == "ORIGINAL\\PRIMARY"
    assert (header.tags["Manufacturer"], header.tags["SliceThickness"]) == ("Acme", "1.5")
    assert (header.calling_ae_title, header.called_ae_title) == ("MR1", "OVERREAD")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_texts_are_bounded_and_free_of_control_characters() -> None:
    ds = image(SeriesDescription="a\0b\x1bc" + "d" * 5000)
    header = read(command_for(ds), memoryview(encoded(ds)))
    assert header.series_description == ("abc" + "d" * 5000)[:1000]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("number", ["abc", "99999999999", "1.5", ""])
def test_a_number_that_is_none_is_left_out(number: str) -> None:
    ds = image()
    raw = number.encode() + b" " * (len(number) % 2)
    data = encoded(ds).replace(
        b"\x20\x00\x13\x00IS\x02\x001 ", struct.pack("<HH2sH", 0x20, 0x13, b"IS", len(raw)) + raw
    )
    assert read(command_for(ds), memoryview(data)).number is None


def test_the_pixels_must_be_as_many_as_rows_columns_and_frames_ask_for() -> None:
    for values in ({"PixelData": bytes(58)}, {"NumberOfFrames": 2}, {"Rows": 7}, {"SamplesPerPixel": 3}):
        ds = image(**values)
        with pytest.raises(Truncated, match="shorter"):
            check(command_for(ds), memoryview(encoded(ds)))


@pytest.mark.parametrize(
    "values",
    [
        {"PixelData": bytes(64)},
        {"BitsAllocated": 1, "PixelData": bytes(4)},
        {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422", "BitsAllocated": 8, "PixelData": bytes(60)},
        {"PixelData": None},
    ],
)
def test_padded_packed_subsampled_and_absent_pixels_are_whole(values: dict[str, object]) -> None:
    ds = image(**values)
    assert check(command_for(ds), memoryview(encoded(ds))).study_uid == "1.2.3"


def test_fewer_fragments_than_frames_are_truncated_but_not_for_video() -> None:
    data = encapsulated(b"\xff\xd8one\xff\xd9 ")
    data = data.replace(b"\x28\x00\x04\x00CS", b"\x28\x00\x08\x00IS\x02\x003 \x28\x00\x04\x00CS")
    with pytest.raises(Truncated, match="fragments"):
        check(Command(MR, "1.2.3.4", JPEG), memoryview(data))
    assert check(Command(MR, "1.2.3.4", "1.2.840.10008.1.2.4.102"), memoryview(data)).study_uid == "1.2.3"


def test_an_object_of_another_class_or_instance_does_not_match() -> None:
    ds = image()
    data = memoryview(encoded(ds))
    for command in (Command("1.2.3", str(ds.SOPInstanceUID), EXPLICIT), Command(MR, "1.2.3", EXPLICIT)):
        with pytest.raises(DatasetMismatch):
            check(command, data)
    with pytest.raises(BadIdentifiers):
        check(Command(MR, "../../x", EXPLICIT), data)


def test_a_small_file_that_inflates_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "MAX_INFLATED", 1 << 20)
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = squeezer.compress(bytes((1 << 20) + 1)) + squeezer.flush()
    assert len(bomb) < 1 << 12
    with pytest.raises(DicomInputError, match="too large"):
        check(Command(MR, "1.2.3", DEFLATED), memoryview(bomb))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chrArab", "قباني^لنزار"),
        ("chrFrenMulti", "Buc^Jérôme"),
        ("chrGreek", "Διονυσιος"),
        ("chrH32", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("chrI2", "Hong^Gildong=洪^吉洞=홍^길동"),
        ("chrRuss", "Люкceмбypг"),
        ("chrX1", "Wang^XiaoDong=王^小東"),
        ("chrX2", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_are_decoded_with_the_objects_own_character_set(
    real_data: Callable[[str], Path], name: str, expected: str
) -> None:
    meta, data = read_file(real_data("dicom-pydicom") / "charset_files" / f"{name}.dcm")
    command = Command(meta.sop_class, meta.sop_instance, meta.transfer_syntax)
    assert read(command, memoryview(data)).patient_name == expected


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_unknown_character_set_does_not_lose_the_object() -> None:
    ds = image(PatientName="Example")
    ds.SpecificCharacterSet = "ISO 9999"
    assert read(command_for(ds), memoryview(encoded(ds))).patient_name == "Example"


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_object_without_identifiers_or_with_hostile_ones_is_refused(syntax: str, keyword: str) -> None:
    for value in (None, "", "../../etc", "1.2.3\\4", "1." * 40 + "1"):
        ds = image(**{keyword: value})
        with pytest.raises(BadIdentifiers, match=keyword.removesuffix("InstanceUID")):
            check(command_for(ds, syntax), memoryview(encoded(ds, syntax)))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_an_object_that_is_in_order_is_taken_and_its_study_named(syntax: str) -> None:
    ds = image(**FULL)
    assert check(command_for(ds, syntax), memoryview(encoded(ds, syntax))).study_uid == "1.2.3"


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_the_beginning_of_an_object_gives_the_same_index_as_all_of_it(syntax: str) -> None:
    ds = image(**FULL, Rows=1024, Columns=1024, PixelData=os.urandom(2 << 20))
    data = memoryview(encoded(ds, syntax))
    assert len(data) > HEAD_BYTES
    command = command_for(ds, syntax)
    beginning, whole = (read(command, part) for part in (data[:HEAD_BYTES], data))
    assert dataclasses.replace(beginning, received_at=whole.received_at) == whole
    assert beginning.series_number == 4


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG, DEFLATED])
def test_an_excerpt_gives_the_same_index_as_the_object(syntax: str) -> None:
    ds = image(**FULL, ContentSequence=[image()], Rows=64, Columns=64, PixelData=os.urandom(8192))
    ds.SpecificCharacterSet, ds.PatientName = "ISO_IR 192", "王^小东"
    data, command = memoryview(encoded(ds, syntax)), command_for(ds, syntax)
    excerpt = check(command, data).excerpt()
    assert 0 < len(excerpt) < 1000
    told, whole = read_excerpt(command, excerpt), read(command, data)
    assert dataclasses.replace(told, received_at=whole.received_at) == whole
    assert told.patient_name == "王^小东"


def test_an_object_with_long_texts_has_no_excerpt_and_is_read_from_its_file() -> None:
    ds = image(StudyDescription="x" * 5000, SeriesDescription="y" * 5000)
    assert check(command_for(ds), memoryview(encoded(ds))).excerpt() == b""


def test_what_stands_before_a_cut_is_read_and_a_cut_before_the_identifiers_is_told() -> None:
    ds = image(**FULL)
    data = memoryview(encoded(ds))
    series_ends = bytes(data).index(b"1.2.3.1\0") + 8
    header = read(command_for(ds), data[: series_ends + 3])
    assert (header.series_uid, header.patient_id, header.series_number) == ("1.2.3.1", "P1", None)
    with pytest.raises(BadIdentifiers):
        read(command_for(ds), data[: series_ends - 1])


@pytest.mark.parametrize("syntax", [EXPLICIT, DEFLATED])
def test_an_object_whose_elements_are_out_of_order_is_taken_and_can_be_entered(syntax: str) -> None:
    """PS3.5 section 7.1 asks for ascending tags; what was taken all the same has been answered with Success."""
    ds = image()
    raw = _explicit(0x00290010, b"LO", b"PRIVATE") + encoded(ds)
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = memoryview(squeezer.compress(raw) + squeezer.flush() if syntax == DEFLATED else raw)
    assert check(command_for(ds, syntax), data).study_uid == "1.2.3"
    header = read(command_for(ds, syntax), data)
    assert (header.study_uid, header.series_uid, header.patient_id) == ("1.2.3", "1.2.3.1", "P1")


def test_attributes_for_rules_are_left_out_where_the_series_is_known() -> None:
    ds = image(**FULL)
    header = read(command_for(ds), memoryview(encoded(ds)), {"1.2.3.1"})
    assert (header.tags, header.series_description, header.modality) == ({}, "T1", "MR")


@settings(max_examples=200, deadline=None)
@given(st.data())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_hostile_texts_under_any_character_set_give_a_clean_header(data: st.DataObject) -> None:
    """The object has been answered with Success when this is read: it may not fail."""
    ds = image(**FULL)
    raw = encoded(ds)
    name = data.draw(
        st.one_of(
            st.sampled_from([b"ISO 2022 IR 87", b"ISO_IR 192", b"GB18030", b"ISO 2022 IR 149", b"\\ISO 2022 IR 13"]),
            st.binary(max_size=24),
        )
    )
    texts = {tag: data.draw(st.binary(max_size=40)) for tag in (0x00100010, 0x00100020, 0x0008103E, 0x00081030)}
    head = _explicit(0x00080005, b"CS", name)
    for tag, value in texts.items():
        raw = _replaced(raw, tag, value)
    header = read(command_for(ds), memoryview(head + raw))
    for text in (header.patient_name, header.patient_id, header.series_description, header.study_description):
        assert all(char.isprintable() for char in text)
        text.encode("utf-8")


def _explicit(tag: int, vr: bytes, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def _replaced(raw: bytes, tag: int, value: bytes) -> bytes:
    element = scan(memoryview(raw), implicit=False)[tag]
    vr = raw[element.start - 4 : element.start - 2]
    return raw[: element.start - 8] + _explicit(tag, vr, value) + raw[element.end :]
