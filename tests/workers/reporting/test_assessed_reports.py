"""A report follows the record: a late note, value, merge or doubt makes another one, and nothing else does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select

from models.fusion import serial
from models.fusion.contracts import Assessment, Case, Priority, Triage
from node.records import identity, jobs, merges, patients
from node.records.schema import IdentityConflict, Job, Order, Patient, Study
from node.records.states import JobState, NoteState, StudyState
from tests.workers.office import RIS, Office, judging
from workers.reporting.assessing import ALONE


def rule(case: Case) -> Assessment:
    """Say what is known, and nothing that is not."""
    known = [f"note {item.fact.code.value}" for item in case.facts]
    known += [f"value {item.code.value} {item.value}" for item in case.observations if item.code.value != "noise"]
    known += [f"prior {item.study_uid[-1]}" for item in case.priors]
    missing = (case.withheld,) if case.withheld else () if case.facts else ("no note about this examination",)
    urgent = any(item.fact.code.value == "I60" for item in case.facts)
    triage = Triage(Priority.STAT, ("a note speaks of bleeding",)) if urgent else Triage(Priority.ROUTINE)
    age = "" if case.demographics.age is None else f"age {case.demographics.age:g} {case.demographics.sex}"
    return Assessment(summary=(*known, age), missing=missing, triage=triage)


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setattr("models.fusion.assess.assess", judging(rule))
    made = Office(tmp_path, RIS)
    yield made
    made.close()


def status(office: Office) -> list[str]:
    return [message.require("OBR").get(25) for message in office.messages("oru")]


def said(office: Office, identifier: str) -> list[str]:
    """What the newest message says under an identifier."""
    return [obx.get(5) for obx in office.messages("oru")[-1].all("OBX") if obx.get(3) == identifier]


def test_without_notes_and_values_everything_works_and_says_what_was_missing(office: Office) -> None:
    office.inferred()
    office.build()
    assert office.job().state is JobState.DONE
    assert status(office) == ["P"]
    assert said(office, "MISSING") == ["no note about this examination"]
    assert said(office, "ASSESSMENT-SUMMARY") == ["age 76 F"], "of the images, since the record does not know"
    report = dcmread(office.context.root / office.results("sr")[-1].path)
    assert "no note about this examination" in report.to_json()
    assert office.job().assessment["missing"] == ["no note about this examination"]
    assert office.study().triage == {"priority": "ROUTINE", "reasons": [], "critical": False}


def test_a_late_note_corrects_the_report_and_the_same_note_again_sends_nothing(office: Office) -> None:
    office.inferred()
    office.build()
    office.note("N1", "I10")
    office.look_again()
    assert status(office) == ["P", "C"]
    first, second = office.messages("oru")
    numbers = [[message.require("OBR").raw(n) for n in (2, 3, 18)] for message in (first, second)]
    assert numbers[0] == numbers[1], "a correction is of the same placer and filler order"
    assert first.header.control_id != second.header.control_id
    sr = office.results("sr")
    assert sr[1].predecessor == sr[0].uid
    office.note("N1", "I10")
    office.look_again()
    assert status(office) == ["P", "C"]
    assert len(office.results("sr")) == 2


def test_a_changed_quantity_of_a_note_corrects_the_report(office: Office) -> None:
    office.inferred()
    office.note("N1", "R91.1", number=6.0, unit="mm", side="left")
    office.build()
    office.note("N1", "R91.1", number=9.0, unit="mm", side="left")
    office.look_again()
    assert status(office) == ["P", "C"]
    assert said(office, "NOTE-QUANTITY") == ["9 mm"]
    assert said(office, "NOTE-SIDE") == ["left"]


def test_a_withdrawn_note_corrects_the_report(office: Office) -> None:
    office.inferred()
    office.note("N1", "I10")
    office.build()
    office.note("N1", "I10", state=NoteState.WITHDRAWN)
    office.look_again()
    assert status(office) == ["P", "C"]
    assert not said(office, "NOTE-PROBLEM")
    assert said(office, "MISSING") == ["no note about this examination"]


def test_values_that_change_the_assessment_correct_the_report_and_others_leave_no_trace(office: Office) -> None:
    office.inferred()
    office.build()
    before = len(office.lines("study.done"))
    office.value("noise", 1.0)
    with office.records.write() as session:
        person = session.scalars(select(Patient)).one()
        assert jobs.values_came(session, patients.same_person(session, person)) == 1
        assert jobs.values_came(session, patients.same_person(session, person)) == 0, "it waits already"
    office.build()
    assert status(office) == ["P"]
    assert office.lines("job.reopened") == []
    assert len(office.lines("study.done")) == before
    assert office.study().state is StudyState.DONE
    office.value("2160-0", 1.9)
    with office.records.write() as session:
        jobs.values_came(session, [session.scalars(select(Patient.id)).one()])
    office.build()
    assert status(office) == ["P", "C"]
    assert said(office, "ASSESSMENT-SUMMARY")[0] == "value 2160-0 1.9"
    office.value("2160-0", 1.9, status="W")
    office.look_again()
    assert not [text for text in said(office, "ASSESSMENT-SUMMARY") if text.startswith("value")], "withdrawn"


def test_values_do_not_ask_for_reports_of_long_ago(office: Office) -> None:
    office.inferred()
    office.build()
    with office.records.write() as session:
        study = session.scalars(select(Study)).one()
        study.first_instance_at -= dt.timedelta(days=jobs.FRESH_DAYS + 1)
        assert jobs.values_came(session, [study.patient_fk]) == 0


def test_after_a_merge_the_report_goes_out_for_the_person_that_survives(office: Office) -> None:
    office.inferred()
    office.build()
    office.note("N9", "C34", patient="P-9")
    with office.records.write() as session:
        survivor = patients.find_or_create(session, "P-9")
        survivor.name, survivor.birth_date, survivor.sex = "Doe^Jane", "19600101", "F"
        prior = session.scalars(select(Patient).where(Patient.patient_id == "P-1")).one()
        merges.merge(session, survivor, prior, stated_at=dt.datetime(2026, 11, 26, tzinfo=dt.UTC))
    office.build()
    assert status(office) == ["P", "C"]
    pids = [(message.require("PID").get(3), message.require("PID").raw(5)) for message in office.messages("oru")]
    assert pids == [("P-1", ""), ("P-9", "Doe^Jane")]
    assert said(office, "ASSESSMENT-SUMMARY") == ["note C34", "age 66 F"]
    office.look_again()
    assert status(office) == ["P", "C"]


def test_a_study_whose_patient_is_in_question_is_reported_alone_and_says_why(office: Office) -> None:
    office.inferred()
    office.note("N1", "I10")
    office.value("2160-0", 1.9)
    with office.records.write() as session:
        study = session.scalars(select(Study)).one()
        study.patient.name, study.patient.birth_date = "Other^Person", "19900101"
        session.add(IdentityConflict(study_fk=study.id, patient_fk=study.patient_fk, attributes=["birth date"]))
    office.build()
    assert said(office, "MISSING") == [ALONE]
    assert said(office, "ASSESSMENT-SUMMARY") == ["age 76 F"], "as the images have it"
    assert not said(office, "NOTE-PROBLEM")
    pid = office.messages("oru")[-1].require("PID")
    assert (pid.raw(5), pid.get(7)) == ("Müller^Käthe", "19500102"), "not the record's, which may be another's"
    with office.records.write() as session:
        identity.resolve(session, session.scalars(select(Study)).one(), "same_person")
    office.build()
    assert status(office) == ["P", "C"]
    assert said(office, "NOTE-PROBLEM") == ["I10"]


def test_earlier_studies_are_history_also_if_they_come_later(office: Office) -> None:
    office.inferred(2, date="20261120")
    office.build()
    office.inferred(1, date="20240101")
    office.build()
    with office.records.read() as session:
        states = {job.id: job.state for job in session.scalars(select(Job))}
    assert set(states.values()) == {JobState.DONE}
    assert [message.require("OBR").get(25) for message in office.messages("oru")] == ["P", "P", "C"]
    assert "prior 1" in said(office, "ASSESSMENT-SUMMARY")
    assert office.lines("job.reopened") == ["hippocampus: report is looked at again: an earlier study came."]


def test_the_assessment_raises_the_priority_and_never_lowers_what_the_order_says(office: Office) -> None:
    office.inferred()
    with office.records.write() as session:
        study = session.scalars(select(Study)).one()
        study.order = Order(patient=study.patient, accession_number="A-1", priority="ASAP", reason="?")
        study.priority = "ASAP"
    office.note("N1", "I60")
    office.build()
    assert office.study().priority == "STAT"
    assert office.study().triage["reasons"] == ["a note speaks of bleeding"]
    [line] = office.lines("study.priority")
    assert line == "Priority ASAP becomes STAT: findings and record together ask for it."
    assert "bleeding" not in " ".join(office.lines("study.priority")), "facts of notes stand on no timeline"
    office.note("N1", "I60", state=NoteState.WITHDRAWN)
    office.look_again()
    assert office.study().priority == "ASAP"


def test_a_pdf_goes_along_in_the_message_of_the_destination_that_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.fusion.assess.assess", judging(rule))
    office = Office(tmp_path, RIS, RIS.model_copy(update={"name": "ehr", "attach_pdf": True}))
    office.inferred()
    office.build()
    office.note("N1", "I10")
    office.look_again()
    documents = [
        [obx.get(5, 5)[:6] for obx in message.all("OBX") if obx.get(3) == "18748-4"]
        for message in office.messages("oru")
    ]
    assert documents == [[], ["JVBERi"], [], ["JVBERi"]], "%PDF- in Base64"
    assert office.queued("ehr") == ["oru", "oru"]
    assert status(office) == ["P", "P", "C", "C"]
    office.close()


def test_the_real_assessment_goes_through_the_whole_report(tmp_path: Path) -> None:
    office = Office(tmp_path, RIS)
    office.inferred()
    office.note("N1", "R41.3", kind="symptom")
    office.value("2160-0", 1.9)
    office.build()
    assert office.job().state is JobState.DONE
    stored = serial.from_json(office.job().assessment)
    assert stored.summary
    assert said(office, "ASSESSMENT-SUMMARY") == list(stored.summary)
    office.look_again()
    assert status(office) == ["P"]
    office.close()


def test_late_images_correct_the_report(office: Office) -> None:
    office.inferred()
    office.build()
    with office.records.write() as session:
        old = session.get_one(Job, "job-1")
        jobs.step(old, JobState.SUPERSEDED)
        columns = (
            "study_fk",
            "series_fk",
            "model",
            "model_version",
            "rule",
            "destinations",
            "prediction",
            "started_at",
        )
        values = {name: getattr(old, name) for name in (*columns, "started_at")}
        findings = [{**item, "confidence": 0.5} for item in old.findings]
        late = Job(id="late", input_digest="more", state=JobState.INFERRED, attempts=1, findings=findings, warnings=[])
        for name, value in values.items():
            setattr(late, name, value)
        session.add(late)
    office.build()
    assert status(office) == ["P", "C"]
