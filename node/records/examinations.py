"""Which examination a note is about, where it names an order or a study that may come after it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import String, cast, or_, select
from sqlalchemy.orm import Session

from node.records import jobs, orders, patients
from node.records.schema import Note, Order, Patient, Study


@dataclass(frozen=True, slots=True)
class _Known:
    """Orders that have an accession number, by placer and filler number without namespace, newest first; and studies.

    ``studies`` are accession number and UID, eldest first.
    """

    placers: Mapping[str, Sequence[Order]]
    fillers: Mapping[str, Sequence[Order]]
    studies: Sequence[tuple[str, str]]

    def lead(self, about: Iterable[Sequence[str]]) -> str:
        """Return the accession number that the numbers of a note lead to, "" if none."""
        found = [(kind, number) for kind, number in about if number]
        numbers = [(kind, number) for kind, number in found if kind != "study"]
        for kind, number in numbers:
            placer, filler = (number, "") if kind == "placer" else ("", number)
            fitting = (self.placers if placer else self.fillers).get(_bare(number), ())
            if order := next(iter(orders.among(fitting, placer, filler, "")), None):
                return order.accession_number
        bare = {_bare(number) for _, number in numbers}
        uids = {number for kind, number in found if kind == "study"}
        return next((accession for accession, uid in self.studies if accession in bare or uid in uids), "")


def of_note(session: Session, note: Note) -> str:
    """Return the accession number of the examination that a note is about, "" where it is about none that is known."""
    return note.accession_number or (meant(session, note.patient, note.about) if note.about else "")


def of_notes(session: Session, patient: Patient, notes: Sequence[Note]) -> list[str]:
    """Return for each of a person's notes what :func:`of_note` does, with two look-ups for all of them."""
    if not any(note.about and not note.accession_number for note in notes):
        return [note.accession_number for note in notes]
    known = _of_person(session, patients.same_person(session, patient))
    return [note.accession_number or known.lead(note.about) for note in notes]


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
    bare = {_bare(number) for _, number in numbers}
    uids = {number for kind, number in found if kind == "study"}
    query = select(Study.accession_number, Study.uid).where(
        Study.patient_fk.in_(people),
        Study.accession_number != "",
        or_(Study.accession_number.in_(bare), Study.uid.in_(uids)),
    )
    studies = [(accession, uid) for accession, uid in session.execute(query.order_by(Study.id))]
    return _known(orders.with_numbers(session, people, placers, fillers), studies).lead(found)


def settle(session: Session, patient: Patient) -> int:
    """Write down the examinations of a person's notes that are known since an order or a study came.

    Reports of the person's studies are looked at again: the note was about all of them before. Returns how many notes
    found theirs.
    """
    people = patients.same_person(session, patient)
    query = select(Note).where(
        Note.patient_fk.in_(people), Note.accession_number == "", cast(Note.about, String) != "[]"
    )
    waiting = session.scalars(query.order_by(Note.id)).all()
    count = 0
    for note, accession in zip(waiting, of_notes(session, patient, waiting), strict=True):
        if accession:
            note.accession_number = accession[:64]
            count += 1
    if count:
        session.flush()
        studies = session.scalars(select(Study).where(Study.patient_fk.in_(people)).order_by(Study.id)).all()
        jobs.rebuild(session, studies, "a note was found to be about one examination")
    return count


def _of_person(session: Session, people: Sequence[int]) -> _Known:
    images = select(Study.accession_number, Study.uid).where(Study.patient_fk.in_(people), Study.accession_number != "")
    studies = [(accession, uid) for accession, uid in session.execute(images.order_by(Study.id))]
    return _known(orders.of_people(session, people), studies)


def _known(rows: Iterable[Order], studies: Sequence[tuple[str, str]]) -> _Known:
    placers: defaultdict[str, list[Order]] = defaultdict(list)
    fillers: defaultdict[str, list[Order]] = defaultdict(list)
    for order in rows:
        if order.accession_number:
            placers[_bare(order.placer_number)].append(order)
            fillers[_bare(order.filler_number)].append(order)
    return _Known(placers, fillers, studies)


def _bare(number: str) -> str:
    """Return an entity identifier without its namespace."""
    return number.partition("^")[0]
