"""The patient's values as a model of the record gets them: which, in what code and unit, and how long before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from models.contracts import InputKind, InputRequirements, Record, RecordNeeds
from models.fusion import graph
from node.records import identity, patients
from node.records.schema import Job, Observation, Patient, Study
from tests.workers.office import Office
from tests.workers.synthetic import Phantom, single_frames, write
from workers.reading import inputs
from workers.reading.record.values import acquired_at, moment, record_of

UTC = dt.UTC
ZONE = dt.timezone(dt.timedelta(hours=5))
NEEDS = RecordNeeds(hours=(-48.0, 0.0))


def header(**changes: Any) -> Dataset:
    """A header that says when the image was acquired: 2026-11-20 10:15 UTC."""
    ds = Dataset()
    ds.AcquisitionDateTime, ds.StudyDate, ds.StudyTime = "20261120101500+0000", "20261119", "080000"
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    made.inferred()
    yield made
    made.close()


def keep(office: Office, code: str, number: float | None, at: dt.datetime | None, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "source": "LAB", "filler_number": f"{code}-{at}-{number}", "scheme": "LN", "name": code, "unit": "mg/dL",
        "status": "F", "value": str(number),
    }  # fmt: skip
    with office.records.write() as session:
        person = patients.find_or_create(session, changes.pop("patient", "P-1"))
        fields.update(changes)
        session.add(Observation(patient_fk=person.id, code=code, number=number, observed_at=at, **fields))


def known(office: Office, needs: RecordNeeds = NEEDS, **more: Any) -> Record:
    with office.records.read() as session:
        return record_of(session, session.get_one(Job, "job-1"), needs, **{"header": header(), **more})


def hour(number: float) -> dt.datetime:
    """So many hours after the image was acquired."""
    return dt.datetime(2026, 11, 20, 10, 15, tzinfo=UTC) + dt.timedelta(hours=number)


def test_values_come_in_the_order_of_time_with_their_hours_before_the_image(office: Office) -> None:
    keep(office, "2160-0", 1.4, hour(-1))
    keep(office, "2160-0", 1.1, hour(-30))
    keep(office, "1988-5", 80.0, hour(-1.5), unit="mg/l")
    found = known(office).values
    assert [(value.code, value.value) for value in found] == [("2160-0", 1.1), ("1988-5", 80.0), ("2160-0", 1.4)]
    assert [value.hours for value in found] == pytest.approx([-30, -1.5, -1])
    assert {value.unit for value in found} == {"mg/dL", "mg/L"}


def test_an_offset_from_utc_counts_on_either_side(office: Office) -> None:
    keep(office, "2160-0", 1.4, dt.datetime(2026, 11, 20, 14, 15, tzinfo=ZONE))  # 09:15 UTC
    (value,) = known(office).values
    assert value.hours == pytest.approx(-1)
    (value,) = known(office, header=header(AcquisitionDateTime="20261120121500+0200")).values
    assert value.hours == pytest.approx(-1)


def test_what_is_outside_the_hours_or_of_another_code_is_left_out(office: Office) -> None:
    for at in (-49, -47, -0.1, 0, 0.1):
        keep(office, "2160-0", 1.0, hour(at))
    keep(office, "1988-5", 80.0, hour(-1))
    found = known(office, RecordNeeds(codes=("2160-0",), hours=(-48.0, 0.0))).values
    assert [round(value.hours, 1) for value in found] == [-47.0, -0.1, 0.0]


@pytest.mark.parametrize(
    ("number", "at", "changes"),
    [
        (None, -1, {"value": "<5"}),
        (1.0, None, {}),
        (float("inf"), -1, {}),
        (1.0, -1, {"status": "D"}),
        (1.0, -1, {"status": "W"}),
        (1.0, -1, {"scheme": "L"}),
        (1.0, -1, {"patient": "P-2"}),
    ],
)
def test_what_is_no_value_of_the_patient_is_left_out(
    number: float | None, at: float | None, changes: dict[str, Any], office: Office
) -> None:
    keep(office, "2160-0", number, None if at is None else hour(at), **changes)
    assert known(office).values == ()


def test_a_preliminary_value_gives_way_to_the_final_one(office: Office) -> None:
    keep(office, "2160-0", 1.0, hour(-3), filler_number="F1", status="P", stated_at=hour(-2.5))
    assert [value.value for value in known(office).values] == [1.0]
    keep(office, "2160-0", 1.2, hour(-2.9), filler_number="F1", status="F", stated_at=hour(-2))
    assert [value.value for value in known(office).values] == [1.2]


@pytest.mark.parametrize(
    ("code", "scheme", "name", "loinc"),
    [
        ("BUN", "L", "Blood Urea Nitrogen", "3094-0"),
        ("U", "L", "Urea", "3091-6"),
        ("RR", "99LOCAL", "Respirations", "9279-1"),
        ("1988-5", "LOINC", "CRP", "1988-5"),
    ],
)
def test_codes_of_the_senders_own_are_mapped_where_they_are_known(
    code: str, scheme: str, name: str, loinc: str, office: Office
) -> None:
    keep(office, code, 20.0, hour(-1), scheme=scheme, name=name)
    assert [value.code for value in known(office).values] == [loinc]


def test_a_site_maps_its_own_codes_in_its_knowledge_folder(office: Office, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    line = "crp\tlab\tLN:1988-5|LN:30522-7|L:CRPHS\tC-reactive protein\tC反应蛋白\tCRP\n"
    (site / "nodes_site.tsv").write_text(line, encoding="utf-8")
    keep(office, "CRPHS", 20.0, hour(-1), scheme="L", name="CRP hs")
    assert known(office).values == ()
    assert [value.code for value in known(office, knowledge=graph.load(site)).values] == ["1988-5"]


def test_age_and_sex_are_those_at_the_study(office: Office) -> None:
    with office.records.write() as session:
        person = session.query(Patient).filter_by(patient_id="P-1").one()
        person.birth_date, person.sex = "19661121", "F"
    assert (known(office).age_years, known(office).sex) == (59.0, "F")


def test_where_the_identity_is_in_question_there_is_nothing_of_the_record(office: Office) -> None:
    keep(office, "2160-0", 1.4, hour(-1))
    with office.records.write() as session:
        person = session.query(Patient).filter_by(patient_id="P-1").one()
        said = {"birth_date": "19500102", "sex": "F"}
        patients.state(session, person, said, origin="hl7", stated_at=hour(-9))
        study = session.query(Study).one()
        identity.observe(session, study, {"birth_date": "19800304", "sex": "M"})
        assert identity.in_question(session, study)
    assert known(office) == Record((), 46.0, "M")


def test_a_later_study_of_a_merged_patient_has_the_values_of_both(office: Office) -> None:
    keep(office, "2160-0", 1.4, hour(-1), patient="P-2")
    with office.records.write() as session:
        old, new = (session.query(Patient).filter_by(patient_id=name).one() for name in ("P-2", "P-1"))
        old.survivor_fk = new.id
    assert [value.value for value in known(office).values] == [1.4]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, hour(0)),
        ({"AcquisitionDateTime": "20261120101500", "TimezoneOffsetFromUTC": "+0500"}, hour(-5)),
        ({"AcquisitionDateTime": "20261120101500.123456+0000"}, hour(0)),
        (
            {
                "AcquisitionDateTime": "",
                "AcquisitionDate": "20261120",
                "AcquisitionTime": "1015",
                "TimezoneOffsetFromUTC": "+0000",
            },
            hour(0),
        ),
        (
            {"AcquisitionDateTime": "20261120", "TimezoneOffsetFromUTC": "+0000"},
            dt.datetime(2026, 11, 19, 8, tzinfo=UTC),
        ),
        ({"AcquisitionDateTime": "2026", "StudyTime": ""}, None),
    ],
)
def test_the_moment_is_when_the_image_was_acquired(changes: dict[str, Any], expected: dt.datetime | None) -> None:
    assert acquired_at(header(**changes)) == expected


def test_where_only_the_day_is_known_values_of_that_day_are_not_of_the_future() -> None:
    day = dt.datetime(2026, 11, 20).astimezone()
    arrived = day + dt.timedelta(hours=15)
    study = Study(study_date="20261120", study_time="", first_instance_at=arrived)
    assert moment(study) == arrived
    study.first_instance_at = day + dt.timedelta(days=9)
    assert moment(study) == day + dt.timedelta(days=1)
    study.study_date = ""
    assert moment(study) is None


def test_a_model_of_the_record_runs_on_a_series_and_its_results_refer_to_it(tmp_path: Path) -> None:
    paths = write(tmp_path / "series", single_frames(Phantom()))
    needs = InputRequirements(modalities=(), kind=InputKind.RECORD, record=NEEDS)
    loaded = inputs.read(paths, needs)
    assert [str(ds.SOPInstanceUID) for ds in loaded.sources] == ["1.2.826.0.1.3680043.10.1.4.1"]
    assert "PixelData" not in loaded.sources[0]
    assert [ds.SOPInstanceUID for ds in inputs.headers(paths, needs)] == [ds.SOPInstanceUID for ds in loaded.sources]
    record = Record((), 40.0, "F")
    assert inputs.with_record(loaded.source, record) is record
