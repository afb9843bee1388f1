from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from node.decide.completeness import Expected
from node.errors import StateError
from node.records import evidence, expectations, procedures
from node.records.engine import Records
from node.records.schema import Event, Instance, Study
from node.records.states import ProcedureStepState, StudyState
from tests import factories


def study(session: Session, instances: int = 1, uid: str = "1.2.3", **values: object) -> Study:
    row = factories.study(session, uid, **values)
    for number in range(2, instances + 1):
        row.series[0].instances.append(
            Instance(uid=f"{uid}.1.{number}", sop_class="1.2", transfer_syntax="1.2", path="a", size=1, digest="x:00")
        )
    session.flush()
    return row


def uids(count: int, first: int = 1) -> list[str]:
    return [f"1.2.3.1.{number}" for number in range(first, first + count)]


def announced(session: Session) -> list[evidence.Announcement]:
    return evidence.announcements(session).get("1.2.3", [])


def expected(session: Session, row: Study, count: int) -> dict[str, Expected]:
    found = evidence.expected(session, evidence.of(row), announced(session), count)
    return {item.source: item for item in found}


def test_awaited_are_studies_that_are_received_or_incomplete(records: Records) -> None:
    with records.write() as session:
        for number, state in enumerate(StudyState):
            study(session, uid=f"1.2.{number}", state=state)
    with records.read() as session:
        found = evidence.arriving(session)
        assert {row.state for row in found} == {StudyState.RECEIVING, StudyState.INCOMPLETE}
        assert evidence.received(session, [row.id for row in found]) == {row.id: 1 for row in found}
        assert evidence.received(session, []) == {}


def test_the_steps_of_a_study_are_added_up_and_compared_by_instance(records: Records) -> None:
    with records.write() as session:
        row = study(session, 3)
        expectations.expect(session, "1.2.3", "mpps", "9.1", instances=uids(2), final=True)
        expectations.expect(session, "1.2.3", "mpps", "9.2", instances=uids(3, first=3), final=False)
        assert {item.count for item in announced(session)} == {2, 3}
        found = expected(session, row, 3)["mpps"]
        assert (found.count, found.here, found.final) == (5, 3, False)


def test_notifications_that_repeat_instances_count_them_once(records: Records) -> None:
    with records.write() as session:
        row = study(session, 3)
        expectations.expect(session, "1.2.3", "ian", "9.1", instances=uids(2))
        expectations.expect(session, "1.2.3", "ian", "9.2", instances=uids(3))
        assert (expected(session, row, 3)["ian"].count, expected(session, row, 3)["ian"].here) == (3, 3)
        (estimate,) = evidence.estimated(announced(session), 3)
        assert not estimate.lacking


def test_other_instances_than_the_named_ones_do_not_stand_for_them(records: Records) -> None:
    with records.write() as session:
        row = study(session, 3)
        expectations.expect(session, "1.2.3", "mpps", "9.1", instances=[*uids(2), "1.2.3.1.99"], final=True)
        found = expected(session, row, 3)["mpps"]
        assert (found.count, found.here, found.lacking) == (3, 2, True)


def test_what_lacks_by_the_estimate_lacks(records: Records) -> None:
    with records.write() as session:
        row = study(session, 3)
        expectations.expect(session, "1.2.3", "mpps", "9.1", instances=uids(4), final=True)
        expectations.expect(session, "1.2.3", "query", "PACS", count=5, final=True)
        for item in evidence.estimated(announced(session), 3):
            assert item.lacking
            assert expected(session, row, 3)[item.source].lacking


def test_an_answer_replaces_the_one_before_and_says_when_it_was_given(records: Records) -> None:
    with records.write() as session:
        row = study(session, 3)
        evidence.counted(session, "1.2.3", "PACS", 5)
        before = announced(session)[0].at
        evidence.counted(session, "1.2.3", "PACS", 5)
        (again,) = announced(session)
        assert again.at > before
        evidence.counted(session, "1.2.3", "PACS", 3)
        found = expected(session, row, 3)["query"]
        assert (found.count, found.here, found.final) == (3, 3, True)


def test_an_order_counts_nothing(records: Records) -> None:
    with records.write() as session:
        row = study(session)
        expectations.expect(session, "1.2.3", "order", "A1", final=False)
        assert expected(session, row, 1) == {}
        assert evidence.estimated(announced(session), 1) == ()


def test_a_step_says_its_state_in_its_own_words(records: Records) -> None:
    with records.write() as session:
        row = study(session)
        step = procedures.create(session, "9.1", ["1.2.3"], calling="MR1", modality="MR")
        assert step is not None
        assert expected(session, row, 1)["mpps"].word == "IN PROGRESS"
        change = procedures.Change(ProcedureStepState.DISCONTINUED, uids(1))
        procedures.update(session, step, change)
        found = expected(session, row, 1)["mpps"]
        assert (found.word, found.final, found.count) == ("DISCONTINUED", True, 1)


@pytest.mark.parametrize("state", [StudyState.RECEIVING, StudyState.INCOMPLETE])
def test_a_person_releases_a_study_that_is_awaited(records: Records, state: StudyState) -> None:
    with records.write() as session:
        row = study(session, state=state)
        evidence.release(session, row)
        said = evidence.person_at(announced(session))
        assert said is not None
        assert said >= row.last_instance_at
        assert expected(session, row, 1) == {}
        evidence.release(session, row)
        assert len(announced(session)) == 1
        assert {event.kind for event in session.scalars(select(Event))} == {"study.released_by_hand"}


@pytest.mark.parametrize("state", [StudyState.ANALYSING, StudyState.DONE, StudyState.UNWANTED, StudyState.FAILED])
def test_a_study_that_is_not_awaited_cannot_be_released(records: Records, state: StudyState) -> None:
    with records.write() as session:
        row = study(session, state=state)
        with pytest.raises(StateError, match=state.value):
            evidence.release(session, row)
        assert evidence.person_at(announced(session)) is None


def test_a_shortfall_is_kept_until_it_is_made_good(records: Records) -> None:
    with records.write() as session:
        row = study(session)
        evidence.fall_short(session, row, 1, None)
        evidence.fall_short(session, row, 2, 5)
        session.flush()
        short = evidence.shortfalls(session, [row.id])[row.id]
        assert (short.received, short.expected) == (2, 5)
        assert evidence.shortfalls(session) == {row.id: short}
        assert evidence.shortfalls(session, [row.id + 1]) == {}
        evidence.make_good(session, row)
        assert evidence.shortfalls(session) == {}


def test_times_of_evidence_are_aware(records: Records) -> None:
    with records.write() as session:
        study(session)
        expectations.expect(session, "1.2.3", "mpps", "9.1", final=False)
        assert announced(session)[0].at.tzinfo is dt.UTC
        assert evidence.arriving(session)[0].last_instance_at.tzinfo is dt.UTC
