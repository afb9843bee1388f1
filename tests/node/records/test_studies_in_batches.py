"""Entering many instances at once gives what entering them one by one gives."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from node.dicom.instance import InstanceHeader
from node.records.engine import Records
from node.records.schema import Base, Event, Instance, Job, Patient, Result, Series, Study
from node.records.states import JobState, StudyState
from node.records.studies import Indexed, index, index_all, released

START = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
RESULT = "2.25.1"


def header(study: int, series: int, number: int, **values: Any) -> InstanceHeader:
    made = InstanceHeader(
        uid=f"1.2.{series}.{number}",
        sop_class="1.2.840.10008.5.1.4.1.1.4",
        transfer_syntax="1.2.840.10008.1.2.1",
        study_uid=f"1.{study}",
        series_uid=f"1.2.{series}",
        path=f"{series}.{number}.dcm",
        digest=f"xxh128:{series}{number}",
        received_at=START + dt.timedelta(seconds=number),
        calling_ae_title="MR1",
        patient_id=f"P{study}",
        modality="MR",
        tags={"Manufacturer": "Acme"},
    )
    return dataclasses.replace(made, **values)


HEADERS = st.builds(
    lambda study, series, number, name, patient, came_back: header(
        study, series, number, patient_name=name, **({"patient_id": patient} if patient is not None else {}),
        **({"uid": RESULT} if came_back else {}),
    ),
    st.integers(1, 2), st.integers(1, 3), st.integers(1, 6), st.sampled_from(["", "A^B", "C^D"]),
    st.sampled_from([None, None, "", "P1"]), st.sampled_from([False] * 5 + [True]),
)  # fmt: skip


@pytest.fixture(scope="module")
def store() -> Iterator[Records]:
    """Give an empty record store in memory; each use empties it."""
    made = Records("sqlite:///:memory:")
    yield made
    made.close()


@pytest.fixture
def session(store: Records) -> Iterator[Session]:
    yield from _emptied(store)


def _emptied(store: Records) -> Iterator[Session]:
    Base.metadata.drop_all(store.engine)
    Base.metadata.create_all(store.engine)
    with store.write() as session:
        yield session


def picture(session: Session) -> dict[str, Any]:
    """Return everything that the records say, without keys and times of writing."""
    session.flush()
    session.expire_all()
    return {
        "patients": sorted((p.patient_id, p.issuer, p.name) for p in session.scalars(select(Patient))),
        "studies": [
            (s.uid, s.patient.patient_id, s.state, s.generation, s.first_instance_at, s.last_instance_at)
            for s in session.scalars(select(Study).order_by(Study.id))
        ],
        "series": [
            (s.uid, s.study.uid, s.modality, s.tags, sorted((i.uid, i.path, i.digest) for i in s.instances))
            for s in session.scalars(select(Series).order_by(Series.id))
        ],
        "timeline": [
            (e.kind, e.text, e.level, session.get_one(Study, e.study_fk).uid if e.study_fk else None)
            for e in session.scalars(select(Event).order_by(Event.id))
        ],
    }


def outcome(found: Sequence[Indexed]) -> list[tuple[str | None, bool]]:
    return [(item.study.uid if item.study else None, item.new) for item in found]


def _begin(session: Session, state: StudyState) -> None:
    """Enter a study that was judged, with a result of this node."""
    study = index(session, header(1, 9, 1)).study
    assert study is not None
    job = Job(id="j", study=study, series=study.series[0], model="m", rule="r", input_digest="d", state=JobState.DONE)
    session.add(job)
    session.flush()
    session.add(Result(job_fk="j", kind="seg", uid=RESULT, path="x", sha256="x"))
    study.state = state
    session.flush()


@settings(max_examples=40, deadline=None)
@given(
    st.lists(HEADERS, max_size=14), st.lists(st.integers(1, 6), min_size=14, max_size=14),
    st.sampled_from([StudyState.RECEIVING, StudyState.DONE, StudyState.INCOMPLETE]),
)  # fmt: skip
def test_a_batch_gives_what_its_instances_give_one_by_one(
    store: Records, headers: list[InstanceHeader], splits: list[int], state: StudyState
) -> None:
    for session in _emptied(store):
        _begin(session, state)
        one_by_one = (outcome([index(session, item) for item in headers]), picture(session))
    for session in _emptied(store):
        _begin(session, state)
        found: list[tuple[str | None, bool]] = []
        rest = list(headers)
        for size in splits:
            found += outcome(index_all(session, rest[:size]))
            rest = rest[size:]
        assert (found, picture(session)) == one_by_one


@settings(max_examples=40, deadline=None)
@given(st.permutations([header(1, 1 + number % 2, number) for number in range(1, 9)]))
def test_in_whatever_order_instances_come_the_study_holds_the_same(
    store: Records, headers: list[InstanceHeader]
) -> None:
    for session in _emptied(store):
        index_all(session, headers)
        study = session.scalars(select(Study)).one()
        held = {series.uid: {item.uid for item in series.instances} for series in study.series}
        assert held == {f"1.2.{s}": {f"1.2.{s}.{n}" for n in range(1, 9) if 1 + n % 2 == s} for s in (1, 2)}
        assert study.last_instance_at == START + dt.timedelta(seconds=8)


@pytest.mark.parametrize("state", [state for state in StudyState if state is not StudyState.RECEIVING])
def test_a_late_instance_in_a_batch_opens_its_study_once_and_no_other(session: Session, state: StudyState) -> None:
    index_all(session, [header(1, 1, 1), header(2, 2, 1)])
    for study in session.scalars(select(Study)):
        study.state = state
    index_all(session, [header(1, 1, 2), header(2, 2, 1), header(1, 1, 3)])
    assert {s.uid: (s.state, s.generation) for s in session.scalars(select(Study))} == {
        "1.1": (StudyState.RECEIVING, 2),
        "1.2": (state, 1),
    }
    assert session.scalars(select(Event.kind)).all().count("study.reopened") == 1


def test_an_instance_that_comes_twice_in_one_batch_is_entered_once(session: Session) -> None:
    found = index_all(session, [header(1, 1, 1), header(1, 1, 1, path="other.dcm")])
    assert outcome(found) == [("1.1", True), ("1.1", False)]
    assert session.scalars(select(Instance.path)).all() == ["1.1.dcm"]


def test_two_series_that_change_places_between_studies_stay_where_they_were_first(session: Session) -> None:
    index_all(session, [header(1, 1, 1), header(2, 2, 1)])
    found = index_all(session, [header(1, 2, 2), header(2, 1, 2)])
    assert outcome(found) == [("1.2", True), ("1.1", True)]
    held = {series.uid: (series.study.uid, len(series.instances)) for series in session.scalars(select(Series))}
    assert held == {"1.2.1": ("1.1", 2), "1.2.2": ("1.2", 2)}
    assert session.scalars(select(Event.kind)).all().count("study.conflict") == 2


def test_an_instance_that_names_another_series_the_second_time_stays_in_its_first(session: Session) -> None:
    index_all(session, [header(1, 1, 1)])
    found = index_all(session, [header(2, 2, 1, uid="1.2.1.1")])
    assert outcome(found) == [("1.1", False)]
    assert session.scalars(select(Series.uid)).all() == ["1.2.1"]


def test_a_batch_of_results_that_came_back_makes_nothing(session: Session) -> None:
    _begin(session, StudyState.DONE)
    before = picture(session)
    assert (
        outcome(index_all(session, [header(1, 8, 1, uid=RESULT), header(3, 8, 2, uid=RESULT)])) == [(None, False)] * 2
    )
    assert picture(session) == before


def test_an_empty_batch_is_none(session: Session) -> None:
    assert index_all(session, []) == []


def test_what_a_batch_entered_is_counted_when_its_association_ends(session: Session) -> None:
    index_all(session, [header(1, 1 + number % 2, number) for number in range(6)])
    released(session, ["1.1"], START)
    text = session.scalars(select(Event.text).where(Event.kind == "study.released")).one()
    assert text == "The association ended; the study has 6 instances in 2 series."


def test_no_statement_is_asked_for_each_instance(store: Records, session: Session) -> None:
    index_all(session, [header(1, 1, 1)])
    asked: list[str] = []

    def note(*args: Any) -> None:
        asked.append(args[2])

    event.listen(store.engine, "before_cursor_execute", note)
    index_all(session, [header(1, 1, number) for number in range(2, 202)])
    event.remove(store.engine, "before_cursor_execute", note)
    assert len(asked) <= 6
