"""The questions that the pages ask. Nothing here writes; what comes back is loaded and outlives its session."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload, selectinload

from node.decide.completeness import told
from node.records import attention, evidence, observations, patients, persons, timeline
from node.records.persons import Person
from node.records.schema import (
    Delivery,
    Event,
    Instance,
    Job,
    Message,
    ModelRegistration,
    Note,
    Observation,
    Patient,
    Result,
    Series,
    Shortfall,
    Study,
    now,
)
from node.records.states import TAKEN, DeliveryState, JobState, MessageState, StudyState

UNDELIVERED = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.RETRYING)
"""States of a delivery that is still on its way."""
MAX_ROWS = 300
"""Longest worklist; a reader filters instead of scrolling further."""
MAX_NOTES = 20
MAX_OBSERVATIONS = 60
MAX_COURSE = 400
"""Most laboratory values that courses are drawn of, newest first."""


@dataclass(frozen=True, slots=True)
class WorklistQuery:
    """What the filter box asks for.

    ``state`` "attention" means those that need a person, "critical" those with a critical finding, "identity" those
    whose patient is in question; ``days`` 0 means all.
    """

    text: str = ""
    state: str = ""
    days: int = 0
    limit: int = MAX_ROWS


@dataclass(frozen=True, slots=True)
class WorklistRow:
    """One study of the worklist, with how many deliveries are in which state (results in force only).

    ``person`` is as whom its patient is known now, after merges; ``short`` what lacks where the study was judged
    incomplete; ``doubt`` says in what words its patient is in question, "" if not.
    """

    study: Study
    person: Person
    deliveries: Mapping[DeliveryState, int]
    short: Shortfall | None = None
    doubt: str = ""

    @property
    def jobs(self) -> list[Job]:
        """The jobs in force: those that no newer inputs replaced."""
        return [job for job in self.study.jobs if job.state is not JobState.SUPERSEDED]

    @property
    def attention(self) -> str:
        """Why a person should look after this study, "" if none needs to."""
        if self.study.state is StudyState.FAILED:
            return "analysis failed"
        if self.deliveries.get(DeliveryState.FAILED):
            return "delivery failed"
        return shortage(self.short)

    @property
    def modalities(self) -> list[str]:
        """Modalities of the study's series, each once."""
        return sorted({series.modality for series in self.study.series if series.modality})


def shortage(short: Shortfall | None) -> str:
    """Say what a study lacks, "" if nothing is known to lack."""
    if short is None:
        return ""
    return "incomplete" if short.expected is None else f"{short.received} of {short.expected} instances"


def worklist(session: Session, query: WorklistQuery) -> list[WorklistRow]:
    """Return the studies in reading order: priority, critical findings, those that need attention, newest arrival."""
    rank = case((Study.priority == "STAT", 0), (Study.priority == "ASAP", 1), else_=2)
    critical = case((attention.critical(), 0), else_=1)
    urgent = case((_needs_attention(), 0), else_=1)
    statement = (
        select(Study)
        .join(Study.patient)
        .where(*_conditions(query))
        .order_by(rank, critical, urgent, Study.first_instance_at.desc(), Study.id.desc())
        .limit(min(query.limit, MAX_ROWS))
        .options(
            joinedload(Study.patient),
            joinedload(Study.order),
            selectinload(Study.series),
            selectinload(Study.jobs),
        )
    )
    studies = session.scalars(statement).all()
    ids = [study.id for study in studies]
    counts, short = _delivery_counts(session, ids), evidence.shortfalls(session, ids)
    doubts = attention.doubts(session, ids)
    people = persons.of_studies(session, studies, doubts)
    return [
        WorklistRow(row, people[row.id], counts.get(row.id, {}), short.get(row.id), doubts.get(row.id, ""))
        for row in studies
    ]


def _needs_attention() -> ColumnElement[bool]:
    undeliverable = exists().where(
        Job.study_fk == Study.id,
        Job.state != JobState.SUPERSEDED,
        Result.job_fk == Job.id,
        Delivery.result_fk == Result.id,
        Delivery.state == DeliveryState.FAILED,
    )
    short = exists().where(Shortfall.study_fk == Study.id)
    return or_(Study.state == StudyState.FAILED, short, undeliverable)


