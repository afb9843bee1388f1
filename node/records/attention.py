"""What a person must look after: critical findings, patients in question, alerts that nobody acknowledged.

Questions that the pages ask; nothing here writes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session, joinedload

from node.records import identity, results
from node.records.patients import WORDS
from node.records.schema import IdentityConflict, Study
from node.records.states import DeliveryState

QUESTIONED = (identity.OPEN, identity.OTHER_PERSON)
"""Resolutions under which a study is analysed alone."""
MAX_CONFLICTS = 200
"""Most contradictions that a page lists."""
MAX_ALERTS = 20
"""Most alerts that the banner of the pages lists."""


def critical() -> ColumnElement[bool]:
    """Condition: the study's triage has a critical finding."""
    condition: ColumnElement[bool] = Study.triage["critical"].as_boolean().is_(True)
    return condition


def questioned() -> ColumnElement[bool]:
    """Condition: it is open, or decided against, that the study is its patient's."""
    return exists().where(IdentityConflict.study_fk == Study.id, IdentityConflict.resolution.in_(QUESTIONED))


def doubts(session: Session, study_ids: Iterable[int]) -> dict[int, str]:
    """Return, of studies whose patient is in question, in what words."""
    query = select(IdentityConflict.study_fk, IdentityConflict.resolution).where(
        IdentityConflict.study_fk.in_(list(study_ids)), IdentityConflict.resolution.in_(QUESTIONED)
    )
    words = {identity.OPEN: "identity in question", identity.OTHER_PERSON: "another person's"}
    return {study: words[resolution] for study, resolution in session.execute(query)}


@dataclass(frozen=True, slots=True)
class Side:
    """One attribute of both sides: what the images say, and what registrations said.

    Of the patient ID: the numbers that some of the images name beside the study's, and the study's own.
    """

    word: str
    images: str
    record: Sequence[str]
    contradicts: bool


@dataclass(frozen=True, slots=True)
class Doubted:
    """A study whose images contradict, or contradicted, the record of its patient. Patient data."""

    study: Study
    attributes: Sequence[str]
    sides: Sequence[Side]
    found_at: dt.datetime
    resolved_at: dt.datetime | None
    resolution: str

    @property
    def open(self) -> bool:
        """Whether it waits for a correction or a person."""
        return self.resolution == identity.OPEN

    @property
    def alone(self) -> bool:
        """Whether the study is analysed without what the record knows of the patient."""
        return self.resolution in QUESTIONED


def doubt(session: Session, study: Study) -> Doubted | None:
    """Return the contradiction of a study, settled or not; None if there was none ever."""
    row = identity.of_study(session, study)
    return None if row is None else _doubted(session, row, study)


def doubted(session: Session, *, settled: bool = False) -> list[Doubted]:
    """Return the contradictions that wait for a person, oldest first; or those that are settled, newest first."""
    waits = IdentityConflict.resolution == identity.OPEN
    order = IdentityConflict.resolved_at.desc() if settled else IdentityConflict.found_at
    query = (
        select(IdentityConflict, Study)
        .join(Study, Study.id == IdentityConflict.study_fk)
        .where(~waits if settled else waits, func.json_array_length(IdentityConflict.attributes) > 0)
        .order_by(order, IdentityConflict.id)
        .limit(MAX_CONFLICTS)
        .options(joinedload(Study.patient))
    )
    return [_doubted(session, row, study) for row, study in session.execute(query)]


def open_doubts(session: Session) -> int:
    """Return how many contradictions wait for a correction or a person."""
    query = select(func.count(IdentityConflict.id)).where(IdentityConflict.resolution == identity.OPEN)
    return session.scalar(query) or 0


def _doubted(session: Session, row: IdentityConflict, study: Study) -> Doubted:
    stated: Mapping[str, Sequence[str]] = identity.stated_of(session, study)
    dicom: Mapping[str, Any] = row.dicom
    wrong = set(row.attributes)
    sides = [
        Side(word, str(dicom.get(key, "")), [value for value in stated.get(key, ()) if value], word in wrong)
        for key, word in WORDS.items()
    ]
    if others := dicom.get(identity.OTHERS):
        own, named = study.patient, ", ".join(_number(*one) for one in others)
        both = [_number(own.patient_id, own.issuer)]
        sides.append(Side(identity.PATIENT_ID, named, both, identity.PATIENT_ID in wrong))
    return Doubted(study, list(row.attributes), sides, row.found_at, row.resolved_at, row.resolution)


def _number(patient_id: str, issuer: str) -> str:
    return f"{patient_id} ({issuer})" if issuer else patient_id


@dataclass(frozen=True, slots=True)
class Unacknowledged:
    """An alert that its destination has not accepted, and its study with its patient."""

    study: Study
    destination: str
    since: dt.datetime
    state: DeliveryState
    attempts: int
    status: str


def unacknowledged(session: Session) -> list[Unacknowledged]:
    """Return the oldest alerts that no destination accepted, with their studies."""
    alerts = results.unacknowledged_alerts(session)[:MAX_ALERTS]
    if not alerts:
        return []
    query = select(Study).where(Study.id.in_({item.study for item in alerts})).options(joinedload(Study.patient))
    studies = {study.id: study for study in session.scalars(query)}
    return [
        Unacknowledged(studies[item.study], item.destination, item.since, item.state, item.attempts, item.status)
        for item in alerts
        if item.study in studies
    ]
