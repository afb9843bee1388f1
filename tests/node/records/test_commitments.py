from __future__ import annotations

import datetime as dt
import threading

import pytest
from sqlalchemy import func, select

from node.records import commitments
from node.records.commitments import Asked, TransactionInUse
from node.records.engine import Records
from node.records.schema import Commitment, Event, now
from node.records.states import CommitmentState
from tests import factories

MR = "1.2.840.10008.5.1.4.1.1.4"


def asked(uid: str = "1.2.9", *instances: str, calling: str = "MR1") -> Asked:
    return Asked(uid, calling, "OVERREAD", "192.0.2.1", tuple((MR, item) for item in instances or ("1.2.3.1",)))


def enter(records: Records, request: Asked, next_at: dt.datetime | None = None) -> int:
    with records.write() as session:
        return commitments.request(session, request, next_at or now()).id


def only(records: Records) -> Commitment:
    with records.read() as session:
        return session.scalars(select(Commitment)).one()


def test_a_request_is_the_same_row_however_often_it_comes(records: Records) -> None:
    assert len({enter(records, asked()) for _ in range(3)}) == 1


def test_requests_that_come_at_the_same_moment_are_one_row(records: Records) -> None:
    threads = [threading.Thread(target=enter, args=(records, asked())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert only(records).transaction_uid == "1.2.9"


def test_a_transaction_in_use_for_other_instances_is_refused_and_stays_as_it_is(records: Records) -> None:
    enter(records, asked("1.2.9", "1.2.3.1"))
    with pytest.raises(TransactionInUse):
        enter(records, asked("1.2.9", "1.2.3.2"))
    assert only(records).references == [[MR, "1.2.3.1"]]


def test_only_what_is_due_and_this_requesters_is_due(records: Records) -> None:
    mine = enter(records, asked("1.2.7"))
    enter(records, asked("1.2.8"), now() + dt.timedelta(minutes=1))
    enter(records, asked("1.2.9", calling="CT1"))
    with records.read() as session:
        assert [row.id for row in commitments.due(session, "MR1", 10)] == [mine]


def test_a_report_that_was_taken_is_recorded_once_whoever_says_so(records: Records) -> None:
    key = enter(records, asked())
    for _ in range(2):
        with records.write() as session:
            commitments.reported(session, key)
    with records.write() as session:
        commitments.refused(session, key, "late", None)
    row = only(records)
    assert (row.state, row.attempts) == (CommitmentState.REPORTED, 1)
    with records.read() as session:
        assert session.scalar(select(func.count(Event.id)).where(Event.kind.like("commitment.%"))) == 1


def test_a_request_that_was_given_up_begins_anew_when_it_comes_again(records: Records) -> None:
    key = enter(records, asked())
    with records.write() as session:
        commitments.judged(session, key, [(MR, "1.2.3.1", 0x0112)])
        commitments.refused(session, key, "nobody there", None)
    enter(records, asked())
    row = only(records)
    assert (row.state, row.attempts, row.failures) == (CommitmentState.REQUESTED, 0, None)


def test_what_waits_for_another_try_is_sent_at_once_when_its_requester_asks_again(records: Records) -> None:
    key = enter(records, asked())
    with records.write() as session:
        commitments.refused(session, key, "nobody there", now() + dt.timedelta(hours=1))
    enter(records, asked())
    with records.read() as session:
        assert len(commitments.due(session, "MR1", 10)) == 1


def test_the_line_stands_on_the_timeline_of_the_study(records: Records) -> None:
    with records.write() as session:
        study = factories.study(session, "1.2.3")
        uid = study.series[0].instances[0].uid
        study_id = study.id
    key = enter(records, asked("1.2.9", uid))
    with records.write() as session:
        commitments.reported(session, key)
    with records.read() as session:
        lines = session.scalars(select(Event.text).where(Event.study_fk == study_id, Event.kind.like("commitment.%")))
        assert list(lines) == ["Storage of 1 instance was committed to MR1."]
