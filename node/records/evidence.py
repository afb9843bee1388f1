"""What the records hold of the arrival of studies, as :mod:`node.decide.completeness` weighs it.

Looking at all studies that arrive is cheap, since it happens several times a second: :func:`arriving`,
:func:`announcements` and :func:`received` are one query each and read neither instances nor lists of their UIDs.
:func:`expected` reads these, for one study.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import case, delete, func, select
from sqlalchemy.orm import Session

from node.decide.completeness import Expected
from node.errors import StateError
from node.records import expectations, timeline
from node.records.schema import Expectation, Instance, ProcedureStep, Series, Shortfall, Study, now
from node.records.states import StudyState

AWAITED = (StudyState.RECEIVING, StudyState.INCOMPLETE)
"""States of studies for which instances or evidence may still come."""
COUNTED = ("mpps", "ian", "query")
"""Sources of expectations that speak of instances. An order tells only that there will be a study."""
PERSON, QUERY = "person", "query"
BY_HAND = "released by hand"


@dataclass(frozen=True, slots=True)
class Arriving:
    """A study that is awaited, without its instances."""

    id: int
    uid: str
    state: StudyState
    calling_ae_title: str
    last_instance_at: dt.datetime
    released_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Announcement:
    """An expectation without the UIDs it lists; ``count`` is their number if ``listed``, else the number told."""

    source: str
    reference: str
    count: int | None
    listed: bool
    final: bool
    at: dt.datetime


def arriving(session: Session) -> list[Arriving]:
    """Return all studies that are awaited."""
    columns = (Study.id, Study.uid, Study.state, Study.calling_ae_title, Study.last_instance_at, Study.released_at)
    return [Arriving(*row) for row in session.execute(select(*columns).where(Study.state.in_(AWAITED)))]


def of(study: Study) -> Arriving:
    """Return the same of a row."""
    return Arriving(study.id, study.uid, study.state, study.calling_ae_title, study.last_instance_at, study.released_at)


def announcements(session: Session, study_uid: str | None = None) -> dict[str, list[Announcement]]:
    """Return what was announced of every awaited study, or of one, by Study Instance UID."""
    length = func.json_array_length(Expectation.instances)
    count = case((length > 0, length), else_=Expectation.count)
    row = Expectation
    query = select(row.study_uid, row.source, row.reference, count, length, row.final, row.at)
    if study_uid is None:
        query = query.join(Study, Study.uid == Expectation.study_uid).where(Study.state.in_(AWAITED))
    else:
        query = query.where(Expectation.study_uid == study_uid)
    found: dict[str, list[Announcement]] = defaultdict(list)
    for uid, source, reference, number, listed, final, at in session.execute(query.order_by(Expectation.id)):
        found[uid].append(Announcement(source, reference, number, bool(listed), final, at))
    return found


def received(session: Session, study_ids: Collection[int]) -> dict[int, int]:
    """Return how many instances of these studies are here."""
    query = (
        select(Series.study_fk, func.count(Instance.id))
        .join(Instance, Instance.series_fk == Series.id)
        .where(Series.study_fk.in_(study_ids))
        .group_by(Series.study_fk)
    )
    return dict(session.execute(query).all()) if study_ids else {}


def estimated(announced: Iterable[Announcement], count: int) -> tuple[Expected, ...]:
    """Return the least that was announced, by source, as if every instance that is here were one of those.

    What lacks by this lacks. What does not is for :func:`expected` to find out: other instances may have come, and of
    several lists nobody knows yet how much they have in common.
    """
    return tuple(
        _expected(source, items, count=max(told), here=min(count, max(told)))
        for source, items in _by_source(announced).items()
        if (told := [_told(source, items), *(item.count or 0 for item in items)])
    )


def expected(session: Session, study: Arriving, announced: Iterable[Announcement], count: int) -> tuple[Expected, ...]:
    """Return what was announced of a study, by source, compared with the very instances that are here."""
    sources = _by_source(announced)
    lists = session.execute(
        select(Expectation.source, Expectation.instances).where(
            Expectation.study_uid == study.uid, Expectation.source.in_(list(sources))
        )
    ).all()
    named: dict[str, set[str]] = defaultdict(set)
    for source, uids in lists:
        named[source].update(map(str, uids))
    here = _instances(session, study.id) if any(named.values()) else set()
    words = _words(session, study.uid)
    return tuple(
        _compared(source, items, named[source], here, count, words if source == "mpps" else ())
        for source, items in sources.items()
    )


def _compared(
    source: str, items: Sequence[Announcement], named: set[str], here: set[str], count: int, words: Iterable[str]
) -> Expected:
    """Several of a kind are one: the steps of a study name different instances, or the same ones again."""
    if named:
        return _expected(source, items, len(named), len(named & here), ", ".join(words))
    told = _told(source, items)
    return _expected(source, items, told, min(count, told), ", ".join(words))


def _told(source: str, items: Sequence[Announcement]) -> int:
    """The number told where nothing is listed: parts of a study add up, answers about the study do not."""
    counts = [item.count or 0 for item in items if not item.listed]
    return max(counts, default=0) if source == QUERY else sum(counts)


def _expected(source: str, items: Sequence[Announcement], count: int, here: int, word: str = "") -> Expected:
    final = all(item.final for item in items)
    return Expected(source, max(item.at for item in items), count or None, here, final, word)


def _by_source(announced: Iterable[Announcement]) -> Mapping[str, list[Announcement]]:
    found: dict[str, list[Announcement]] = {}
    for item in announced:
        if item.source in COUNTED:
            found.setdefault(item.source, []).append(item)
    return found


def _instances(session: Session, study_id: int) -> set[str]:
    return set(session.scalars(select(Instance.uid).join(Series).where(Series.study_fk == study_id)))


def _words(session: Session, study_uid: str) -> list[str]:
    """The states of the study's performed procedure steps, each once."""
    query = (
        select(ProcedureStep.state)
        .join(Expectation, Expectation.reference == ProcedureStep.uid)
        .where(Expectation.study_uid == study_uid, Expectation.source == "mpps")
    )
    return sorted({state.value for state in session.scalars(query)})


