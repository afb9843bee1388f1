"""Visits (encounters) of patients: where they are, as what, since when.

Statements may come in any order: of each field the latest one holds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.records import patients
from node.records import stated as statements
from node.records.schema import Patient, Visit
from node.records.states import VisitState

NUMBER_WIDTH = 250
CLASS_WIDTH = 20
LOCATION_WIDTH = 250


@dataclass(frozen=True, slots=True)
class Stated:
    """What one message says of a visit.

    Parameters
    ----------
    number
        PV1-19, ``id^authority``.
    state
        None where the message does not say; while none did, it follows from the visit's times.
    admitted_at, discharged_at
        None where nothing is said.
    reopened
        Whether there is no discharge any more, as after ADT^A13.
    """

    number: str
    state: VisitState | None = None
    patient_class: str = ""
    location: str = ""
    admitted_at: dt.datetime | None = None
    discharged_at: dt.datetime | None = None
    reopened: bool = False


def store(
    session: Session, patient: Patient, source: str, said: Stated, *, stated_at: dt.datetime, message: int | None = None
) -> Visit | None:
    """Take over what a message says of a visit; None, and nothing, if the number is of a visit of somebody else.

    Parameters
    ----------
    source
        Sending application | facility, the space in which visit numbers are unique.
    """
    row = session.scalars(select(Visit).filter_by(source=source[:500], number=said.number[:NUMBER_WIDTH])).first()
    if row is None:
        row = Visit(source=source[:500], number=said.number[:NUMBER_WIDTH], state=VisitState.EXPECTED, stated={})
        row.patient_class, row.location, row.patient = "", "", patient
        session.add(row)
    elif row.patient_fk != patient.id and row.patient_fk not in patients.same_person(session, patient):
        return None
    given = _given(said)
    known = row.stated or {}
    holds = statements.latest(known, given, stated_at)
    for key in holds:
        setattr(row, key, given[key])
    row.stated = {**known, **dict.fromkeys(holds, statements.stamp(stated_at))}
    if "state" not in row.stated:
        row.state = _presumed(row)
    if row.stated_at is None or row.stated_at <= stated_at:
        row.stated_at, row.message_fk = stated_at, message
    session.flush()
    return row


def current(session: Session, patient: Patient) -> Visit | None:
    """Return the open visit of a person, the one that began last if there are several."""
    people = patients.same_person(session, patient)
    query = select(Visit).where(Visit.patient_fk.in_(people), Visit.state == VisitState.OPEN)
    began = (Visit.admitted_at.desc().nulls_last(), Visit.stated_at.desc().nulls_last(), Visit.id.desc())
    return session.scalars(query.order_by(*began).limit(1)).first()


def _presumed(row: Visit) -> VisitState:
    if row.discharged_at is not None:
        return VisitState.CLOSED
    return VisitState.OPEN if row.admitted_at is not None else VisitState.EXPECTED


def _given(said: Stated) -> Mapping[str, Any]:
    """Return the columns that a message sets."""
    given: dict[str, Any] = {
        "state": said.state,
        "patient_class": said.patient_class[:CLASS_WIDTH],
        "location": said.location[:LOCATION_WIDTH],
        "admitted_at": said.admitted_at,
        "discharged_at": said.discharged_at,
    }
    given = {key: value for key, value in given.items() if value}
    return {**given, "discharged_at": None} if said.reopened else given
