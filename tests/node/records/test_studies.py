from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from node.dicom.instance import InstanceHeader
from node.records.engine import Records
from node.records.schema import Event, Instance, Job, Patient, Result, Series, Study
from node.records.states import JobState, StudyState
from node.records.studies import index, input_digest, released

START = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
FIRST = InstanceHeader(
    uid="1.2.3.1.1",
    sop_class="1.2.840.10008.5.1.4.1.1.4",
    transfer_syntax="1.2.840.10008.1.2.1",
    study_uid="1.2.3",
    series_uid="1.2.3.1",
    path="instances/aa/1.2.3.1.1.dcm",
    size=100,
    digest="aa",
    received_at=START,
    calling_ae_title="MR1",
    called_ae_title="OVERREAD",
    patient_id="P1",
    patient_name="Example^Robin",
    birth_date="19540317",
    sex="F",
    modality="MR",
    series_number=3,
    tags={"Manufacturer": "Acme"},
)


def header(**values: Any) -> InstanceHeader:
    return dataclasses.replace(FIRST, **values)


def lines(session: Session) -> list[tuple[str, str]]:
    return [(event.kind, event.text) for event in session.scalars(select(Event).order_by(Event.id))]


def test_a_first_instance_makes_patient_study_series_and_one_line(records: Records) -> None:
    with records.write() as session:
        indexed = index(session, FIRST)
        assert indexed.new
        study = session.scalars(select(Study)).one()
        assert (study.uid, study.state, study.generation) == ("1.2.3", StudyState.RECEIVING, 1)
        assert (study.first_instance_at, study.last_instance_at, study.released_at) == (START, START, None)
        assert (study.patient.patient_id, study.patient.name, study.patient.sex) == ("P1", "Example^Robin", "F")
        (series,) = study.series
        assert (series.number, series.modality, series.tags) == (3, "MR", {"Manufacturer": "Acme"})
        assert lines(session) == [("study.received", "The first instance arrived from MR1.")]


def test_the_same_instance_again_changes_nothing(records: Records) -> None:
    with records.write() as session:
        index(session, FIRST)
        study = session.scalars(select(Study)).one()
        study.state = StudyState.DONE
        assert not index(session, header(received_at=START + dt.timedelta(1))).new
        assert (study.state, study.last_instance_at, study.generation) == (StudyState.DONE, START, 1)
        assert session.scalar(select(func.count(Instance.id))) == 1
        assert len(lines(session)) == 1


@pytest.mark.parametrize("state", [StudyState.ANALYSING, StudyState.DONE, StudyState.UNWANTED, StudyState.FAILED])
def test_a_late_instance_opens_a_study_that_was_judged_complete(records: Records, state: StudyState) -> None:
    with records.write() as session:
        index(session, FIRST)
        study = session.scalars(select(Study)).one()
        study.state = state
        index(session, header(uid="1.2.3.1.2", received_at=START + dt.timedelta(seconds=9)))
        index(session, header(uid="1.2.3.1.3"))
        assert (study.state, study.generation) == (StudyState.RECEIVING, 2)
        assert study.last_instance_at == START + dt.timedelta(seconds=9)
        assert [kind for kind, _ in lines(session)] == ["study.received", "study.reopened"]


def test_an_ended_association_leaves_a_line_with_the_counts(records: Records) -> None:
    with records.write() as session:
        for number in range(3):
            index(session, header(uid=f"1.2.3.{number % 2}.{number}", series_uid=f"1.2.3.{number % 2}"))
        released(session, ["1.2.3"], START)
        released(session, ["1.2.3"], START)
        released(session, ["9.9.9"], START)
        assert session.scalars(select(Study)).one().released_at == START
        text = "The association ended; the study has 3 instances in 2 series."
        assert lines(session)[1:] == [("study.released", text)]


def test_a_result_of_this_node_that_comes_back_is_no_input(records: Records) -> None:
    with records.write() as session:
        index(session, FIRST)
        study = session.scalars(select(Study)).one()
        job = Job(id="j", study=study, series=study.series[0], model="m", rule="r", input_digest="d")
        job.state = JobState.DONE
        session.add(job)
        session.flush()
        session.add(Result(job_fk="j", kind="seg", uid="2.25.1", path="x", sha256="x"))
        study.state = StudyState.DONE
        indexed = index(session, header(uid="2.25.1", series_uid="2.25.2", modality="SEG"))
        assert (indexed.study, indexed.new, study.state) == (None, False, StudyState.DONE)
        assert session.scalar(select(func.count(Series.id))) == 1


def test_studies_without_a_patient_id_are_never_thought_to_be_of_one_person(records: Records) -> None:
    with records.write() as session:
        for study in ("1.2.3", "1.2.4"):
            for number in (1, 2):
                index(session, header(uid=f"{study}.{number}", study_uid=study, series_uid=f"{study}.0", patient_id=""))
        assert len({study.patient_fk for study in session.scalars(select(Study))}) == 2
        assert session.scalar(select(func.count(Patient.id))) == 2


def test_demographics_that_disagree_are_kept_as_they_were_and_warned_of_once_without_values(records: Records) -> None:
    with records.write() as session:
        index(session, FIRST)
        index(session, header(uid="1.2.3.1.2", patient_name="Somebody^Else", sex="M"))
        index(session, header(uid="1.2.3.1.3", patient_name="Somebody^Else", sex="M"))
        patient = session.scalars(select(Patient)).one()
        assert (patient.name, patient.sex) == ("Example^Robin", "F")
        warnings = [text for kind, text in lines(session) if kind == "patient.conflict"]
        assert len(warnings) == 1
        assert "Somebody" not in warnings[0]


def test_an_instance_of_another_patient_stays_with_its_study_and_is_warned_of(records: Records) -> None:
    with records.write() as session:
        index(session, FIRST)
        index(session, header(uid="1.2.3.1.2", patient_id="P2"))
        assert session.scalars(select(Study)).one().patient.patient_id == "P1"
        assert [kind for kind, _ in lines(session)] == ["study.received", "patient.conflict", "identity.question"]


def test_a_series_that_is_claimed_by_two_studies_stays_in_the_first(records: Records) -> None:
    with records.write() as session:
        index(session, FIRST)
        index(session, header(uid="1.2.9.1", study_uid="1.2.9"))
        assert [study.uid for study in session.scalars(select(Study))] == ["1.2.3"]
        assert [kind for kind, _ in lines(session)] == ["study.received", "study.conflict"]


def test_the_input_digest_depends_on_contents_and_not_on_their_order() -> None:
    def digest(**contents: str) -> str:
        return input_digest(Series(instances=[Instance(uid=uid, digest=sha) for uid, sha in contents.items()]))

    assert digest(a="1", b="2") == digest(b="2", a="1")
    assert len({digest(a="1"), digest(b="2"), digest(a="1", b="2"), digest(a="1", b="3"), digest(a="2", b="1")}) == 5