def _conditions(query: WorklistQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if query.days > 0:
        conditions.append(Study.first_instance_at >= now() - dt.timedelta(days=min(query.days, 36500)))
    special = {"attention": _needs_attention, "critical": attention.critical, "identity": attention.questioned}
    if query.state in special:
        conditions.append(special[query.state]())
    elif query.state in set(StudyState):
        conditions.append(Study.state == StudyState(query.state))
    columns = (Study.accession_number, Study.description)
    words = query.text.replace(",", " ").replace("\0", " ").split()[:8]
    return conditions + [
        or_(persons.named(word), *(column.icontains(word, autoescape=True) for column in columns)) for word in words
    ]


def _delivery_counts(session: Session, study_ids: Sequence[int]) -> dict[int, dict[DeliveryState, int]]:
    statement = (
        select(Job.study_fk, Delivery.state, func.count())
        .join(Result, Result.job_fk == Job.id)
        .join(Delivery, Delivery.result_fk == Result.id)
        .where(Job.study_fk.in_(study_ids), Job.state != JobState.SUPERSEDED)
        .group_by(Job.study_fk, Delivery.state)
    )
    counts: dict[int, dict[DeliveryState, int]] = {}
    for study_id, state, count in session.execute(statement):
        counts.setdefault(study_id, {})[state] = count
    return counts


@dataclass(frozen=True, slots=True)
class StudyView:
    """Everything of one study that its page shows.

    ``person`` is as whom its patient is known now, after merges; ``short`` what lacks where the study was judged
    incomplete; ``expected`` what was announced of a study that is awaited, in words.
    """

    study: Study
    person: Person
    images: Mapping[int, int]  # series id → instances
    notes: Sequence[Note]
    observations: Sequence[Observation]
    events: Sequence[Event]
    short: Shortfall | None = None
    expected: Sequence[str] = ()

    @property
    def shortage(self) -> str:
        """What the study lacks, "" if nothing is known to lack."""
        return shortage(self.short)

    @property
    def releasable(self) -> bool:
        """Whether it waits for what was announced, so that a person may say that what is here will do."""
        return self.study.state in evidence.AWAITED and bool(self.expected or self.short)

    @property
    def jobs(self) -> list[Job]:
        """The jobs, those in force first, then those that newer inputs replaced."""
        return sorted(self.study.jobs, key=lambda job: job.state is JobState.SUPERSEDED)


def study(session: Session, study_id: int) -> StudyView | None:
    """Return one study with all that belongs to it, or None."""
    statement = (
        select(Study)
        .where(Study.id == study_id)
        .options(
            joinedload(Study.patient),
            joinedload(Study.order),
            selectinload(Study.series),
            selectinload(Study.jobs).joinedload(Job.series),
            selectinload(Study.jobs).selectinload(Job.results).selectinload(Result.deliveries),
        )
    )
    row = session.scalars(statement).one_or_none()
    if row is None:
        return None
    images = session.execute(
        select(Instance.series_fk, func.count())
        .join(Series)
        .where(Series.study_fk == study_id)
        .group_by(Instance.series_fk)
    ).all()
    return StudyView(
        study=row,
        person=persons.of_studies(session, [row], attention.doubts(session, [study_id]))[study_id],
        images=dict(images),
        notes=_notes(session, row),
        observations=_observations(session, row.patient),
        events=timeline.of_study(session, study_id),
        short=session.get(Shortfall, study_id),
        expected=_expected(session, row, sum(count for _, count in images)),
    )


def _expected(session: Session, row: Study, count: int) -> list[str]:
    if row.state not in evidence.AWAITED:
        return []
    announced = evidence.announcements(session, row.uid).get(row.uid, [])
    return [told(item) for item in evidence.expected(session, evidence.of(row), announced, count)]


def _notes(session: Session, row: Study) -> Sequence[Note]:
    """The person's notes, under whichever number they came: those of this examination first, then the newest."""
    own = case((and_(Note.accession_number == row.accession_number, Note.accession_number != ""), 0), else_=1)
    statement = (
        select(Note)
        .where(Note.patient_fk.in_(patients.same_person(session, row.patient)))
        .order_by(own, func.coalesce(Note.written_at, Note.received_at).desc())
        .limit(MAX_NOTES)
        .options(selectinload(Note.facts))
    )
    return session.scalars(statement).all()


def _observations(session: Session, patient: Patient) -> Sequence[Observation]:
    """The person's values that were not withdrawn, newest first."""
    return session.scalars(_values(session, patient).limit(MAX_OBSERVATIONS)).all()


def values_of(session: Session, patient: Patient, codes: Iterable[str]) -> Sequence[Observation]:
    """Return the person's numbers of these codes that were not withdrawn, newest first: what a course is drawn of."""
    query = _values(session, patient).where(Observation.code.in_(list(codes)), Observation.number.is_not(None))
    return session.scalars(query.limit(MAX_COURSE)).all()


def _values(session: Session, patient: Patient) -> Select[Observation]:
    return (
        select(Observation)
        .where(
            Observation.patient_fk.in_(patients.same_person(session, patient)),
            Observation.status.not_in(observations.WITHDRAWN),
        )
        .order_by(Observation.observed_at.desc(), Observation.id.desc())
    )


@dataclass(frozen=True, slots=True)
class SourceInstance:
    """A source image: where it lies below the spool, and its Instance Number."""

    path: str
    number: int | None


@dataclass(frozen=True, slots=True)
class Segmented:
    """What the drawing of key slices needs: the SEG's file and the source instances with theirs."""

    digest: str
    seg_path: str
    instances: Mapping[str, SourceInstance]  # by SOP Instance UID


def segmented(session: Session, study_id: int, job_id: str) -> Segmented | None:
    """Return the newest segmentation of a job of this study and its source series, or None."""
    statement = (
        select(Result, Job.series_fk)
        .join(Job)
        .where(Job.id == job_id, Job.study_fk == study_id, Result.kind == "seg", Result.profile == "")
        .order_by(Result.id.desc())
        .limit(1)
    )
    row = session.execute(statement).one_or_none()
    if row is None:
        return None
    result, series_fk = row
    columns = select(Instance.uid, Instance.path, Instance.number).where(Instance.series_fk == series_fk)
    instances = {uid: SourceInstance(path, number) for uid, path, number in session.execute(columns)}
    return Segmented(result.sha256, result.path, instances)


def result_of(session: Session, study_id: int, result_id: int) -> Result | None:
    """Return a result if it belongs to this study."""
    return session.scalars(
        select(Result).join(Job).where(Result.id == result_id, Job.study_fk == study_id)
    ).one_or_none()


@dataclass(frozen=True, slots=True)
class Backlog:
    """One destination: deliveries by state, the oldest that is still on its way, the newest that was accepted."""

    destination: str
    counts: Mapping[DeliveryState, int] = field(default_factory=dict)
    oldest: dt.datetime | None = None
    newest_accepted: dt.datetime | None = None

    @property
    def waiting(self) -> int:
        """Deliveries still on their way."""
        return sum(self.counts.get(state, 0) for state in UNDELIVERED)


@dataclass(frozen=True, slots=True)
class OperationsView:
    """What the operations page shows."""

    counts: Mapping[str, Mapping[StrEnum, int]]  # "studies" | "jobs" | "deliveries" | "messages"
    backlogs: Sequence[Backlog]
    models: Sequence[ModelRegistration]
    dead_letters: Sequence[Delivery]
    failed_messages: Sequence[Message]
    events: Sequence[Event]


def operations(session: Session, destinations: Sequence[str], limit: int = 60) -> OperationsView:
    """Return how the node is doing; ``destinations`` are the configured ones, which show even with nothing to do."""
    states: dict[str, InstrumentedAttribute[Any]] = {
        "studies": Study.state,
        "jobs": Job.state,
        "deliveries": Delivery.state,
        "messages": Message.state,
    }
    failed = select(Message).where(Message.state == MessageState.FAILED).order_by(Message.id.desc()).limit(limit)
    return OperationsView(
        counts={name: count_by(session, column) for name, column in states.items()},
        backlogs=backlogs(session, destinations),
        models=session.scalars(select(ModelRegistration).order_by(ModelRegistration.name)).all(),
        dead_letters=_dead_letters(session, limit),
        failed_messages=session.scalars(failed).all(),
        events=timeline.of_node(session, limit),
    )


def _dead_letters(session: Session, limit: int) -> Sequence[Delivery]:
    """Return the deliveries that were given up, newest first."""
    owner = selectinload(Delivery.result).selectinload(Result.job)
    query = select(Delivery).where(Delivery.state == DeliveryState.FAILED).order_by(Delivery.id.desc())
    return session.scalars(query.limit(limit).options(owner)).all()


def count_by(session: Session, column: InstrumentedAttribute[Any]) -> dict[Any, int]:
    """Return how many rows have which value in a column."""
    return dict(session.execute(select(column, func.count()).group_by(column)).all())


def backlogs(session: Session, destinations: Sequence[str] = ()) -> list[Backlog]:
    """Return each destination's backlog, by name."""
    counts: dict[str, dict[DeliveryState, int]] = {name: {} for name in destinations}
    oldest: dict[str, dt.datetime] = {}
    accepted: dict[str, dt.datetime] = {}
    statement = select(
        Delivery.destination,
        Delivery.state,
        func.count(),
        func.min(Delivery.created_at),
        func.max(Delivery.accepted_at),
    ).group_by(Delivery.destination, Delivery.state)
    for name, state, count, first, last in session.execute(statement):
        counts.setdefault(name, {})[state] = count
        if state in UNDELIVERED:
            oldest[name] = min(first, oldest.get(name, first))
        elif state in TAKEN and last is not None:
            accepted[name] = max(last, accepted.get(name, last))
    return [Backlog(name, counts[name], oldest.get(name), accepted.get(name)) for name in sorted(counts)]
