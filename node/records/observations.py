"""Lab values and other coded observations.

A value is one observation of one patient: source, filler number, code, sub-id, time. What was stated last of it holds,
whatever came last.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from node.records import patients
from node.records.schema import Observation, Patient, now

WITHDRAWN = frozenset({"D", "W", "X"})
"""OBX-11 (table 0085): to be deleted; posted wrongly, as under another patient; no result can be had."""
PRELIMINARY = frozenset({"P", "R", "S", "I"})
"""OBX-11: preliminary, not verified, partial, pending."""
FINAL_WITHOUT_VALUE = "U"
"""OBX-11: final without being sent again; the value is that of the preliminary result."""
CHUNK = 400
"""Most filler numbers of one look-up: SQLite takes a limited number of parameters in a statement."""

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


Key = tuple[str, str, str, str, dt.datetime | None]
"""Source, filler number, code, sub-id and time of an observation."""


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

    @property
    def key(self) -> Key:
        """What makes it one observation of its patient."""
        return (self.source, self.filler_number, self.code, self.sub_id, self.observed_at)


_NAMES = tuple(field.name for field in fields(ObservedValue))


@dataclass(frozen=True, slots=True)
class Stored:
    """How many values of a message were new or different, and how many were known from a newer one."""

    changed: int
    older: int


def store(session: Session, patient: Patient, observed: ObservedValue, message: int | None = None) -> Observation:
    """Keep one value that is stated now; the same observation of the patient takes the new one."""
    store_all(session, patient, [observed], now(), message)
    people = patients.same_person(session, patient)
    return _known(session, people, [_fitting(observed)])[_fitting(observed).key]


def store_all(
    session: Session,
    patient: Patient,
    values: Iterable[ObservedValue],
    at: dt.datetime,
    message: int | None = None,
    *,
    people: Sequence[int] = (),
) -> Stored:
    """Keep the values of a message, with one look-up for all of them.

    Parameters
    ----------
    at
        When they were stated: what was stated later stays.
    people
        The rows of the person (:func:`~node.records.patients.same_person`), if they are known.
    """
    fitting = {value.key: value for value in map(_fitting, values)}
    if not fitting:
        return Stored(0, 0)
    known = _known(session, people or patients.same_person(session, patient), list(fitting.values()))
    rows: list[dict[str, Any]] = []
    changed = older = 0
    for key, value in fitting.items():
        row = known.get(key)
        if row is None:
            if not _is_status_only(value):
                rows.append(_columns(value) | {"patient_fk": patient.id, "message_fk": message, "stated_at": at})
        elif row.stated_at is not None and at < row.stated_at:
            older += 1
        else:
            changed += _update(row, value, at, message)
    if rows:
        session.execute(insert(Observation), rows)
    session.flush()
    return Stored(changed + len(rows), older)


def _known(session: Session, people: Sequence[int], values: Sequence[ObservedValue]) -> dict[Key, Observation]:
    """Return the rows of a person that values may already have, by their key."""
    fillers = sorted({value.filler_number for value in values})
    codes = sorted({value.code for value in values})
    sources = sorted({value.source for value in values})
    found: dict[Key, Observation] = {}
    for start in range(0, len(fillers), CHUNK):
        query = select(Observation).where(
            Observation.patient_fk.in_(people),
            Observation.source.in_(sources),
            Observation.filler_number.in_(fillers[start : start + CHUNK]),
        )
        if len(codes) <= CHUNK:
            query = query.where(Observation.code.in_(codes))
        for row in session.scalars(query.order_by(Observation.id.desc())):
            found[(row.source, row.filler_number, row.code, row.sub_id, row.observed_at)] = row
    return found


def _update(row: Observation, value: ObservedValue, at: dt.datetime, message: int | None) -> bool:
    columns = {"status": value.status} if _is_status_only(value) else _columns(value)
    different = {key: new for key, new in columns.items() if getattr(row, key) != new}
    for key, new in different.items():
        setattr(row, key, new)
    row.stated_at, row.message_fk = at, message
    return bool(different)


def _is_status_only(value: ObservedValue) -> bool:
    return value.status == FINAL_WITHOUT_VALUE and not value.value


def _fitting(value: ObservedValue) -> ObservedValue:
    """Return a value whose texts are cut to their columns."""
    if all(len(getattr(value, key)) <= width for key, width in _WIDTHS.items()):
        return value
    return replace(value, **{key: getattr(value, key)[:width] for key, width in _WIDTHS.items()})


def _columns(value: ObservedValue) -> dict[str, Any]:
    return {name: getattr(value, name) for name in _NAMES}


def for_patient(session: Session, patient: Patient) -> Sequence[Observation]:
    """Return all values of a person, oldest first; those without a time come first."""
    people = patients.same_person(session, patient)
    rows = session.scalars(select(Observation).where(Observation.patient_fk.in_(people))).all()
    return sorted(rows, key=_age)


def in_use(session: Session, patient: Patient) -> Sequence[Observation]:
    """Return a person's values that count, oldest first.

    Not withdrawn ones (OBX-11 D, W, X), nor preliminary ones of which a later statement, under another time of the
    observation, gives the final value.
    """
    rows = for_patient(session, patient)
    final: Mapping[tuple[str, ...], list[Observation]] = defaultdict(list)
    for row in rows:
        if row.filler_number and row.status not in PRELIMINARY:
            final[_series(row)].append(row)
    return [row for row in rows if row.status not in WITHDRAWN and not _superseded(row, final.get(_series(row), ()))]


def latest(session: Session, patient: Patient) -> dict[str, Observation]:
    """Return a person's newest value of each code, of those that are in use."""
    return {row.code: row for row in in_use(session, patient)}


def _series(row: Observation) -> tuple[str, ...]:
    """Return what a preliminary and its final result have in common, whatever time each states."""
    return (row.source, row.filler_number, row.code, row.sub_id)


def _superseded(row: Observation, final: Iterable[Observation]) -> bool:
    if row.status not in PRELIMINARY or row.stated_at is None:
        return False
    return any(other.stated_at is not None and other.stated_at > row.stated_at for other in final)


def _age(row: Observation) -> tuple[dt.datetime, int]:
    return row.observed_at or dt.datetime.min.replace(tzinfo=dt.UTC), row.id
