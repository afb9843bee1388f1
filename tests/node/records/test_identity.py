"""Images of one person in the record of another: seen whichever came first, and settled by a correction or a person."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from node.dicom.instance import InstanceHeader
from node.errors import StateError
from node.records import identity, jobs, merges, patients, studies
from node.records.engine import Records
from node.records.identity import contradictions
from node.records.schema import Event, IdentityConflict, Job, Patient, Study
from node.records.states import JobState

AT = dt.datetime(2026, 1, 1, 8, tzinfo=dt.UTC)
HEADER = InstanceHeader(
    uid="1.2.3.1.1",
    sop_class="1.2.840.10008.5.1.4.1.1.4",
    transfer_syntax="1.2.840.10008.1.2.1",
    study_uid="1.2.3",
    series_uid="1.2.3.1",
    patient_id="4711",
    issuer="HOSP",
    patient_name="Doe^Jane",
    birth_date="19700102",
    sex="F",
    modality="MR",
)


def register(session: Session, hours: int = 0, /, *, number: str = "4711", **said: str) -> Patient:
    """Say who a patient is, as an ADT does that was stated so many hours after the first."""
    patient = patients.find_or_create(session, number, "HOSP")
    if patients.state(session, patient, said, origin="hl7", stated_at=AT + dt.timedelta(hours=hours)):
        identity.review(session, patient)
    return patient


def scan(session: Session, header: InstanceHeader = HEADER) -> Study:
    study = studies.index(session, header).study
    assert study is not None
    return study


def lines(session: Session, kind: str) -> list[str]:
    return list(session.scalars(select(Event.text).where(Event.kind == kind).order_by(Event.id)))


@pytest.mark.parametrize("images_first", [True, False])
@pytest.mark.parametrize(
    ("said", "attributes"),
    [
        ({"name": "Doe^Jane", "birth_date": "19700102", "sex": "F"}, []),
        ({"name": "DOE^JANE^Q", "birth_date": "", "sex": ""}, []),
        ({"name": "Roe^Jane"}, []),
        ({"birth_date": "19710102"}, ["birth date"]),
        ({"sex": "M"}, ["sex"]),
        ({"name": "Smith^Robert", "birth_date": "19710102", "sex": "M"}, ["name", "birth date", "sex"]),
    ],
)
def test_what_contradicts_the_record_is_in_question_whichever_came_first(
    records: Records, said: dict[str, str], attributes: list[str], images_first: bool
) -> None:
    with records.write() as session:
        if not images_first:
            register(session, **said)
        study = scan(session)
        if images_first:
            assert not identity.in_question(session, study)
            register(session, **said)
        assert identity.in_question(session, study) is bool(attributes)
        assert [row.attributes for row in identity.open_conflicts(session)] == ([attributes] if attributes else [])
        assert len(lines(session, "identity.question")) == bool(attributes)


def test_what_only_images_said_is_no_word_of_the_registration(records: Records) -> None:
    with records.write() as session:
        scan(session)
        other = replace(HEADER, study_uid="9", series_uid="9.1", uid="9.1.1", birth_date="19800101")
        assert not identity.in_question(session, scan(session, other))
        register(session, name="Doe^Jane")  # who says nothing of the birth date
        assert identity.open_conflicts(session) == []
        assert len(lines(session, "patient.conflict")) == 1


def test_a_correction_of_the_registration_settles_it(records: Records) -> None:
    with records.write() as session:
        register(session, birth_date="19710102")
        study = scan(session)
        assert identity.in_question(session, study)
        register(session, 1, birth_date="19700102")
        assert not identity.in_question(session, study)
        (row,) = identity.all_conflicts(session)
        assert (row.resolution, row.resolved_at is not None) == ("agreed", True)
        assert len(lines(session, "identity.agreed")) == 1
        register(session, 2, birth_date="19720101")
        assert identity.in_question(session, study)
        assert len(lines(session, "identity.question")) == 2


def test_a_correction_does_not_leave_a_line_that_says_the_contrary(records: Records) -> None:
    with records.write() as session:
        register(session, birth_date="19710102")
        scan(session)
        before = lines(session, "patient.conflict")
        register(session, 1, birth_date="19700102")  # as the images have it
        assert lines(session, "patient.conflict") == before


def test_a_correction_of_the_images_settles_it(records: Records) -> None:
    with records.write() as session:
        register(session, birth_date="19700102")
        study = scan(session, replace(HEADER, birth_date="19700201"))
        assert identity.in_question(session, study)
        scan(session, replace(HEADER, uid="1.2.3.1.2"))
        assert not identity.in_question(session, study)


def test_an_older_statement_does_not_open_what_a_newer_one_settled(records: Records) -> None:
    with records.write() as session:
        register(session, 1, birth_date="19700102")
        study = scan(session)
        register(session, 0, birth_date="19710102")
        assert not identity.in_question(session, study)


def finished(session: Session, study: Study) -> Job:
    series = study.series[0]
    job = Job(
        id=f"j{study.id}",
        study_fk=study.id,
        series_fk=series.id,
        model="m",
        rule="r",
        input_digest="d",
        state=JobState.DONE,
    )
    session.add(job)
    session.flush()
    return job


def test_reports_are_looked_at_again_when_the_question_comes_up_and_when_it_is_settled(records: Records) -> None:
    with records.write() as session:
        study = scan(session)
        job = finished(session, study)
        session.refresh(study)
        register(session, birth_date="19710102")
        assert job.state is JobState.INFERRED
        jobs.step(job, JobState.DONE)
        register(session, 1, birth_date="19700102")
        assert job.state is JobState.INFERRED
        assert len(lines(session, "job.reopened")) == 2


@pytest.mark.parametrize(("decision", "questioned"), [("same_person", False), ("other_person", True)])
def test_a_person_decides_and_the_decision_holds(records: Records, decision: str, questioned: bool) -> None:
    with records.write() as session:
        register(session, birth_date="19710102")
        study = scan(session)
        job = finished(session, study)
        session.refresh(study)
        row = identity.resolve(session, study, decision)
        assert (row.resolution, identity.open_conflicts(session)) == (decision, [])
        assert identity.in_question(session, study) is questioned
        assert job.state is JobState.INFERRED
        register(session, 1, birth_date="19720101")  # contradicts in the same way
        assert identity.in_question(session, study) is questioned
        assert len(lines(session, "identity.question")) == 1


def test_a_decision_does_not_cover_what_contradicts_only_later(records: Records) -> None:
    with records.write() as session:
        register(session, birth_date="19710102")
        study = scan(session)
        identity.resolve(session, study, "same_person")
        register(session, 1, sex="M")
        assert identity.in_question(session, study)


def test_a_study_that_is_another_persons_stays_alone_for_good(records: Records) -> None:
    with records.write() as session:
        register(session, birth_date="19710102")
        study = scan(session)
        identity.resolve(session, study, "other_person")
        register(session, 1, birth_date="19700102")
        assert identity.in_question(session, study)
        identity.resolve(session, study, "same_person")  # the person thought better of it
        assert not identity.in_question(session, study)


def test_there_is_nothing_to_decide_where_nothing_contradicts(records: Records) -> None:
    with records.write() as session:
        study = scan(session)
        with pytest.raises(StateError, match="nothing to decide"):
            identity.resolve(session, study, "same_person")
        with pytest.raises(StateError, match="same_person, other_person"):
            identity.resolve(session, study, "whatever")


def test_what_either_of_two_merged_patients_is_said_to_be_agrees(records: Records) -> None:
    with records.write() as session:
        old = register(session, number="1", name="Doe^Jane", birth_date="19700102")
        new = register(session, number="4711", name="Smith^Robert", birth_date="19710102")
        study = scan(session)
        assert identity.in_question(session, study)
        merges.merge(session, new, old, stated_at=AT)
        assert not identity.in_question(session, study)


def test_a_merge_alone_does_not_settle_what_contradicts_both(records: Records) -> None:
    with records.write() as session:
        old = register(session, number="1", birth_date="19600102")
        new = register(session, number="4711", birth_date="19710102")
        study = scan(session)
        merges.merge(session, new, old, stated_at=AT)
        assert identity.in_question(session, study)


def test_studies_without_a_patient_id_are_not_compared(records: Records) -> None:
    with records.write() as session:
        scan(session, replace(HEADER, patient_id="", issuer=""))
        assert session.scalars(select(IdentityConflict)).all() == []


def test_lines_name_attributes_and_never_values(records: Records) -> None:
    with records.write() as session:
        register(session, name="Smith^Robert", birth_date="19710102", sex="M")
        study = scan(session)
        identity.resolve(session, study, "same_person")
        for text in session.scalars(select(Event.text)):
            assert not any(value in text for value in ("Smith", "Doe", "1971", "1970", "4711"))


def test_an_attribute_that_one_side_does_not_state_contradicts_nothing() -> None:
    assert contradictions({"name": "Doe^Jane"}, {"birth_date": ["19700101"], "sex": [], "name": [""]}) == []
    assert contradictions({}, {"name": ["Doe^Jane"]}) == []
    assert contradictions({"sex": "F"}, {"sex": ["M", "F"]}) == []


def test_a_study_whose_instances_name_two_patients_is_in_question_until_they_are_one(records: Records) -> None:
    with records.write() as session:
        study = scan(session)
        assert not identity.in_question(session, study)
        scan(session, replace(HEADER, uid="1.2.3.1.2", patient_id="0815"))
        assert identity.in_question(session, study)
        (row,) = identity.open_conflicts(session)
        assert row.attributes == ["patient ID"]
        merges.merge(session, register(session), register(session, number="0815"), stated_at=AT)
        assert not identity.in_question(session, study)
        scan(session, replace(HEADER, uid="1.2.3.1.3", issuer="ELSEWHERE"))
        assert identity.in_question(session, study)
        identity.resolve(session, study, identity.SAME_PERSON)
        scan(session, replace(HEADER, uid="1.2.3.1.4", issuer="ELSEWHERE"))
        assert not identity.in_question(session, study)
