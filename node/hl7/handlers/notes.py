"""Documents: MDM^T02, original document notification and content (HL7 v2.5.1 section 9.6.2)."""

from __future__ import annotations

from node.errors import Hl7InputError
from node.hl7 import fields
from node.hl7.handlers.common import Incoming, accession_of, patient_of, study_uids
from node.hl7.handlers.text import text_of
from node.hl7.message import Segment
from node.records import notes, patients, timeline
from node.records.notes import Document
from node.records.schema import Note, Patient


def document(incoming: Incoming) -> str:
    """Keep a clinical note for analysis; one that was sent before takes the new text."""
    message = incoming.message
    txa = message.require("TXA")
    number = fields.fits(fields.entity(txa.raw(12)), "TXA^1^12")
    if not number:
        raise Hl7InputError("TXA-12 (unique document number) is missing", error_code="101", location="TXA^1^12")
    patient = patient_of(incoming)
    text = text_of(message.all("OBX"), message.codec)
    if not text:
        return "the document holds no plain text; there is nothing to analyse"
    note, new = keep(
        incoming,
        patient,
        Document(
            number=number,
            text=text,
            type=txa.get(2),
            accession_number=_accession(incoming, patient, txa),
            author=fields.person(txa.raw(9).split("~")[0]) or fields.person(txa.raw(5).split("~")[0]),
            written_at=next((at for n in (6, 4, 7) if (at := fields.time(txa.get(n), incoming.sent_at))), None),
        ),
        location="TXA^1^12",
    )
    return f"note {note.id} {'waits for analysis' if new else 'was replaced and waits for analysis'}"


def keep(incoming: Incoming, patient: Patient, found: Document, *, location: str) -> tuple[Note, bool]:
    """Store a note, and tell the studies that it concerns.

    Raises
    ------
    Hl7InputError
        The sender gave this document number to another patient's note (205); ``location`` says where it stands.
    """
    session = incoming.session
    known = notes.find(session, incoming.sender, found.number)
    if known is not None and known.patient_fk not in patients.same_person(session, patient):
        text = "the document number belongs to another patient's note"
        raise Hl7InputError(text, error_code="205", location=location)
    note, new = notes.store(session, patient, incoming.sender, found, incoming.row)
    for study in notes.studies_for_note(session, note):
        text = f"A note {'came' if new else 'was sent again'} and waits for analysis"
        timeline.add(session, "note.received", text, study=study, message=incoming.row)
    return note, new


def _accession(incoming: Incoming, patient: Patient, txa: Segment) -> str:
    pairs = [*incoming.message.all("ORC"), *incoming.message.all("OBR")]
    return accession_of(
        incoming.session,
        patient,
        study_uids=study_uids(incoming.message.all("OBX")),
        stated=next((number for obr in incoming.message.all("OBR") if (number := obr.get(18))), ""),
        placers=[fields.entity(txa.raw(14).split("~")[0]), *(fields.entity(segment.raw(2)) for segment in pairs)],
        fillers=[fields.entity(txa.raw(15)), *(fields.entity(segment.raw(3)) for segment in pairs)],
    )
