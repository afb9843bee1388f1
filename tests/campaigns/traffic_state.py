"""What a node knows in the end, without ids of rows and times of its own, to be compared with what another knows."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.records import identity, patients
from node.records.engine import Records
from node.records.schema import Job, Message, Note, Observation, Order, Patient, Result, Study, Visit
from node.records.states import JobState, MessageState, NoteState
from tests.campaigns.traffic_reports import oru_lines, sr_lines

FACT = [
    "kind",
    "code_value",
    "code_scheme",
    "surface",
    "start",
    "end",
    "section",
    "negated",
    "uncertain",
    "historical",
    "hypothetical",
    "experiencer",
    "number",
    "upper",
    "unit",
    "comparator",
    "when",
    "side",
]
READERS = {"sr": sr_lines, "oru": oru_lines, "alert": oru_lines}
ABSENT = "(not there)"


def state(records: Records, root: Path) -> dict[str, Any]:
    """Return all that is known, as plain values by names that the hospital gave."""
    with records.read() as session:
        people = _people(session)
        return {
            "messages": _messages(session),
            "persons": dict(_persons(session, people)),
            "visits": dict(_visits(session, people)),
            "observations": dict(_observations(session, people)),
            "orders": dict(_orders(session, people)),
            "notes": dict(_notes(session, people)),
            "studies": dict(_studies(session, people, root)),
        }


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Give a line for each place in which two states differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other}, key=str):
            yield from differences(one.get(key, ABSENT), other.get(key, ABSENT), f"{path}/{key}")
    elif isinstance(one, list) and isinstance(other, list):
        left, right = Counter(map(str, one)), Counter(map(str, other))
        if left == right and one != other:
            yield f"{path}: the same in another order"
        yield from (f"{path}: only in the ordered run: {text}" for text in (left - right).elements())
        yield from (f"{path}: only in the disturbed run: {text}" for text in (right - left).elements())
    elif one != other:
        yield f"{path}: ordered {one!r}, disturbed {other!r}"


def _people(session: Session) -> dict[int, str]:
    """Name the person of each patient's row by all identifiers of that person."""
    rows = session.scalars(select(Patient)).all()
    names = {row.id: f"{row.patient_id}^{row.issuer}" for row in rows}
    return {row.id: "+".join(sorted(names[one] for one in patients.same_person(session, row))) for row in rows}


def _persons(session: Session, people: Mapping[int, str]) -> Iterator[tuple[str, Any]]:
    rows: dict[str, list[Patient]] = defaultdict(list)
    for row in session.scalars(select(Patient)):
        rows[people[row.id]].append(row)
    for person, found in rows.items():
        one = patients.survivor(session, found[0])
        yield (
            person,
            {
                "survivor": f"{one.patient_id}^{one.issuer}",
                "rows": {row.patient_id: [row.name, row.birth_date, row.sex, _time(row.stated_at)] for row in found},
            },
        )


def _messages(session: Session) -> dict[str, Any]:
    rows = session.scalars(select(Message)).all()
    return {
        "received": len(rows),
        "states": dict(Counter(row.state.value for row in rows)),
        "failed": sorted(f"{row.control_id}: {row.reason}" for row in rows if row.state is MessageState.FAILED),
    }


def _visits(session: Session, people: Mapping[int, str]) -> Iterator[tuple[str, Any]]:
    for row in session.scalars(select(Visit)):
        yield (
            f"{row.source} {row.number}",
            {
                "person": people[row.patient_fk],
                "class": row.patient_class,
                "location": row.location,
                "state": row.state.value,
                "admitted": _time(row.admitted_at),
                "discharged": _time(row.discharged_at),
                "stated": _time(row.stated_at),
            },
        )


def _observations(session: Session, people: Mapping[int, str]) -> Iterator[tuple[str, Any]]:
    for row in session.scalars(select(Observation)):
        place = (people[row.patient_fk], row.source, row.filler_number, row.code, row.sub_id, _time(row.observed_at))
        key = " ".join(place)
        value = [row.scheme, row.name, row.value, row.number, row.unit, row.reference_range, row.flag, row.status]
        yield key, str([*value, _time(row.stated_at)])


def _orders(session: Session, people: Mapping[int, str]) -> Iterator[tuple[str, Any]]:
    for row in session.scalars(select(Order)):
        yield (
            f"{row.placer_number} {row.filler_number} {row.accession_number}",
            {
                "person": people[row.patient_fk],
                "status": row.status,
                "priority": row.priority,
                "reason": row.reason,
                "procedure": [row.procedure_code, row.procedure_scheme, row.procedure_text],
                "context": str(sorted(row.context.items())),
                "stated": _time(row.stated_at),
            },
        )


def _notes(session: Session, people: Mapping[int, str]) -> Iterator[tuple[str, Any]]:
    for row in session.scalars(select(Note)):
        in_use = row.state is not NoteState.WITHDRAWN  # else it hangs on the way whether it was read before
        yield (
            f"{row.source} {row.document_number}",
            {
                "person": people[row.patient_fk],
                "state": row.state.value,
                "text": hashlib.sha256(row.text.encode()).hexdigest()[:16],
                "accession": row.accession_number,
                "author": row.author,
                "written": _time(row.written_at),
                "stated": _time(row.stated_at),
                "engine": row.engine if in_use else None,
                "facts": [str([getattr(fact, name) for name in FACT]) for fact in row.facts] if in_use else None,
            },
        )


def _studies(session: Session, people: Mapping[int, str], root: Path) -> Iterator[tuple[str, Any]]:
    for row in session.scalars(select(Study)):
        doubt = identity.of_study(session, row)
        jobs = [job for job in row.jobs if job.state is not JobState.SUPERSEDED]
        yield (
            row.uid,
            {
                "person": people[row.patient_fk],
                "state": row.state.value,
                "accession": row.accession_number,
                "order": row.order.accession_number if row.order is not None else "",
                "priority": row.priority,
                "triage": row.triage,
                "identity": None if doubt is None else [sorted(doubt.attributes), doubt.resolution],
                "jobs": {job.series.uid: _job(session, job, root, row.uid) for job in jobs},
            },
        )


def _job(session: Session, job: Job, root: Path, study_uid: str) -> dict[str, Any]:
    reports = {}
    for kind, reader in READERS.items():
        query = select(Result).where(Result.job_fk == job.id, Result.kind == kind).order_by(Result.id.desc())
        newest = session.scalars(query).first()
        reports[kind] = reader((root / newest.path).read_bytes(), study_uid) if newest is not None else []
    return {
        "model": job.model,
        "state": job.state.value,
        "reason": job.reason if job.state is not JobState.DONE else "",
        "findings": [str(finding) for finding in job.findings],
        "assessment": job.assessment,
        "last": reports,
    }


def _time(at: dt.datetime | None) -> str:
    return at.isoformat() if at is not None else ""
