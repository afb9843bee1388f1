"""Patients: who is who across DICOM and HL7.

An identifier means something only within its assigning authority (PID-3, CX.4; DICOM (0010,0021)). Where one side names
no authority, an equal identifier counts as the same person only if there is exactly one person it could be: two people
who share a number are never merged silently. Two rows of different authorities, or of different numbers, are one person
only if a registration says so (:mod:`node.records.merges`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from sqlalchemy import bindparam, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from node.records import stated as statements
from node.records import timeline
from node.records.schema import Event, IdentityConflict, Patient, Study, now

Origin = Literal["dicom", "hl7"]
WIDTH = 250
"""Longest identifier or authority that is kept (the columns' width)."""
WORDS: Mapping[str, str] = {"name": "name", "birth_date": "birth date", "sex": "sex"}
"""Demographics that are compared: attribute of the row, and what people call it."""


def find(session: Session, patient_id: str, issuer: str = "") -> Patient | None:
    """Return the one patient that this identifier means, or None if there is none or more than one."""
    rows = _same_id(session, patient_id) or _exact(session, patient_id, issuer)
    exact = next((row for row in rows if row.issuer == issuer[:WIDTH]), None)
    if exact is not None:
        return exact
    if patient_id and len(rows) == 1 and (not issuer or not rows[0].issuer):
        return rows[0]
    return None


def find_or_create(session: Session, patient_id: str, issuer: str = "") -> Patient:
    """Return the patient that this identifier means, new if need be; an authority that was unknown is filled in."""
    patient_id, issuer = patient_id[:WIDTH], issuer[:WIDTH]
    patient = find(session, patient_id, issuer)
    if patient is not None:
        if issuer and not patient.issuer:
            patient.issuer = issuer
            session.flush()
        return patient
    patient = Patient(patient_id=patient_id, issuer=issuer, name="", birth_date="", sex="", stated={})
    try:
        with session.begin_nested():
            session.add(patient)
    except IntegrityError:  # another process was faster
        return session.scalars(select(Patient).filter_by(patient_id=patient_id, issuer=issuer)).one()
    return patient


def upsert(
    session: Session,
    *,
    patient_id: str,
    issuer: str = "",
    name: str = "",
    birth_date: str = "",
    sex: str = "",
    origin: Origin,
    study: Study | int | None = None,
    message: int | None = None,
    stated_at: dt.datetime | None = None,
) -> Patient:
    """Find or create a patient and take over the demographics; see :func:`state`."""
    patient = find_or_create(session, patient_id, issuer)
    given = {"name": name, "birth_date": birth_date, "sex": sex}
    state(session, patient, given, origin=origin, study=study, message=message, stated_at=stated_at)
    return patient


def state(
    session: Session,
    patient: Patient,
    given: Mapping[str, str],
    *,
    origin: Origin,
    study: Study | int | None = None,
    message: int | None = None,
    stated_at: dt.datetime | None = None,
    registered: bool = True,
) -> bool:
    """Take over demographics; returns whether what HL7 says of the patient is another thing than before.

    HL7 replaces what is there, unless that was stated later; DICOM, typed at a scanner, only fills what is empty. Where
    the two disagree the timeline says which attribute, never its value.

    Parameters
    ----------
    given
        ``name``: DICOM PN, ``family^given^middle^prefix^suffix``, component groups by ``=``; ``birth_date``:
        ``YYYYMMDD``; ``sex``: ``M``, ``F``, ``O``. "" where nothing is said.
    study, message
        What a disagreement is written beside.
    stated_at
        When HL7 stated it; None: now.
    registered
        Whether HL7 is the registration's word here. An order or a result repeats what its system was told of the
        patient at some time: it replaces nothing that a registration said.
    """
    said = {key: value[:width] for key, width in _WIDTHS.items() if (value := given.get(key, ""))}
    different = [key for key, value in said.items() if _differs(key, getattr(patient, key), value)]
    if origin == "dicom":
        changes = {key: value for key, value in said.items() if not getattr(patient, key)}
        changed = False
    else:
        changes, changed = _by_hl7(session, patient, said, different, stated_at or now(), message, registered)
        different = [key for key in different if key in changes]
    for key, value in changes.items():
        setattr(patient, key, value)
    if changes:
        patient.updated_at = now()
    if different:
        _say_conflict(session, patient, different, origin, study, message)
    session.flush()
    return changed


_WIDTHS: Mapping[str, int] = {"name": 10_000, "birth_date": 8, "sex": 1}


def _by_hl7(
    session: Session,
    patient: Patient,
    said: Mapping[str, str],
    different: Sequence[str],
    at: dt.datetime,
    message: int | None,
    registered: bool,
) -> tuple[dict[str, str], bool]:
    """Return what a statement of HL7 changes, and whether HL7 says something else now; remember when it was said."""
    known = patient.stated or {}
    holds = statements.latest(known, said, at, registered=registered)
    changes = {key: said[key] for key in holds if _replaces(getattr(patient, key), said[key])}
    if "name" in said and "name" not in holds and said["name"].split("=")[0] == patient.name:
        changes["name"] = said["name"]  # the same name, and its ideographic group beside it
    changed = bool(changes) or any(key not in known for key in holds)
    if holds:
        patient.stated = {**known, **dict.fromkeys(holds, statements.stamp(at, registered=registered))}
        patient.stated_at = max(map(statements.time_of, patient.stated.values()))
    kept = [key for key in different if key not in holds]
    if kept and not registered and any(str(known[key]).startswith(statements.REGISTERED) for key in kept):
        text = f"A message that registers nobody states another {_words(kept)}; the registration's is kept"
        timeline.add(session, "patient.older", text, message=message, level="warning")
    elif kept:
        text = f"An older message states another {_words(kept)}; what was stated later is kept"
        timeline.add(session, "patient.older", text, message=message)
    return changes, changed


def _words(keys: Iterable[str]) -> str:
    return ", ".join(WORDS[key] for key in keys)


def same_person(session: Session, patient: Patient) -> Sequence[int]:
    """Return the row ids that mean the same person as ``patient``, its own among them.

    These are the rows that were merged with it, over any number of steps, and one whose authority is not named: rows of
    equal identifier join only if there are two of them and one has no authority; with three the unnamed one could be
    either, and joins neither.
    """
    first = session.execute(_AROUND_ONE, {"one": patient.id, "number": patient.patient_id or None})
    rows = {row[0]: _Known(*row) for row in first}
    members = _joined({patient.id}, rows)
    asked, named = {patient.id}, {"", patient.patient_id}
    while True:
        ids = members - asked
        numbers = {rows[one].patient_id for one in members & rows.keys()} - named
        if not ids and not numbers:
            return sorted(members)
        fits = or_(Patient.id.in_(ids), Patient.survivor_fk.in_(ids), Patient.patient_id.in_(numbers))
        rows |= {row[0]: _Known(*row) for row in session.execute(_KNOWN.where(fits))}
        asked, named = asked | ids, named | numbers
        members = _joined(members, rows)


class _Known(NamedTuple):
    """What of a patient says whose it is."""

    id: int
    patient_id: str
    issuer: str
    survivor_fk: int | None


_KNOWN = select(Patient.id, Patient.patient_id, Patient.issuer, Patient.survivor_fk)
_AROUND_ONE = _KNOWN.where(
    or_(
        Patient.id == bindparam("one"),
        Patient.survivor_fk == bindparam("one"),
        Patient.patient_id == bindparam("number"),  # NULL, which nothing equals, where there is none
    )
)
_BY_NUMBER = select(Patient).where(Patient.patient_id == bindparam("number"))


def _joined(members: set[int], rows: Mapping[int, _Known]) -> set[int]:
    """Return the members and all that are one step away from one of them."""
    found = set(members)
    for row in rows.values():
        if row.survivor_fk is not None and (row.id in members or row.survivor_fk in members):
            found |= {row.id, row.survivor_fk}
    for one in members & rows.keys():
        alike = [row for row in rows.values() if row.patient_id and row.patient_id == rows[one].patient_id]
        if len(alike) == 2 and "" in {row.issuer for row in alike}:
            found |= {row.id for row in alike}
    return found


def survivor(session: Session, patient: Patient) -> Patient:
    """Return the patient as whom this one is known after all merges: itself, if there were none."""
    if patient.survivor_fk is not None:
        return session.get_one(Patient, patient.survivor_fk)
    rows = session.scalars(select(Patient).where(Patient.id.in_(same_person(session, patient))).order_by(Patient.id))
    others = list(rows)
    if any(row.survivor_fk == patient.id for row in others):
        return patient
    merged = next((row.survivor_fk for row in others if row.survivor_fk is not None), patient.id)
    return session.get_one(Patient, merged)


def _same_id(session: Session, patient_id: str) -> Sequence[Patient]:
    return session.scalars(_BY_NUMBER, {"number": patient_id[:WIDTH]}).all() if patient_id else []


def _exact(session: Session, patient_id: str, issuer: str) -> Sequence[Patient]:
    """Return the patient without a number whose issuer stands for one study."""
    if patient_id:
        return []
    return session.scalars(select(Patient).filter_by(patient_id="", issuer=issuer[:WIDTH])).all()


def _replaces(before: str, value: str) -> bool:
    """Whether ``value`` replaces what is there; a name does not lose its ideographic group to the same name without."""
    return before != value and before.split("=")[0] != value


def _differs(key: str, before: str, after: str) -> bool:
    if not before:
        return False
    if key != "name":
        return before != after
    keys = _name_key(before), _name_key(after)
    return keys[0] != keys[1] and all(any(key) for key in keys)


def _name_key(name: str) -> tuple[str, ...]:
    """Family and given name of the first component group, as far as spelling habits do not matter."""
    parts = [part.strip().casefold() for part in name.split("=")[0].split("^")]
    return tuple([*parts, "", ""][:2])


def _say_conflict(
    session: Session,
    patient: Patient,
    different: Sequence[str],
    origin: Origin,
    study: Study | int | None,
    message: int | None,
) -> None:
    if origin == "dicom":
        text = f"The patient's {_words(different)} in DICOM differs from the record; the record is kept"
        _warn_once(session, text, study, message)
        return
    images = select(Study.id, IdentityConflict.dicom).outerjoin(IdentityConflict, IdentityConflict.study_fk == Study.id)
    for study_id, seen in session.execute(images.where(Study.patient_fk == patient.id)):
        keys = [key for key in different if seen is None or _differs(key, seen.get(key, ""), getattr(patient, key))]
        if keys:
            text = f"The patient's {_words(keys)} in HL7 differs from the study's; HL7 is kept"
            _warn_once(session, text, study_id, message)


def _warn_once(session: Session, text: str, study: Study | int | None, message: int | None) -> None:
    """Write the line unless the study has it already: each of a study's instances brings the same disagreement."""
    study_id = study.id if isinstance(study, Study) else study
    if study_id is not None and session.scalar(
        select(Event.id)
        .where(Event.study_fk == study_id, Event.kind == "patient.conflict", Event.text == text)
        .limit(1)
    ):
        return
    timeline.add(session, "patient.conflict", text, study=study_id, message=message, level="warning")
