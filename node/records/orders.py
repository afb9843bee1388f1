"""Imaging orders, and which study belongs to which.

A study is matched by Study Instance UID or accession number, and by patient (IHE RAD, Scheduled Workflow). The number
alone is not enough: an accession number typed wrongly at the scanner must not bring another patient's order along.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from node.records import patients, timeline
from node.records.schema import Event, Order, Patient, Study
from node.records.states import StudyState

CANCELLED = frozenset({"CA", "DC", "OC", "OD", "CR", "DR", "RP", "RQ", "RU"})
"""ORC-1 (table 0119) of orders that are not to be done: cancelled, discontinued, or replaced by another order."""

ACCESSION_MAX = 64
"""Longest accession number that is taken; DICOM has 16 (SH), some RIS more."""

_NEWEST = (Order.stated_at.desc().nulls_last(), Order.updated_at.desc(), Order.id.desc())
"""Newest first, by what the sender says of the time: messages may come in another order than they were sent in."""

RANK = {"STAT": 0, "ASAP": 1, "ROUTINE": 2}
"""Priorities, most urgent first."""


def match_study(session: Session, study: Study) -> Order | None:
    """Find the order of a study, and take over its priority; an order that does not hold any more is let go.

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
    if study.order_fk is not None:
        study.order = None
        session.flush()
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
    return next(iter(meant(session, patient, placer, filler, accession)), None)


def meant(session: Session, patient: Patient, placer: str, filler: str, accession: str) -> Sequence[Order]:
    """Return the orders that these numbers mean, as :func:`find` does: by placer number first, each newest first.

    By placer and filler number there may be several, if one system knew the one number and another system the other.
    An accession number, which several procedures may share, is looked at only where they lead to none.
    """
    if not (placer or filler or accession):
        return []
    people = patients.same_person(session, patient)
    return among(with_numbers(session, people, [placer], [filler], accession), placer, filler, accession)


def with_numbers(
    session: Session, people: Sequence[int], placers: Iterable[str], fillers: Iterable[str], accession: str = ""
) -> Sequence[Order]:
    """Return the orders of some rows of patients that have any of these numbers in any namespace, newest first."""
    fits = [_has_number(Order.placer_number, number) for number in placers if number]
    fits += [_has_number(Order.filler_number, number) for number in fillers if number]
    if accession:
        fits.append(Order.accession_number == accession)
    if not fits:
        return []
    query = select(Order).where(Order.patient_fk.in_(people), or_(*fits)).order_by(*_NEWEST)
    return session.scalars(query).all()


def of_people(session: Session, people: Sequence[int]) -> Sequence[Order]:
    """Return all orders of some rows of patients, newest first."""
    return session.scalars(select(Order).where(Order.patient_fk.in_(people)).order_by(*_NEWEST)).all()


def _has_number(column: InstrumentedAttribute[str], number: str) -> ColumnElement[bool]:
    bare = number.partition("^")[0]
    return or_(column == bare, column.startswith(f"{bare}^", autoescape=True))


def among(known: Sequence[Order], placer: str, filler: str, accession: str) -> Sequence[Order]:
    """Return those of some orders that numbers mean; see :func:`meant`."""
    fitting = [
        order for order in known if not differ(order.placer_number, placer) and not differ(order.filler_number, filler)
    ]
    by_placer = [order for order in fitting if same_number(order.placer_number, placer)]
    by_filler = [order for order in fitting if same_number(order.filler_number, filler) and order not in by_placer]
    by_accession = [order for order in fitting if accession and order.accession_number == accession]
    return [*by_placer, *by_filler] or by_accession[:1]


def owned_by_another(session: Session, patient: Patient, order: Order) -> bool:
    """Whether an order with exactly the numbers of ``order`` is kept for another patient."""
    query = select(Order.id, Order.patient_fk).filter_by(
        placer_number=order.placer_number,
        filler_number=order.filler_number,
        accession_number=order.accession_number,
    )
    other = session.execute(query).first()
    if other is None or other.id == order.id:
        return False
    return other.patient_fk not in patients.same_person(session, patient)


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
    query = select(Order).where(or_(*fits)).order_by((Order.study_uid == study.uid).desc(), *_NEWEST)
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
