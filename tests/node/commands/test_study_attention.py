"""What `overread study` says first: why a study is urgent, what images and record say, whose it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.records.engine import Records
from node.records.schema import IdentityConflict, Note
from node.records.states import JobState, NoteState, StudyState
from tests import factories
from tests.node.commands.conftest import run

ASSESSMENT = {
    "summary": ["There is a haemorrhage.", "The patient takes warfarin."],
    "conflicts": [
        {"text": "The note says left, the image right.", "evidence": [], "change": False},
        {"text": "The nodule is larger than in the note.", "evidence": [], "change": True},
    ],
}


@pytest.fixture
def urgent(store: Records) -> None:
    """Add a critical study whose patient is in question, with two notes, and an ordinary one."""
    triage = {"priority": "STAT", "critical": True, "reasons": ["haemorrhage under anticoagulation"]}
    with store.write() as session:
        study = factories.study(session, "1.2.3", state=StudyState.DONE, priority="STAT", triage=triage)
        factories.job(session, study, JobState.DONE, assessment=ASSESSMENT)
        session.add(IdentityConflict(study_fk=study.id, patient_fk=study.patient_fk, attributes=["sex"], dicom={}))
        for number, state in (("1", NoteState.ANALYSED), ("2", NoteState.QUEUED), ("3", NoteState.WITHDRAWN)):
            session.add(Note(patient_fk=study.patient_fk, document_number=number, text="x", state=state))
        factories.study(session, "1.2.4")


@pytest.mark.usefixtures("urgent")
def test_the_list_marks_critical_and_doubtful_studies(config: Path) -> None:
    plain, marked = json.loads(run("study", "list", "--config", config, "--json").stdout)
    assert marked["attention"] == ["critical", "identity in question"]
    assert plain["attention"] == []
    assert "critical, identity in question" in run("study", "list", "--config", config).stdout


@pytest.mark.usefixtures("urgent")
def test_a_study_is_shown_with_priority_assessment_doubt_and_notes(config: Path) -> None:
    data = json.loads(run("study", "show", "1", "--config", config, "--json").stdout)
    assert data["triage"] == {"priority": "STAT", "critical": True, "reasons": ["haemorrhage under anticoagulation"]}
    [assessment] = data["assessments"]
    assert assessment["summary"] == ASSESSMENT["summary"]
    assert [one["change"] for one in assessment["conflicts"]] == [False, True]
    assert (data["identity"]["attributes"], data["identity"]["in_question"]) == (["sex"], True)
    assert data["notes"] == 2
    said = run("study", "show", "1", "--config", config).stdout
    for line in (
        "Priority STAT, critical finding",
        "because: haemorrhage under anticoagulation",
        "hippocampus: The patient takes warfarin.",
        "hippocampus, conflict: The note says left, the image right.",
        "hippocampus, changed since: The nodule is larger than in the note.",
        "The patient is in question (sex in the images and in the record",
        "Notes: 2, not used",
    ):
        assert line in said


@pytest.mark.usefixtures("urgent")
def test_a_study_about_which_nothing_is_known_says_so_little(config: Path) -> None:
    data = json.loads(run("study", "show", "2", "--config", config, "--json").stdout)
    assert (data["assessments"], data["identity"], data["notes"]) == ([], None, 0)
    said = run("study", "show", "2", "--config", config).stdout
    assert "Priority ROUTINE\n" in said
    assert "Notes: 0\n" in said
    assert "question" not in said


def test_a_sentence_cannot_steer_the_terminal(config: Path, store: Records) -> None:
    with store.write() as session:
        study = factories.study(session, "1.2.3", state=StudyState.DONE)
        factories.job(session, study, JobState.DONE, assessment={"summary": ["\x1b[31mred [bold]"]})
    said = run("study", "show", "1", "--config", config).stdout
    assert "\x1b" not in said
    assert "red [bold]" in said
