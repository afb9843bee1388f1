"""What images and record say together of one study, as its page shows it, with where all of it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.records import assessed, attention, views
from node.records.assessed import AlertRow
from node.records.attention import Doubted
from node.records.schema import Observation, Study
from node.web import assessment
from node.web.assessment import AssessmentView
from node.web.course import Course, courses
from node.web.evidence import Reference
from node.web.places import DOCUMENT_WIDTH, Places

MAX_STUDIES = 50
"""Most earlier studies that evidence leads to."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is known of a study beyond its images.

    Parameters
    ----------
    labs
        The values that the page lists: the newest, and all that the assessments rest on.
    used
        Ids of those that the assessments rest on.
    courses
        The course of each kind of value that the assessments rest on.
    """

    assessments: Sequence[AssessmentView]
    alerts: Sequence[AlertRow]
    doubt: Doubted | None
    labs: Sequence[Observation]
    used: frozenset[int]
    courses: Sequence[Course]


def judged(session: Session, view: views.StudyView) -> Judged:
    """Return what the page of a study says of it."""
    study = view.study
    stored = [item for item in assessed.assessments(session, study.id) if item.assessment]
    given = [one for item in stored for one in assessment.references(item.assessment)]
    codes = {one.code for one in given if one.source == "lab" and one.code}
    values = views.values_of(session, study.patient, codes) if codes else []
    used = _used(given, [*view.observations, *values])
    shown = {value.id: value for value in [*view.observations, *(one for one in values if one.id in used)]}
    places = Places(view.notes, shown.values(), _studies(session, given))
    return Judged(
        assessments=[
            assessment.view(item.job, item.model, item.model_version, item.findings, item.assessment, places)
            for item in stored
        ],
        alerts=assessed.alerts(session, study.id),
        doubt=attention.doubt(session, study),
        labs=list(shown.values()),
        used=used,
        courses=courses(values),
    )


def _used(given: Sequence[Reference], values: Sequence[Observation]) -> frozenset[int]:
    named = {(one.code, one.reference, one.at) for one in given if one.source == "lab"}
    return frozenset(
        value.id for value in values if (value.code, value.filler_number[:DOCUMENT_WIDTH], value.observed_at) in named
    )


def _studies(session: Session, given: Sequence[Reference]) -> dict[str, int]:
    uids = list({one.reference for one in given if one.source == "prior" and one.reference})[:MAX_STUDIES]
    if not uids:
        return {}
    rows = session.execute(select(Study.uid, Study.id).where(Study.uid.in_(uids)))
    return {row.uid: row.id for row in rows}
