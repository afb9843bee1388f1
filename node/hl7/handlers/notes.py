"""Documents: MDM^T01 to T11 (HL7 v2.5.1 section 9.6, segment TXA in 9.7.1).

The events with even numbers bring the content, those before them only say that something happened. What counts is what
the message holds: its text, which document it replaces (T09, T10), and whether the document is available (T11, TXA-19).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from node.errors import Hl7InputError
from node.hl7 import fields
from node.hl7.handlers.common import STUDY_UID, Incoming, Person, enter, person, study_uids
from node.hl7.handlers.text import NO_TEXT, text_of
from node.hl7.message import Hl7Message, Segment
from node.records import examinations, jobs, note_entry, notes, patients, timeline
from node.records.note_entry import Document, Outcome
from node.records.schema import Note, Patient, Study

REPLACING = frozenset({"T09", "T10"})
"""Events after which the parent document (TXA-13) is not to be used any more (sections 9.6.9 and 9.6.10)."""
CANCELLING = "T11"
"""Document cancel notification (section 9.6.11): erroneous, or of another patient."""
OUT_OF_USE = {
    "CA": "its sender deleted it",
    "OB": "its sender calls it obsolete",
    "UN": "its sender calls it unavailable for patient care",
}
"""TXA-19 (table 0273) of documents that are not to be used, and what the records say of them."""
AVAILABLE = "AV"
"""TXA-19: available for patient care."""
NUMBER = "TXA^1^12"
PARENT = "TXA^1^13"


@dataclass(frozen=True, slots=True)
class DocumentMessage:
    """What a message says of one document.

    Parameters
    ----------
    document
        Its text and head, None where the message brings no text.
    parent
        Number of the document that this one replaces.
    withdrawn
        Why it is not to be used, "" if it is.
    available
        Whether the message says so expressly.
    unreadable
        Whether it brings content of which none is plain text.
    """

    person: Person
    number: str
    document: Document | None
    parent: str = ""
    withdrawn: str = ""
    available: bool = False
    unreadable: bool = False


def read(message: Hl7Message) -> DocumentMessage:
    """Read what a message says of its document.

    Raises
    ------
    Hl7InputError
        PID, TXA or TXA-12 is missing, a number is too long, or an encapsulated text cannot be decoded.
    """
    txa = message.require("TXA")
    number = fields.fits(fields.entity(txa.raw(12)), NUMBER)
    if not number:
        raise Hl7InputError("TXA-12 (unique document number) is missing", error_code="101", location=NUMBER)
    stated = person(message.require("PID"))
    event, availability = message.header.trigger, txa.get(19).upper()
    parent = fields.fits(fields.entity(txa.raw(13)), PARENT) if event in REPLACING else ""
    text = text_of(message.all("OBX"), message.codec)
    return DocumentMessage(
        stated,
        number,
        _document(message, txa, number, text, parent) if text else None,
        parent=parent if parent != number else "",
        withdrawn="its sender cancelled it" if event == CANCELLING else OUT_OF_USE.get(availability, ""),
        available=availability == AVAILABLE,
        unreadable=not text and any(_is_content(obx) for obx in message.all("OBX")),
    )


def _document(message: Hl7Message, txa: Segment, number: str, text: str, parent: str) -> Document:
    zone = message.segments[0].raw(7)
    return Document(
        number=number,
        text=text,
        type=txa.get(2),
        accession_number=next((stated for obr in message.all("OBR") if (stated := obr.get(18))), ""),
        author=fields.person(txa.raw(9).split("~")[0]) or fields.person(txa.raw(5).split("~")[0]),
        written_at=next((at for n in (6, 4, 7) if (at := fields.time(txa.get(n), zone))), None),
        about=_about(message, txa),
        replaces=parent,
    )


def _about(message: Hl7Message, txa: Segment) -> tuple[tuple[str, str], ...]:
    """Return the orders and studies that a document names: TXA-14, TXA-15, ORC, OBR, and OBX 113014."""
    pairs = [*message.all("ORC"), *message.all("OBR")]
    placers = [fields.entity(txa.raw(14).split("~")[0]), *(fields.entity(segment.raw(2)) for segment in pairs)]
    fillers = [fields.entity(txa.raw(15)), *(fields.entity(segment.raw(3)) for segment in pairs)]
    return references(placers, fillers, study_uids(message.all("OBX")))


def references(placers: Sequence[str], fillers: Sequence[str], uids: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return numbers as :attr:`~node.records.note_entry.Document.about` has them, each once, the first hundred."""
    kinds = (("placer", placers), ("filler", fillers), ("study", uids))
    found = [(kind, number) for kind, numbers in kinds for number in numbers if number]
    return tuple(dict.fromkeys(item for item in found if len(item[1]) <= fields.IDENTIFIER_MAX))[:100]


