"""Imaging orders, and which study belongs to which.

A study is matched by Study Instance UID or accession number, and by patient (IHE RAD, Scheduled Workflow). The number
alone is not enough: an accession number typed wrongly at the scanner must not bring another patient's order along.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from node.records import patients, timeline
from node.records.schema import Event, Order, Patient, Study
from node.records.states import StudyState

CANCELLED = frozenset({"CA", "DC", "OC", "OD", "CR", "DR"})
"""ORC-1 (table 0119) of orders that are not to be done: cancelled, discontinued."""

RANK = {"STAT": 0, "ASAP": 1, "ROUTINE": 2}
"""Priorities, most urgent first."""


def match_study(session: Session, study: Study) -> Order | None:
    """Find the order of a study, and take over its priority.

    Writes one timeline line when it matches for the first time, and a warning when the only orders that fit are
    another patient's, or cancelled.
    """
    candidates = _candidates(session, study)
    people = patients.same_person(session, study.patient)
    own = [order for order in candidates if order.patient_fk in people]
    active = [order for order in own if order.status not in CANCELLED]
    if active:
        _link(session, study, active[0])
        return active[0]
    if own:
        _say_once(session, study, "order.cancelled", "The study's order was cancelled; it is not used")
    elif candidates:
        text = "An order of another patient has the study's accession number or UID; it is not used"
        _say_once(session, study, "order.mismatch", text)
    return None


def studies_for_order(session: Session, order: Order) -> Sequence[Study]:
    """Return the studies that are here already and fit an order by number or UID; other patients' are among them."""
    fits: list[ColumnElement[bool]] = []
    if order.accession_number:
        fits.append(Study.accession_number == order.accession_number)
    if order.study_uid:
        fits.append(Study.uid == order.study_uid)
    if not fits:
        return []
    return session.scalars(select(Study).where(or_(*fits)).order_by(Study.id)).all()


def find(
    session: Session, patient: Patient, *, placer: str = "", filler: str = "", accession: str = ""
) -> Order | None:
    """Return the patient's order that these numbers mean, the newest if there are several.

    Placer and filler numbers are ``id^namespace``. An order fits if one number is equal and neither placer nor filler
    number differs: several procedures may share an accession number.
    """
    people = patients.same_person(session, patient)
    query = select(Order).where(Order.patient_fk.in_(people)).order_by(Order.updated_at.desc(), Order.id.desc())
    fitting = [
        order
        for order in session.scalars(query)
        if not differ(order.placer_number, placer) and not differ(order.filler_number, filler)
    ]
    for same in (
        lambda order: same_number(order.placer_number, placer),
        lambda order: same_number(order.filler_number, filler),
        lambda order: bool(accession) and order.accession_number == accession,
    ):
        if found := next(filter(same, fitting), None):
            return found
    return None


def owned_by_another(session: Session, patient: Patient, order: Order) -> bool:
    """Whether an order with exactly these numbers is kept for another patient."""
    other = session.scalars(
        select(Order).filter_by(
            placer_number=order.placer_number,
            filler_number=order.filler_number,
            accession_number=order.accession_number,
        )
    ).first()
    return other is not None and other.patient_fk not in patients.same_person(session, patient)


def same_number(one: str, other: str) -> bool:
    """Whether two entity identifiers (EI, ``id^namespace``) can be the same."""
    (a, _, a_space), (b, _, b_space) = one.partition("^"), other.partition("^")
    return a == b and a != "" and (a_space == b_space or not a_space or not b_space)


def differ(one: str, other: str) -> bool:
    """Whether two entity identifiers are both given and cannot be the same."""
    return bool(one and other) and not same_number(one, other)


def _candidates(session: Session, study: Study) -> Sequence[Order]:
    """Orders that fit by UID (first) or accession number, newest first."""
    fits = [and_(Order.study_uid == study.uid, Order.study_uid != "")]
    if study.accession_number:
        fits.append(and_(Order.accession_number == study.accession_number))
    query = (
        select(Order)
        .where(or_(*fits))
        .order_by((Order.study_uid == study.uid).desc(), Order.updated_at.desc(), Order.id.desc())
    )
    return session.scalars(query).all()


def _link(session: Session, study: Study, order: Order) -> None:
    if study.state is StudyState.RECEIVING or RANK[order.priority] < RANK.get(study.priority, 9):
        study.priority = order.priority  # once rules have judged it, an order only makes it more urgent
    if study.order_fk == order.id:
        return
    study.order = order
    session.flush()
    by = "study instance UID" if order.study_uid == study.uid else "accession number"
    text = f"Matched to its order by {by} and patient; priority {order.priority}"
    timeline.add(session, "order.matched", text, study=study, message=order.message_fk)


def _say_once(session: Session, study: Study, kind: str, text: str) -> None:
    known = select(Event.id).where(Event.study_fk == study.id, Event.kind == kind, Event.text == text).limit(1)
    if session.scalar(known) is None:
        timeline.add(session, kind, text, study=study, level="warning")
