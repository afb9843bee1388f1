"""What every handler gets, and what several of them need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from node.hl7 import fields
from node.hl7.message import Hl7Message, Segment
from node.records import orders, patients
from node.records.schema import Patient, Study
from node.settings import Hl7Section

STUDY_UID = "113014"
"""OBX-3 of an OBX that names the DICOM study."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message, the transaction in which it is taken over, and the id of its row."""

    session: Session
    message: Hl7Message
    row: int
    settings: Hl7Section

    @property
    def sender(self) -> str:
        """MSH-3 | MSH-4."""
        return self.message.header.sender

    @property
    def sent_at(self) -> str:
        """MSH-7 as sent: its offset holds for times without one."""
        return self.message.segments[0].raw(7)


def patient_of(incoming: Incoming, pid: Segment | None = None) -> Patient:
    """Find or create the patient of PID, with the demographics that it states."""
    pid = pid or incoming.message.require("PID")
    identifier, issuer = fields.person_id(pid)
    return patients.upsert(
        incoming.session,
        patient_id=identifier,
        issuer=issuer,
        name=fields.person_name(pid, 5),
        birth_date=fields.date(pid.get(7)),
        sex=fields.sex(pid.get(8)),
        origin="hl7",
        message=incoming.row,
    )


def study_uids(obxs: Iterable[Segment]) -> list[str]:
    """Return the Study Instance UIDs that OBX segments name (113014^DICOM Study^DCM, as IHE has it)."""
    return [obx.get(5) for obx in obxs if obx.get(3) == STUDY_UID and obx.get(5)]


def accession_of(
    session: Session,
    patient: Patient,
    *,
    stated: str,
    study_uids: list[str],
    placers: list[str],
    fillers: list[str],
) -> str:
    """Return the accession number of the examination that a document is about, "" where it is about none that is known.

    What the message calls an accession number (OBR-18) holds. Study UIDs and order numbers count only if they lead to
    a study or an order of the patient: a laboratory's filler number taken for an accession number would hide the
    document from every study.
    """
    if stated:
        return stated
    numbers = [("placer", number) for number in placers if number] + [
        ("filler", number) for number in fillers if number
    ]
    for kind, number in numbers:
        order = orders.find(session, patient, **{kind: number})
        if order is not None and order.accession_number:
            return order.accession_number
    bare = {number.partition("^")[0] for _, number in numbers}
    query = select(Study.accession_number).where(
        Study.patient_fk.in_(patients.same_person(session, patient)),
        Study.accession_number != "",
        or_(Study.accession_number.in_(bare), Study.uid.in_(study_uids)),
    )
    return session.scalars(query.limit(1)).first() or ""
