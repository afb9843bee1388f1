from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from node import logs
from node.records.schema import Event, Job, Note, Study
from node.records.states import JobState, NoteState, StudyState
from node.settings import NodeSection, Settings
from tests import factories
from tests.stores import fill
from workers import app, tasks
from workers.context import Context


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    found = Context(Settings(node=NodeSection(root=tmp_path)), "worker")
    fill(found.records)
    yield found
    found.records.close()


def lines(context: Context, kind: str) -> list[str]:
    with context.records.read() as session:
        return [event.text for event in session.scalars(select(Event).where(Event.kind == kind))]


def test_a_note_that_the_engine_cannot_bear_is_failed_with_a_reason_and_reports_are_made_without_it(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_engine: object, text: str) -> None:
        raise RuntimeError(text)

    with context.records.write() as session:
        study = factories.study(session)
        session.add(Note(patient=study.patient, document_number="N1", text="Memory loss."))
    monkeypatch.setattr("models.notes.engine.RuleEngine.analyze", broken)
    tasks.analyse(context, "1")
    with context.records.read() as session:
        note = session.scalars(select(Note)).one()
        assert (note.state, note.reason) == (NoteState.FAILED, "internal error (RuntimeError)")
    said = lines(context, "note.failed")
    assert len(said) == 2, "one line of its message, one of the study"
    assert "Memory" not in "".join(said)


def test_a_note_keeps_which_engine_read_it_and_what_it_says_in_numbers(context: Context) -> None:
    text = "CT chest: 6 mm nodule in the left upper lobe."
    with context.records.write() as session:
        study = factories.study(session)
        session.add(Note(patient=study.patient, document_number="N1", text=text))
    tasks.analyse(context, "1")
    with context.records.read() as session:
        note = session.scalars(select(Note)).one()
        assert note.engine.startswith("overread-rules ")
        [nodule] = [fact for fact in note.facts if fact.code_value == "R91.1"]
        assert (nodule.number, nodule.unit, nodule.side) == (6.0, "mm", "left")


def test_a_build_whose_files_are_gone_fails_with_a_reason_instead_of_being_asked_for_for_ever(context: Context) -> None:
    with context.records.write() as session:
        study = factories.study(session, state=StudyState.ANALYSING)
        job = factories.job(session, study, JobState.INFERRED, prediction="predictions/none")
    tasks.build(context, job.id)
    with context.records.read() as session:
        assert session.get_one(Job, job.id).state is JobState.FAILED
        assert session.scalars(select(Study)).one().state is StudyState.FAILED
    assert "is gone" in lines(context, "job.failed")[0]


def test_an_error_that_leaves_a_task_is_logged_without_its_text(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_context: Context, _key: str) -> None:
        raise RuntimeError("Doe^Jane")

    logs.configure()
    context.log = logs.get("worker")
    app._bound(context, broken)("7")
    said = capsys.readouterr().err
    assert "task.failed" in said
    assert "RuntimeError" in said
    assert "Doe" not in said
