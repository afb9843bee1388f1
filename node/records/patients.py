"""Patients: who is who across DICOM and HL7.

An identifier means something only within its assigning authority (PID-3, CX.4; DICOM (0010,0021)). Where one side names
no authority, an equal identifier counts as the same person only if there is exactly one person it could be: two people
who share a number are never merged silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from node.records import timeline
from node.records.schema import Event, Patient, Study, now

Origin = Literal["dicom", "hl7"]
WIDTH = 250
"""Longest identifier or authority that is kept (the columns' width)."""


def find(session: Session, patient_id: str, issuer: str = "") -> Patient | None:
    """Return the one patient that this identifier means, or None if there is none or more than one."""
    exact = session.scalars(select(Patient).filter_by(patient_id=patient_id[:WIDTH], issuer=issuer[:WIDTH])).first()
    if exact is not None:
        return exact
    rows = _same_id(session, patient_id)
    if len(rows) == 1 and (not issuer or not rows[0].issuer):
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
    patient = Patient(patient_id=patient_id, issuer=issuer, name="", birth_date="", sex="")
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
) -> Patient:
    """Find or create a patient and take over the demographics.

    HL7 is the registration's word and replaces what is there; DICOM, typed at a scanner, only fills what is empty.
    Where the two disagree the timeline says which attribute, never its value.

    Parameters
    ----------
    name
        DICOM PN: ``family^given^middle^prefix^suffix``, component groups by ``=``.
    birth_date, sex
        ``YYYYMMDD``; ``M``, ``F``, ``O``.
    study, message
        What a disagreement is written beside.
    """
    patient = find_or_create(session, patient_id, issuer)
    given = {"name": name, "birth_date": birth_date[:8], "sex": sex[:1]}
    different = [key for key, value in given.items() if value and _differs(key, getattr(patient, key), value)]
    changes = {key: value for key, value in given.items() if value and _takes(getattr(patient, key), value, origin)}
    for key, value in changes.items():
        setattr(patient, key, value)
    if changes:
        patient.updated_at = now()
    if different:
        _say_conflict(session, patient, different, origin, study, message)
    session.flush()
    return patient


def same_person(session: Session, patient: Patient) -> Sequence[int]:
    """Return the row ids that mean the same person as ``patient``: its own, and one whose authority is not named.

    Rows of equal identifier join only if there are two of them and one has no authority; with three the unnamed one
    could be either, and joins neither.
    """
    rows = _same_id(session, patient.patient_id)
    if len(rows) == 2 and "" in {row.issuer for row in rows}:
        return sorted(row.id for row in rows)
    return [patient.id]


def _same_id(session: Session, patient_id: str) -> Sequence[Patient]:
    return session.scalars(select(Patient).where(Patient.patient_id == patient_id[:WIDTH])).all() if patient_id else []


def _takes(before: str, value: str, origin: Origin) -> bool:
    """Whether ``value`` replaces what is there; a name does not lose its ideographic group to the same name without."""
    if origin == "dicom":
        return not before
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


_WORDS = {"name": "name", "birth_date": "birth date", "sex": "sex"}


def _say_conflict(
    session: Session,
    patient: Patient,
    different: Sequence[str],
    origin: Origin,
    study: Study | int | None,
    message: int | None,
) -> None:
    words = ", ".join(_WORDS[key] for key in different)
    if origin == "dicom":
        text = f"The patient's {words} in DICOM differs from the record; the record is kept"
        _warn_once(session, text, study, message)
        return
    studies = session.scalars(select(Study.id).where(Study.patient_fk == patient.id)).all()
    for study_id in studies:
        _warn_once(session, f"The patient's {words} in HL7 differs from the study's; HL7 is kept", study_id, message)


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
