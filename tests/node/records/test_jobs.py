from __future__ import annotations

import datetime as dt

import pytest

from node.decide.rules import Wanted
from node.errors import StateError
from node.records import jobs, timeline
from node.records.engine import Records
from node.records.schema import Job, Study, now
from node.records.states import JobState, StudyState
from tests import factories

WANTED = Wanted("hippocampus", "rule", (), "ROUTINE")
LEASE = 15.0


def analysing(records: Records) -> str:
    with records.write() as session:
        study = factories.study(session, state=StudyState.ANALYSING)
        job = jobs.ask(session, study, study.series[0], WANTED, "digest")
        assert job is not None
        return job.id


def test_the_same_work_asked_for_twice_is_one_job(records: Records) -> None:
    analysing(records)
    with records.write() as session:
        study = session.get_one(Study, 1)
        assert jobs.ask(session, study, study.series[0], WANTED, "digest") is None
        assert len(study.jobs) == 1


def test_new_inputs_make_a_new_job_and_supersede_the_old(records: Records) -> None:
    key = analysing(records)
    with records.write() as session:
        study = session.get_one(Study, 1)
        assert jobs.ask(session, study, study.series[0], WANTED, "other") is not None
        assert session.get_one(Job, key).state is JobState.SUPERSEDED


def test_a_job_is_claimed_by_one_worker_only(records: Records) -> None:
    key = analysing(records)
    with records.write() as session:
        assert jobs.claim(session, key, "w1", LEASE) is not None
    with records.write() as session:
        assert jobs.claim(session, key, "w2", LEASE) is None


def test_a_lost_lease_queues_the_job_again_and_its_old_worker_finds_that_out(records: Records) -> None:
    key = analysing(records)
    with records.write() as session:
        job = jobs.claim(session, key, "w1", LEASE)
        assert job is not None
        job.lease_until = now() - dt.timedelta(seconds=1)
    with records.write() as session:
        assert jobs.requeue_lost(session, 3) == 1
    with records.write() as session:
        assert not jobs.renew(session, key, "w1", LEASE)
        assert jobs.held(session, key, "w1") is None
        again = jobs.claim(session, key, "w2", LEASE)
        assert again is not None
        assert again.attempts == 2


def test_a_live_lease_is_left_alone(records: Records) -> None:
    key = analysing(records)
    with records.write() as session:
        jobs.claim(session, key, "w1", LEASE)
    with records.write() as session:
        assert jobs.renew(session, key, "w1", LEASE)
        assert jobs.requeue_lost(session, 3) == 0


def test_a_job_that_kills_its_workers_is_given_up_and_the_study_says_failed(records: Records) -> None:
    key = analysing(records)
    for _ in range(3):
        with records.write() as session:
            job = jobs.claim(session, key, "w", LEASE)
            assert job is not None
            job.lease_until = now() - dt.timedelta(seconds=1)
        with records.write() as session:
            jobs.requeue_lost(session, 3)
    with records.read() as session:
        job = session.get_one(Job, key)
        assert job.state is JobState.FAILED
        assert "3 times" in job.reason
        assert job.study.state is StudyState.FAILED


def test_a_declined_job_is_a_result_with_a_reason(records: Records) -> None:
    key = analysing(records)
    with records.write() as session:
        job = jobs.claim(session, key, "w", LEASE)
        assert job is not None
        jobs.decline(session, job, "a whole brain")
    with records.read() as session:
        study = session.get_one(Study, 1)
        assert study.state is StudyState.DONE
        assert any("a whole brain" in line.text for line in timeline.of_study(session, 1))


def test_a_study_is_done_only_when_all_of_its_jobs_are(records: Records) -> None:
    key = analysing(records)
    with records.write() as session:
        study = session.get_one(Study, 1)
        jobs.ask(session, study, study.series[0], Wanted("other", "rule", (), "STAT"), "digest")
        job = jobs.claim(session, key, "w", LEASE)
        assert job is not None
        jobs.decline(session, job, "no")
    with records.read() as session:
        assert session.get_one(Study, 1).state is StudyState.ANALYSING


def test_a_new_note_sends_finished_reports_back_to_building(records: Records) -> None:
    with records.write() as session:
        study = factories.study(session, state=StudyState.DONE)
        factories.job(session, study, JobState.DONE)
        assert jobs.rebuild(session, [study], "a note came") == 1
    with records.read() as session:
        assert [job.state for job in jobs.waiting(session)] == [JobState.INFERRED]
        assert session.get_one(Study, 1).state is StudyState.ANALYSING


def test_a_finished_job_cannot_be_finished_again(records: Records) -> None:
    with records.write() as session:
        job = factories.job(session, factories.study(session), JobState.DONE)
        with pytest.raises(StateError):
            jobs.step(job, JobState.FAILED)
