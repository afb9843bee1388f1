"""Lab values and other coded observations."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.records import patients
from node.records.schema import Observation, Patient

_WIDTHS = {
    "source": 500,
    "filler_number": 250,
    "code": 250,
    "scheme": 64,
    "sub_id": 64,
    "unit": 64,
    "reference_range": 250,
    "flag": 20,
    "status": 5,
}


@dataclass(frozen=True, slots=True)
class ObservedValue:
    """One value as a laboratory reported it; fields as the columns of :class:`~node.records.schema.Observation`."""

    source: str
    filler_number: str
    code: str
    sub_id: str = ""
    observed_at: dt.datetime | None = None
    scheme: str = ""
    name: str = ""
    value: str = ""
    number: float | None = None
    unit: str = ""
    reference_range: str = ""
    flag: str = ""
    status: str = ""


def store(session: Session, patient: Patient, observed: ObservedValue, message: int | None = None) -> Observation:
    """Keep a value; the same observation of the patient (source, filler, code, sub-id, time) takes the new one."""
    values = {key: value[: _WIDTHS[key]] if key in _WIDTHS else value for key, value in asdict(observed).items()}
    query = select(Observation).where(
        Observation.patient_fk == patient.id,
        Observation.source == values["source"],
        Observation.filler_number == values["filler_number"],
        Observation.code == values["code"],
        Observation.sub_id == values["sub_id"],
        Observation.observed_at.is_(None)
        if observed.observed_at is None
        else Observation.observed_at == observed.observed_at,
    )
    row = session.scalars(query.order_by(Observation.id)).first()
    if row is None:
        row = Observation(patient_fk=patient.id)
        session.add(row)
    for key, value in values.items():
        setattr(row, key, value)
    row.message_fk = message
    session.flush()
    return row


def for_patient(session: Session, patient: Patient) -> Sequence[Observation]:
    """Return all values of a person, oldest first; those without a time come first."""
    people = patients.same_person(session, patient)
    rows = session.scalars(select(Observation).where(Observation.patient_fk.in_(people))).all()
    return sorted(rows, key=_age)


def latest(session: Session, patient: Patient) -> dict[str, Observation]:
    """Return a person's newest value of each code; values that were withdrawn (OBX-11 D, W, X) do not count."""
    return {row.code: row for row in for_patient(session, patient) if row.status not in ("D", "W", "X")}


def _age(row: Observation) -> tuple[dt.datetime, int]:
    return row.observed_at or dt.datetime.min.replace(tzinfo=dt.UTC), row.id
