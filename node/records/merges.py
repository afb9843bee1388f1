"""Merges of patients: who survives follows from all that was stated, whatever order it came in.

A merge says that a patient (MRG-1) is now known as another (PID-3). The statements about a group of patients are gone
through in the order in which they were stated: each puts the prior one's group under the survivor's, and one in the
other direction makes the former prior the survivor again. So there are no cycles, and the same statements give the same
groups and survivors.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from node.records import identity, jobs, orders, patients, timeline
from node.records.schema import Merge, Patient, Study

REASON = "two patients were merged"


def merge(
    session: Session, survivor: Patient, prior: Patient, *, stated_at: dt.datetime, message: int | None = None
) -> bool:
    """Take over that one patient was merged into another; returns whether that changes who survives.

    The studies of the person are matched with orders again, their reports looked at again, and have a timeline line.
    """
    if survivor.id == prior.id:
        return False
    statement = session.scalars(select(Merge).filter_by(prior_fk=prior.id, survivor_fk=survivor.id)).first()
    if statement is None:
        session.add(Merge(prior_fk=prior.id, survivor_fk=survivor.id, stated_at=stated_at, message_fk=message))
    elif statement.stated_at < stated_at:
        statement.stated_at, statement.message_fk = stated_at, message
    session.flush()
    changed = _settle(session, survivor.id)
    if changed:
        _look_again(session, survivor, message)
    return changed


def roots(statements: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return who survives of each patient that statements (prior, survivor) name, in the order of the statements."""
    root: dict[int, int] = {}
    for prior, survivor in statements:
        for one in (prior, survivor):
            root.setdefault(one, one)
        under, over = root[prior], root[survivor]
        if under != over:
            root |= {one: over for one, top in root.items() if top == under}
        elif under == prior:  # the one that survived until now
            root |= {one: survivor for one, top in root.items() if top == under}
    return root


def _settle(session: Session, patient_fk: int) -> bool:
    statements = _statements(session, patient_fk)
    top = roots((row.prior_fk, row.survivor_fk) for row in statements)
    changed = False
    for row in session.scalars(select(Patient).where(Patient.id.in_(top))):
        survivor_fk = top[row.id] if top[row.id] != row.id else None
        changed |= row.survivor_fk != survivor_fk
        row.survivor_fk = survivor_fk
    session.flush()
    return changed


def _statements(session: Session, patient_fk: int) -> Sequence[Merge]:
    """Return all merges of a patient and of those that they lead to, in the order in which they were stated."""
    found: dict[int, Merge] = {}
    seen, ids = {patient_fk}, {patient_fk}
    while ids:
        rows = session.scalars(select(Merge).where(or_(Merge.prior_fk.in_(ids), Merge.survivor_fk.in_(ids)))).all()
        found |= {row.id: row for row in rows}
        ids = {one for row in rows for one in (row.prior_fk, row.survivor_fk)} - seen
        seen |= ids
    return sorted(found.values(), key=lambda row: (row.stated_at, row.message_fk or 0, row.id))


def _look_again(session: Session, patient: Patient, message: int | None) -> None:
    people = patients.same_person(session, patient)
    studies = session.scalars(select(Study).where(Study.patient_fk.in_(people)).order_by(Study.id)).all()
    for study in studies:
        text = "Patients were merged: what is known of the person under other identifiers counts for the study, too"
        timeline.add(session, "patient.merged", text, study=study, message=message)
        orders.match_study(session, study)
    identity.review(session, patient, message)
    jobs.rebuild(session, studies, REASON)
