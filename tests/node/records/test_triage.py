"""A study's urgency is put together from its jobs, its order and its rules."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from node.records import triage
from node.records.engine import Records
from node.records.schema import Event, Order, Series
from node.records.states import JobState
from tests import factories


def assessment(priority: str, critical: bool = False) -> dict[str, object]:
    return {"triage": {"priority": priority, "reasons": [f"because {priority}"], "critical": critical}}


def lines(records: Records) -> list[str]:
    with records.read() as session:
        return list(session.scalars(select(Event.text).where(Event.kind == "study.priority").order_by(Event.id)))


def test_the_most_urgent_job_counts_and_superseded_ones_do_not(records: Records) -> None:
    with records.write() as session:
        study = factories.study(session)
        factories.job(session, study, JobState.DONE, assessment=assessment("ASAP"))
        other = Series(uid="1.2.3.2", study=study, modality="MR", number=2, tags={})
        values = {"series": other, "assessment": assessment("STAT", critical=True)}
        second = factories.job(session, study, JobState.DONE, id="second", **values)
        triage.update(session, study)
        assert study.priority == "STAT"
        assert study.triage == {"priority": "STAT", "reasons": ["because ASAP", "because STAT"], "critical": True}
        second.state = JobState.SUPERSEDED
        triage.update(session, study)
        assert (study.priority, study.triage["critical"]) == ("ASAP", False)
    assert lines(records) == [
        "Priority ROUTINE becomes STAT: a critical finding in the images.",
        "Priority STAT becomes ASAP: the assessment does not ask for more.",
    ]


@pytest.mark.parametrize(("order", "rule"), [("STAT", "ROUTINE"), ("ROUTINE", "STAT")])
def test_an_assessment_does_not_lower_what_order_or_rule_say(records: Records, order: str, rule: str) -> None:
    with records.write() as session:
        study = factories.study(session, priority="STAT")
        study.order = Order(patient=study.patient, accession_number="A", priority=order)
        factories.job(session, study, JobState.DONE, assessment=assessment("ROUTINE"), priority=rule)
        triage.update(session, study)
        assert study.priority == "STAT"
    assert lines(records) == []


def test_jobs_without_an_assessment_say_nothing(records: Records) -> None:
    with records.write() as session:
        study = factories.study(session)
        factories.job(session, study, JobState.DECLINED)
        triage.update(session, study)
        assert (study.priority, study.triage["reasons"]) == ("ROUTINE", [])


def test_that_nobody_is_alerted_is_said_once(records: Records) -> None:
    with records.write() as session:
        study = factories.study(session)
        triage.nobody_alerted(session, study)
        session.flush()
        triage.nobody_alerted(session, study)
    with records.read() as session:
        [event] = session.scalars(select(Event).where(Event.kind == "alert.no_destination"))
        assert event.level == "error"
