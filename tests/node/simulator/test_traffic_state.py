"""The comparison of two runs sees what differs, and nothing else."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from node.hl7 import inbound
from node.records.engine import Records
from node.settings import Settings
from node.simulator.ris import Person, admit, labs, note
from tests.campaigns.traffic_reports import oru_lines, sr_lines
from tests.campaigns.traffic_state import differences, state
from tests.stores import empty

STUDY = "2.25.1"
MESSAGE = (
    "MSH|^~\\&|OVERREAD||RIS||{at}||ORU^R01^ORU_R01|{id}|P|2.5.1\r"
    "OBR|1||F1|P||||||||||||||||||{at}|||{status}\r"
    f"OBX|1|ST|113014^DICOM Study^DCM||{STUDY}||||||{{status}}|||{{at}}\r"
    "OBX|2|ST|SR-UID||2.25.{uid}||||||{status}\r"
    "OBX|3|NM|VOLUME||{value}|mm3|||||{status}\r"
)


def lines(**changed: str) -> list[str]:
    given = {"at": "20200101", "id": "A", "status": "P", "uid": "77", "value": "3.1", **changed}
    return oru_lines(MESSAGE.format(**given).encode(), STUDY)


def report(**changed: Any) -> bytes:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.StudyInstanceUID = ComprehensiveSRStorage, STUDY
    ds.SOPInstanceUID, ds.ContentDate, ds.PatientID = "2.25.5", "20200101", "P1"
    item = Dataset()
    item.TextValue, item.UID = "atrophy", "2.25.9"
    ds.ContentSequence = [item]
    for keyword, value in changed.items():
        setattr(item if keyword in item else ds, keyword, value)
    stream = BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def take(records: Records, *messages: bytes) -> Records:
    for raw in messages:
        inbound.handle(records, Settings(), raw)
    return records


def test_equal_states_have_no_difference_and_each_kind_of_difference_has_a_line() -> None:
    one = {"a": {"x": 1, "y": ["p", "q", "q"]}, "b": 2}
    assert list(differences(one, {"a": {"x": 1, "y": ["p", "q", "q"]}, "b": 2})) == []
    assert list(differences(one, {"a": {"x": 3, "y": ["p", "q", "q"]}, "b": 2})) == ["/a/x: ordered 1, disturbed 3"]
    assert len(list(differences(one, {"a": {"x": 1, "y": ["p", "q"]}, "b": 2}))) == 1
    assert list(differences(one, {"a": {"x": 1, "y": ["q", "p", "q"]}, "b": 2})) == ["/a/y: the same in another order"]
    assert len(list(differences(one, {"a": one["a"]}))) == 1
    assert len(list(differences(one, {**one, "c": 0}))) == 1


@pytest.mark.parametrize("own", [{"at": "20210101"}, {"id": "B"}, {"status": "C"}, {"uid": "88"}])
def test_a_message_is_the_same_whatever_its_time_number_and_status(own: dict[str, str]) -> None:
    assert lines(**own) == lines()


def test_a_message_with_another_value_or_study_is_another() -> None:
    assert lines(value="3.2") != lines()
    assert lines()[2].endswith(f"|{STUDY}")


@pytest.mark.parametrize("own", [{"SOPInstanceUID": "2.25.6"}, {"ContentDate": "20210101"}, {"UID": "2.25.8"}])
def test_a_report_is_the_same_whatever_its_uids_and_times(own: dict[str, str]) -> None:
    assert sr_lines(report(**own), STUDY) == sr_lines(report(), STUDY)


@pytest.mark.parametrize("own", [{"TextValue": "none"}, {"PatientID": "P2"}, {"StudyInstanceUID": "2.25.2"}])
def test_a_report_with_other_words_patient_or_study_is_another(own: dict[str, str]) -> None:
    assert sr_lines(report(**own), STUDY) != sr_lines(report(), STUDY)


def test_the_order_of_patients_makes_no_difference_and_a_value_does(tmp_path: Path) -> None:
    people = [Person(id="A1"), Person(id="B2")]
    messages = {
        person.id: (
            admit(person, control_id=f"1{person.id}"),
            labs(person, filler=f"L{person.id}", control_id=f"2{person.id}"),
            note(person, document_number=f"N{person.id}", control_id=f"3{person.id}"),
        )
        for person in people
    }
    found = {}
    for name, order in {"ab": ("A1", "B2"), "ba": ("B2", "A1"), "a": ("A1",), "changed": ("A1", "B2")}.items():
        records = empty(tmp_path / f"{name}.sqlite")
        for person in order:
            raws = messages[person]
            if name == "changed" and person == "B2":
                raws = (raws[0], raws[1].replace(b"|2.1|", b"|2.2|"), raws[2])
            take(records, *raws)
        found[name] = state(records, tmp_path)
        records.close()
    assert list(differences(found["ab"], found["ba"])) == []
    assert any(text.startswith("/notes/") for text in differences(found["ab"], found["a"]))
    [text] = differences(found["ab"], found["changed"])
    assert "/observations/B2^HOSPITAL" in text
    assert "2.2" in text