def _is_content(obx: Segment) -> bool:
    return bool(obx.raw(5)) and obx.get(11) not in NO_TEXT and obx.get(3) != STUDY_UID


def take(incoming: Incoming, said: DocumentMessage) -> str:
    """Keep a document for analysis, put the newer text in its place, or take it out of use.

    Raises
    ------
    Hl7InputError
        A document number belongs to another patient's note (205).
    """
    patient = enter(incoming, said.person)
    words = []
    if said.parent:
        _withdraw(incoming, patient, said.parent, "another document replaces it", PARENT)
        words.append("the document that it replaces is not used any more")
    if said.document is not None:
        words.append(_words(*keep(incoming, patient, said.document, location=NUMBER, quiet=bool(said.withdrawn))))
    elif said.unreadable:
        words.append(_without_text(incoming, patient, said.number))
    if said.withdrawn:
        outcome = _withdraw(incoming, patient, said.number, said.withdrawn, NUMBER)
        words.append("a newer message has it in use" if outcome is Outcome.OLDER else "it is not used any more")
    elif said.available and said.document is None and not said.unreadable:
        words += _restore(incoming, patient, said.number)
    return "; ".join(words) or "it brings no content; there is nothing to analyse"


def _words(note: Note, outcome: Outcome) -> str:
    return {
        Outcome.NEW: f"note {note.id} waits for analysis",
        Outcome.CHANGED: f"note {note.id} was replaced and waits for analysis",
        Outcome.SAME: f"note {note.id} is as it was",
        Outcome.OLDER: f"note {note.id} is known from a newer message, which holds",
    }[outcome]


def keep(
    incoming: Incoming, patient: Patient, found: Document, *, location: str, quiet: bool = False
) -> tuple[Note, Outcome]:
    """Store a note, and tell the studies that it concerns, unless ``quiet``.

    Raises
    ------
    Hl7InputError
        The sender gave this document number to another patient's note (205); ``location`` says where it stands.
    """
    session = incoming.session
    known = _known(incoming, patient, found.number, location)
    before = list(notes.studies_for_note(session, known)) if known is not None else []
    if not found.accession_number:
        found = replace(found, accession_number=examinations.meant(session, patient, found.about))
    note, outcome = note_entry.store(session, patient, incoming.sender, found, incoming.row, at=incoming.stated_at)
    if outcome in (Outcome.NEW, Outcome.CHANGED):
        after = notes.studies_for_note(session, note)
        jobs.rebuild(session, [study for study in before if study not in after], "a note is not about it any more")
        if not quiet:
            text = f"A note {'came' if outcome is Outcome.NEW else 'was sent again'} and waits for analysis"
            _tell(incoming, after, "note.received", text)
    return note, outcome


def withdraw_report(incoming: Incoming, patient: Patient, number: str, location: str) -> Outcome:
    """Take a text report out of use whose text was deleted or posted wrongly."""
    return _withdraw(incoming, patient, number, "its sender withdrew its text", location)


def _withdraw(incoming: Incoming, patient: Patient, number: str, reason: str, location: str) -> Outcome:
    _known(incoming, patient, number, location)
    note, outcome = note_entry.withdraw(
        incoming.session, patient, incoming.sender, number, reason, incoming.row, at=incoming.stated_at
    )
    if outcome is Outcome.CHANGED:
        studies = notes.studies_for_note(incoming.session, note)
        _tell(incoming, studies, "note.withdrawn", f"A note is not used any more: {reason}")
        jobs.rebuild(incoming.session, studies, "a note was withdrawn")
    return outcome


def _without_text(incoming: Incoming, patient: Patient, number: str) -> str:
    """Say that there is nothing to read; an earlier version that could be read is not the document any more."""
    if _known(incoming, patient, number, NUMBER) is not None:
        _withdraw(incoming, patient, number, "its newer version holds no plain text", NUMBER)
    return "the document holds no plain text; there is nothing to analyse"


def _restore(incoming: Incoming, patient: Patient, number: str) -> list[str]:
    note = _known(incoming, patient, number, NUMBER)
    if note is None or note_entry.restore(incoming.session, note, incoming.stated_at) is not Outcome.CHANGED:
        return []
    text = "A note is available again and waits for analysis"
    _tell(incoming, notes.studies_for_note(incoming.session, note), "note.received", text)
    return [f"note {note.id} is available again and waits for analysis"]


def _known(incoming: Incoming, patient: Patient, number: str, location: str) -> Note | None:
    note = note_entry.find(incoming.session, incoming.sender, number)
    if note is not None and note.patient_fk not in patients.same_person(incoming.session, patient):
        text = "the document number belongs to another patient's note"
        raise Hl7InputError(text, error_code="205", location=location)
    return note


def _tell(incoming: Incoming, studies: Sequence[Study], kind: str, text: str) -> None:
    for study in studies:
        timeline.add(incoming.session, kind, text, study=study, message=incoming.row)
