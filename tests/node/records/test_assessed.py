"""What the pages ask of assessments, alerts and doubts."""

from __future__ import annotations

from pathlib import Path

from node.records import assessed, results
from node.records.engine import Records
from node.records.results import Answer
from node.records.schema import IdentityConflict
from node.records.states import DeliveryState, JobState
from tests import factories


def test_assessments_are_those_of_the_jobs_in_force(records: Records) -> None:
    with records.write() as session:
        study = factories.study(session)
        done = factories.job(session, study, JobState.DONE, assessment={"summary": ["x"]}, findings=[{"label": "a"}])
        factories.job(session, study, JobState.SUPERSEDED, id="old", input_digest="old")
        [row] = assessed.assessments(session, study.id)
    assert (row.job, row.assessment, row.findings) == (done.id, {"summary": ["x"]}, [{"label": "a"}])


def test_alerts_say_where_they_stand_with_each_destination(records: Records, tmp_path: Path) -> None:
    with records.write() as session:
        study = factories.study(session)
        job = factories.job(session, study, JobState.DONE)
        factories.result(session, job, tmp_path, "R1", ["ris"], "oru")
        factories.result(session, job, tmp_path, "A1", ["ris", "pager"], "alert")
        started = results.start(session, [2])
        results.accepted(session, [Answer(key, "AA") for key in started])
        session.expire_all()
        rows = assessed.alerts(session, study.id)
        assert results.alert_waits(session, "pager")
        assert not results.alert_waits(session, "ris")
    assert [(row.control_id, row.destination, row.state) for row in rows] == [
        ("A1", "ris", DeliveryState.ACCEPTED),
        ("A1", "pager", DeliveryState.QUEUED),
    ]


def test_a_doubt_about_the_patient_is_told(records: Records) -> None:
    with records.write() as session:
        study = factories.study(session)
        assert assessed.doubt(session, study) is None
        session.add(IdentityConflict(study_fk=study.id, patient_fk=study.patient_fk, attributes=["sex"]))
        session.flush()
        doubt = assessed.doubt(session, study)
        assert doubt is not None
        assert (doubt.attributes, doubt.resolution, doubt.in_question) == (["sex"], "", True)
