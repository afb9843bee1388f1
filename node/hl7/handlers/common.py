"""What every handler gets, and what several of them need."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from node.hl7 import fields
from node.hl7.message import Hl7Message, Segment
from node.records import identity, patients
from node.records.schema import Patient
from node.settings import Hl7Section

REGISTRATION = "ADT"
"""Message code of patient administration."""
STUDY_UID = "113014"
"""OBX-3 of an OBX that names the DICOM study."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message, the transaction in which it is taken over, the id of its row, and when it was stated.

    Parameters
    ----------
    stated_at
        EVN-2 or MSH-7, else when it came (:func:`node.hl7.fields.stated_at`). What is in the records and was stated
        later stays as it is.
    """

    session: Session
    message: Hl7Message
    row: int
    settings: Hl7Section
    stated_at: dt.datetime

    @property
    def sender(self) -> str:
        """MSH-3 | MSH-4."""
        return self.message.header.sender


@dataclass(frozen=True, slots=True)
class Person:
    """Who PID says a patient is, in the records' terms; "" where it says nothing."""

    identifier: str
    issuer: str
    name: str = ""
    birth_date: str = ""
    sex: str = ""


def person(pid: Segment) -> Person:
    """Read PID.

    Raises
    ------
    Hl7InputError
        It has no identifier (101), or one that is too long (104).
    """
    identifier, issuer = fields.person_id(pid)
    return Person(
        identifier,
        issuer,
        name=fields.person_name(pid, 5),
        birth_date=fields.date(pid.get(7)),
        sex=fields.sex(pid.get(8)),
    )


def enter(incoming: Incoming, stated: Person) -> Patient:
    """Find or create a patient, with the demographics that the message states; a later statement's stay.

    ADT is the registration's word (IHE RAD, Patient Registration and Patient Update); what other messages repeat of it
    may be what their system was told long ago.
    """
    session = incoming.session
    patient = patients.find_or_create(session, stated.identifier, stated.issuer)
    given = {"name": stated.name, "birth_date": stated.birth_date, "sex": stated.sex}
    if patients.state(
        session,
        patient,
        given,
        origin="hl7",
        message=incoming.row,
        stated_at=incoming.stated_at,
        registered=incoming.message.header.code == REGISTRATION,
    ):
        identity.review(session, patient, incoming.row)
    return patient


def patient_of(incoming: Incoming, pid: Segment | None = None) -> Patient:
    """Find or create the patient of PID, with the demographics that it states."""
    return enter(incoming, person(pid or incoming.message.require("PID")))


def study_uids(obxs: Iterable[Segment]) -> list[str]:
    """Return the Study Instance UIDs that OBX segments name (113014^DICOM Study^DCM, as IHE has it)."""
    return [obx.get(5) for obx in obxs if obx.get(3) == STUDY_UID and obx.get(5)]
