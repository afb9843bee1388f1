"""Patients whose names are written in every character set that the standard has keep them in all results."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from tests.workers.synthetic import Phantom, result_input, single_frames
from workers.reading.instances import quiet
from workers.results import build_all
from workers.results.common import ResultInput
from workers.results.headers import UTF_8
from workers.results.validate import DCIODVFY, errors, fitting, run

FILES = (
    "chrArab", "chrFren", "chrFrenMulti", "chrGerm", "chrGreek", "chrH31", "chrH32", "chrHbrw", "chrI2", "chrJapMulti",
    "chrJapMultiExplicitIR6", "chrKoreanMulti", "chrRuss", "chrSQEncoding", "chrSQEncoding1", "chrX1", "chrX2",
)  # fmt: skip

#: Study attributes that results inherit, besides all of the Patient group.
STUDY = ("StudyDescription", "ReferringPhysicianName", "AccessionNumber", "StudyID")

#: Repertoires of Unicode, which can write any text.
UNICODE = ("ISO_IR 192", "GB18030")

#: Written by none but these.
INSTITUTION = "Śląska 東京 Ωμέγα"


@dataclass(frozen=True)
class Patient:
    """A patient as a file has them: raw elements, the character set that they are in, and the name for people."""

    elements: tuple[RawDataElement, ...]
    character_set: Any
    name: str

    @property
    def written(self) -> bytes:
        """Bytes of the name."""
        [name] = [element.value for element in self.elements if keyword_for_tag(element.tag) == "PatientName"]
        assert name is not None
        return name


@pytest.fixture(scope="module", params=FILES)
def patient(request: pytest.FixtureRequest, real_data: Callable[[str], Path]) -> Patient:
    """Give the patient of one of the files; two have theirs in an item, with and without a character set of its own."""
    path = real_data("dicom-pydicom") / "charset_files" / f"{request.param}.dcm"
    with quiet():
        ds = dcmread(path)
        named = ds if "PatientName" in ds else ds.RequestedProcedureCodeSequence[0]
        tags = [tag for tag in named.keys() if tag.group == 0x0010 or keyword_for_tag(tag) in STUDY]  # noqa: SIM118
        fresh = dcmread(path)  # whose elements nobody has looked at
        fresh = fresh if "PatientName" in fresh else fresh.RequestedProcedureCodeSequence[0]
        raw = tuple(element for tag in tags if isinstance(element := fresh.get_item(tag), RawDataElement))
        assert len(raw) == len(tags)
        return Patient(raw, named.get("SpecificCharacterSet") or ds.SpecificCharacterSet, str(named.PatientName))


def _input(patient: Patient, **changes: Any) -> ResultInput:
    """Input of the builders whose images are the patient's, bytes of the names as they came."""
    frames = single_frames(Phantom())
    for frame in frames:
        frame.SpecificCharacterSet = patient.character_set
        del frame.PatientName, frame.StudyDescription
        for element in patient.elements:
            frame[element.tag] = element
    return result_input(frames, Phantom().shape, **changes)


@pytest.fixture(scope="module")
def results(patient: Patient, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Give the patient's segmentation and report, written."""
    return list(_written(_input(patient), tmp_path_factory.mktemp("results")).values())


def _written(inp: ResultInput, folder: Path) -> dict[str, Path]:
    with quiet():
        paths = {kind: folder / f"{kind}.dcm" for kind in ("seg", "sr")}
        for kind, objects in build_all(inp).items():
            objects[0].save_as(paths[kind], enforce_file_format=True)
    return paths


@pytest.mark.data
def test_a_name_stays_in_the_character_set_that_it_came_in(patient: Patient, results: list[Path]) -> None:
    for path in results:
        with quiet():
            read = dcmread(path)
            assert read.SpecificCharacterSet == patient.character_set
            inherited = [element for element in patient.elements if element.tag in read]
            assert all(_same(read, patient, element) for element in inherited)
            assert "PatientName" in [keyword_for_tag(element.tag) for element in inherited]
            assert str(read.PatientName) == patient.name


def _same(read: Dataset, patient: Patient, element: RawDataElement) -> bool:
    """Whether two encodings of a text say the same: escape sequences can stand in several places (PS3.5 6.1.2.5.3)."""
    ds = Dataset()
    ds.SpecificCharacterSet = patient.character_set
    ds[element.tag] = element
    return bool(read[element.tag].value == ds[element.tag].value)


def _roman(text: bytes) -> bytes:
    """Latin letters by ESC ( J, which ISO 2022 IR 13 begins with, where a source returns to them by ESC ( B."""
    return text.replace(b"\x1b(B", b"\x1b(J")


@pytest.mark.data
def test_dcmtk_reads_the_name_and_dciodvfy_finds_no_error(
    patient: Patient, results: list[Path], peer: Callable[[str], str]
) -> None:
    for path in results:
        converted = "ISO 2022 IR 87" not in patient.character_set  # which DCMTK cannot with the C library's tables
        command = [peer("dcmdump"), *(["+U8"] if converted else []), "+P", "PatientName", str(path)]
        dump = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
        assert b"[" + (patient.name.encode() if converted else _roman(patient.written.strip())) + b"]" in _roman(dump)
        assert peer("dciodvfy")
        [validator] = [item for item in fitting(str(dcmread(path).SOPClassUID), "") if item.name == DCIODVFY]
        assert errors(run(validator, path)) == []


@pytest.mark.data
def test_a_text_that_the_character_set_cannot_write_makes_the_object_unicode(patient: Patient, tmp_path: Path) -> None:
    inp = _input(patient, institution=INSTITUTION)
    for path in _written(inp, tmp_path).values():
        with quiet():
            read = dcmread(path)
            assert read.SpecificCharacterSet == (patient.character_set if patient.character_set in UNICODE else UTF_8)
            assert (str(read.PatientName), read.InstitutionName) == (patient.name, INSTITUTION)
