"""Which examination a note is about, where it names an order or a study that may come after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import String, cast, or_, select
from sqlalchemy.orm import Session

from node.records import jobs, orders, patients
from node.records.schema import Note, Patient, Study


def of_note(session: Session, note: Note) -> str:
    """Return the accession number of the examination that a note is about, "" where it is about none that is known."""
    return note.accession_number or (meant(session, note.patient, note.about) if note.about else "")


def meant(session: Session, patient: Patient, about: Iterable[Sequence[str]]) -> str:
    """Return the accession number of the examination that order numbers and study UIDs mean, "" if none is known.

    They count only if they lead to a study or an order of the patient: a laboratory's filler number taken for an
    accession number would hide a document from every study.
    """
    found = [(kind, number) for kind, number in about if number]
    if not found:
        return ""
    people = patients.same_person(session, patient)
    numbers = [(kind, number) for kind, number in found if kind != "study"]
    placers, fillers = ([number for kind, number in numbers if kind == wanted] for wanted in ("placer", "filler"))
    known = orders.with_numbers(session, people, placers, fillers)
    for kind, number in numbers:
        placer, filler = (number, "") if kind == "placer" else ("", number)
        for order in orders.among(known, placer, filler, ""):
            if order.accession_number:
                return order.accession_number
    bare = {number.partition("^")[0] for _, number in numbers}
    uids = {number for kind, number in found if kind == "study"}
    query = select(Study.accession_number).where(
        Study.patient_fk.in_(people),
        Study.accession_number != "",
        or_(Study.accession_number.in_(bare), Study.uid.in_(uids)),
    )
    return session.scalars(query.order_by(Study.id).limit(1)).first() or ""


def settle(session: Session, patient: Patient) -> int:
    """Write down the examinations of a person's notes that are known since an order or a study came.

    Reports of the person's studies are looked at again: the note was about all of them before. Returns how many notes
    found theirs.
    """
    people = patients.same_person(session, patient)
    query = select(Note).where(
        Note.patient_fk.in_(people), Note.accession_number == "", cast(Note.about, String) != "[]"
    )
    count = 0
    for note in session.scalars(query.order_by(Note.id)).all():
        if accession := meant(session, patient, note.about):
            note.accession_number = accession[:64]
            count += 1
    if count:
        session.flush()
        studies = session.scalars(select(Study).where(Study.patient_fk.in_(people)).order_by(Study.id)).all()
        jobs.rebuild(session, studies, "a note was found to be about one examination")
    return count
