from __future__ import annotations

import datetime as dt

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.records import sources
from node.records.engine import Records
from node.records.schema import Instance, Series, Source, Study
from tests import factories

T0 = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def after(seconds: float) -> dt.datetime:
    return T0 + dt.timedelta(seconds=seconds)


def instances(*seconds: float) -> list[Instance]:
    return [Instance(uid=f"1.{index}", received_at=after(moment)) for index, moment in enumerate(seconds)]


def study(session: Session, ae_title: str = "MR1") -> Study:
    row = factories.study(session, f"1.2.{session.query(Study).count()}", calling_ae_title=ae_title)
    assert isinstance(row.series[0], Series)
    return row


def test_an_unknown_source_is_known_to_pause_nowhere(records: Records) -> None:
    with records.read() as session:
        assert sources.pauses(session, "MR1").wait(120) is None


def test_each_source_is_learned_for_itself(records: Records) -> None:
    with records.write() as session:
        sources.learn(session, study(session, "FAST"), instances(*(index / 10 for index in range(60))), None)
        sources.learn(session, study(session, "SLOW"), instances(*(index * 7 for index in range(60))), None)
    with records.read() as session:
        assert (sources.pauses(session, "FAST").wait(120) or 0) < 1
        assert (sources.pauses(session, "SLOW").wait(120) or 0) >= 14
        assert {row.ae_title for row in session.scalars(select(Source))} == {"FAST", "SLOW"}


def test_only_what_came_since_the_last_verdict_is_learned_and_the_gap_before_it(records: Records) -> None:
    with records.write() as session:
        row = study(session)
        first = sources.learn(session, row, instances(0, 1, 2), None)
        assert first is not None
        assert round(first.gaps.total) == 2
        again = sources.learn(session, row, instances(0, 1, 2, 30, 31), after(12))
        assert again is not None
        assert again.gaps.total == 2 * 0.99 + 2  # the straddling gap of 28 s, and one second
        assert 28 <= again.gaps.quantile(1.0) <= 28 * 1.2


def test_a_verdict_without_new_instances_teaches_nothing(records: Records) -> None:
    with records.write() as session:
        row = study(session)
        assert sources.learn(session, row, instances(0, 1, 2), after(12)) is None
        assert sources.learn(session, row, instances(0), None) is None
        assert session.scalars(select(Source)).all() == []


def test_what_came_without_an_ae_title_is_nobody_s_habit(records: Records) -> None:
    with records.write() as session:
        assert sources.learn(session, study(session, ""), instances(0, 1), None) is None