def person_at(announced: Iterable[Announcement]) -> dt.datetime | None:
    """Return when a person said that what is here will do, if one did."""
    return max((item.at for item in announced if item.source == PERSON), default=None)


def counted(session: Session, study_uid: str, ae_title: str, count: int) -> None:
    """Keep the answer of a peer to the question how many instances a study has."""
    expectations.expect(session, study_uid, QUERY, ae_title, count=count, final=True).at = now()


def release(session: Session, study: Study) -> None:
    """Say for a person that what is here of a study will do; the gateway judges it complete at once.

    Raises
    ------
    StateError
        If the study is not awaited any more.
    """
    if study.state not in AWAITED:
        raise StateError(f"the study is {study.state.value}: only one that is received or incomplete can be released")
    expectations.expect(session, study.uid, PERSON, BY_HAND, final=True).at = now()
    timeline.add(session, "study.released_by_hand", "Released by hand: what is here is analysed.", study=study)


def fall_short(session: Session, study: Study, count: int, announced: int | None) -> None:
    """Keep that a study is incomplete."""
    row = session.get(Shortfall, study.id)
    if row is None:
        row = Shortfall(study_fk=study.id)
        session.add(row)
    row.received, row.expected, row.at = count, announced, now()


def make_good(session: Session, study: Study) -> None:
    """Forget that a study was incomplete."""
    session.execute(delete(Shortfall).where(Shortfall.study_fk == study.id))


def shortfalls(session: Session, study_ids: Collection[int] | None = None) -> dict[int, Shortfall]:
    """Return which studies, of these or of all, are incomplete or were analysed so."""
    query = select(Shortfall)
    if study_ids is not None:
        query = query.where(Shortfall.study_fk.in_(study_ids))
    return {row.study_fk: row for row in session.scalars(query)}
