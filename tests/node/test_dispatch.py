from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from node.broker import ANALYSE, BUILD, INFER, Task
from node.dispatch import Dispatcher
from node.errors import BrokerUnavailable
from node.records import jobs, triage
from node.records.engine import Records
from node.records.schema import Event, Job, Note, Order, Study, now
from node.records.states import JobState, StudyState
from node.settings import NodeSection, Settings
from tests import factories


class MemoryBroker:
    """The broker's face, in memory."""

    def __init__(self) -> None:
        self.sent: list[Task] = []
        self.away = False

    def send(self, task: Task) -> None:
        if self.away:
            raise BrokerUnavailable("away")
        self.sent.append(task)

    def pending(self, held_seconds: float) -> set[str]:
        if self.away:
            raise BrokerUnavailable("away")
        return {task.id for task in self.sent}


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def dispatcher(records: Records, broker: MemoryBroker, tmp_path: Path) -> Dispatcher:
    return Dispatcher(Settings(node=NodeSection(root=tmp_path)), records, broker)  # type: ignore[arg-type]


def arrive(records: Records, seconds_ago: float, **values: Any) -> None:
    with records.write() as session:
        factories.study(session, last_instance_at=now() - dt.timedelta(seconds=seconds_ago), **values)


def the_study(records: Records) -> Study:
    with records.read() as session:
        study = session.scalars(select(Study)).one()
        _ = study.jobs, study.order
        return study


def test_a_study_that_is_still_coming_is_left_alone(dispatcher: Dispatcher, records: Records) -> None:
    arrive(records, 1)
    assert dispatcher.complete_studies() == 0
    assert the_study(records).state is StudyState.RECEIVING


def test_a_complete_study_gets_its_jobs_and_they_are_sent_once(
    dispatcher: Dispatcher, records: Records, broker: MemoryBroker
) -> None:
    arrive(records, 60)
    assert dispatcher.complete_studies() == 1
    study = the_study(records)
    assert study.state is StudyState.ANALYSING
    assert "no instance for" in study.reason
    assert dispatcher.send_waiting() == 1
    assert dispatcher.send_waiting() == 0
    assert [task.name for task in broker.sent] == [INFER]


def test_a_study_that_no_rule_wants_is_kept_and_says_so(dispatcher: Dispatcher, records: Records) -> None:
    arrive(records, 60)
    with records.write() as session:
        session.scalars(select(Study)).one().series[0].modality = "CT"
    dispatcher.complete_studies()
    assert the_study(records).state is StudyState.UNWANTED


def test_the_order_gives_the_study_and_its_jobs_their_priority(
    dispatcher: Dispatcher, records: Records, broker: MemoryBroker
) -> None:
    arrive(records, 60, accession_number="A1")
    with records.write() as session:
        patient = session.scalars(select(Study)).one().patient
        session.add(Order(patient=patient, accession_number="A1", priority="STAT", context={}))
    dispatcher.complete_studies()
    dispatcher.send_waiting()
    assert the_study(records).priority == "STAT"
    assert broker.sent[0].priority == "STAT"


def test_a_job_keeps_what_its_rule_asks_for_apart_from_what_the_order_asks_for(
    dispatcher: Dispatcher, records: Records, broker: MemoryBroker
) -> None:
    arrive(records, 60, accession_number="A1")
    with records.write() as session:
        patient = session.scalars(select(Study)).one().patient
        session.add(Order(patient=patient, accession_number="A1", priority="STAT", context={}))
    dispatcher.complete_studies()
    with records.write() as session:
        study = session.scalars(select(Study)).one()
        assert [job.priority for job in study.jobs] == ["ROUTINE"]
        study.order = None
        triage.update(session, study)
        assert study.priority == "ROUTINE"


def test_what_the_broker_lost_is_sent_again(
    dispatcher: Dispatcher, records: Records, broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(records, 60)
    dispatcher.complete_studies()
    dispatcher.send_waiting()
    broker.sent.clear()
    monkeypatch.setattr("node.dispatch.GRACE_SECONDS", 0.0)
    assert dispatcher.send_waiting() == 1


def test_a_broker_that_is_away_loses_nothing(dispatcher: Dispatcher, records: Records, broker: MemoryBroker) -> None:
    arrive(records, 60)
    dispatcher.complete_studies()
    broker.away = True
    assert dispatcher.send_waiting() == 0
    broker.away = False
    assert dispatcher.send_waiting() == 1


def test_a_lost_worker_s_job_is_sent_as_another_try(
    dispatcher: Dispatcher, records: Records, broker: MemoryBroker
) -> None:
    arrive(records, 60)
    dispatcher.complete_studies()
    dispatcher.send_waiting()
    with records.write() as session:
        job = jobs.claim(session, session.scalars(select(Job.id)).one(), "w", 15)
        assert job is not None
        job.lease_until = now() - dt.timedelta(seconds=1)
    assert dispatcher.send_waiting() == 1
    assert [task.attempt for task in broker.sent] == [0, 1]


def test_inferred_jobs_and_queued_notes_are_sent_too(
    dispatcher: Dispatcher, records: Records, broker: MemoryBroker
) -> None:
    with records.write() as session:
        study = factories.study(session, state=StudyState.ANALYSING)
        factories.job(session, study, JobState.INFERRED)
        session.add(Note(patient=study.patient, document_number="N1", text="Memory loss."))
    dispatcher.send_waiting()
    assert {task.name for task in broker.sent} == {BUILD, ANALYSE}


def test_the_same_images_again_make_no_second_job(dispatcher: Dispatcher, records: Records) -> None:
    arrive(records, 60)
    dispatcher.complete_studies()
    with records.write() as session:
        job = session.scalars(select(Job)).one()
        for state in (JobState.RUNNING, JobState.INFERRED, JobState.DONE):
            jobs.step(job, state)
        session.get_one(Study, job.study_fk).state = StudyState.RECEIVING
    dispatcher.complete_studies()
    study = the_study(records)
    assert study.state is StudyState.DONE
    assert len(study.jobs) == 1


def test_a_fault_of_ours_that_keeps_a_study_waiting_stands_on_its_timeline_once(
    dispatcher: Dispatcher, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AttributeError("secret")

    arrive(records, 60)
    monkeypatch.setattr("node.dispatch.match_study", broken)
    monkeypatch.setattr("node.dispatch.FAULT_SECONDS", 0.0)
    dispatcher.complete_studies()
    dispatcher.complete_studies()
    with records.read() as session:
        [line] = session.scalars(select(Event).where(Event.kind == "study.not_concluded")).all()
    assert line.level == "error"
    assert "AttributeError" in line.text
    assert "secret" not in line.text
    assert the_study(records).state is StudyState.RECEIVING
