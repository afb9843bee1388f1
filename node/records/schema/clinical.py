"""What the EHR and the RIS tell: patients, messages, orders, notes and their facts, observations."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from node.records.schema.base import Base, now, state_column
from node.records.states import MessageState, NoteState, VisitState


class Patient(Base):
    """One person in one assigning authority's domain. ``issuer`` is "" where nobody names one."""

    __tablename__ = "patients"
    __table_args__ = (UniqueConstraint("patient_id", "issuer"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_id: Mapped[str] = mapped_column(String(250), index=True)
    issuer: Mapped[str] = mapped_column(String(250), default="")
    name: Mapped[str] = mapped_column(Text, default="")  # PN, components by ^
    birth_date: Mapped[str] = mapped_column(String(8), default="")  # DA
    sex: Mapped[str] = mapped_column(String(1), default="")  # M, F, O
    updated_at: Mapped[dt.datetime] = mapped_column(default=now)
    stated_at: Mapped[
        dt.datetime | None
    ]  # MSH-7 of the message whose demographics these are: older ones change nothing
    stated: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # the same for each that HL7 said
    survivor_fk: Mapped[int | None] = mapped_column(index=True)  # row of the person it was merged into


class Visit(Base):
    """One encounter of a patient, by its visit number (PV1-19) in the sender's domain."""

    __tablename__ = "visits"
    __table_args__ = (UniqueConstraint("source", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_fk: Mapped[int] = mapped_column(ForeignKey("patients.id"), index=True)
    message_fk: Mapped[int | None] = mapped_column(ForeignKey("messages.id"))
    source: Mapped[str] = mapped_column(String(500), default="")  # sending application | facility
    number: Mapped[str] = mapped_column(String(250))  # PV1-19, id^authority
    patient_class: Mapped[str] = mapped_column(String(20), default="")  # PV1-2: I, E, O...
    location: Mapped[str] = mapped_column(String(250), default="")  # PV1-3, as sent
    state: Mapped[VisitState] = mapped_column(state_column(VisitState), default=VisitState.EXPECTED)
    admitted_at: Mapped[dt.datetime | None]
    discharged_at: Mapped[dt.datetime | None]
    stated_at: Mapped[dt.datetime | None]  # of the message that said so last
    stated: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # the same for each field apart

    patient: Mapped[Patient] = relationship()


class IdentityConflict(Base):
    """A study whose DICOM demographics contradict the record of the patient it names.

    While one is open the study is analysed alone: notes, labs and history are not merged with it.
    """

    __tablename__ = "identity_conflicts"
    __table_args__ = (UniqueConstraint("study_fk", "patient_fk"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_fk: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    patient_fk: Mapped[int] = mapped_column(ForeignKey("patients.id"), index=True)
    message_fk: Mapped[int | None] = mapped_column(ForeignKey("messages.id"))
    attributes: Mapped[list[Any]] = mapped_column(default=list)  # their names: "name", "birth date", "sex"
    dicom: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what the images say, by attribute name
    found_at: Mapped[dt.datetime] = mapped_column(default=now)
    resolved_at: Mapped[dt.datetime | None]
    resolution: Mapped[str] = mapped_column(String(20), default="")  # same_person, other_person, agreed


class Message(Base):
    """An HL7 message as it came in, kept before it was acknowledged."""

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(primary_key=True)
    received_at: Mapped[dt.datetime] = mapped_column(default=now, index=True)
    sender: Mapped[str] = mapped_column(String(500), default="")  # MSH-3 | MSH-4
    control_id: Mapped[str] = mapped_column(String(250), default="", index=True)
    digest: Mapped[str] = mapped_column(String(64), index=True)  # SHA-256 of raw
    type: Mapped[str] = mapped_column(String(20), default="")  # MSH-9, as ORM^O01
    raw: Mapped[bytes]
    state: Mapped[MessageState] = mapped_column(state_column(MessageState), default=MessageState.RECEIVED, index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    ack: Mapped[bytes | None]  # the application's answer, once it is known
    told: Mapped[str] = mapped_column(
        String(20), default="", server_default=""
    )  # what the sender was told on arrival: AA, CA, AE 102...
    peer: Mapped[str] = mapped_column(String(64), default="", server_default="")  # address it came from


class Order(Base):
    """An imaging order (ORM^O01, OMI^O23)."""

    __tablename__ = "orders"
    __table_args__ = (UniqueConstraint("placer_number", "filler_number", "accession_number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_fk: Mapped[int] = mapped_column(ForeignKey("patients.id"), index=True)
    message_fk: Mapped[int | None] = mapped_column(ForeignKey("messages.id"))
    accession_number: Mapped[str] = mapped_column(String(64), default="", index=True)
    placer_number: Mapped[str] = mapped_column(String(250), default="")
    filler_number: Mapped[str] = mapped_column(String(250), default="")
    study_uid: Mapped[str] = mapped_column(String(64), default="", index=True)  # IPC-3 / ZDS-1 where given
    procedure_code: Mapped[str] = mapped_column(String(250), default="")
    procedure_scheme: Mapped[str] = mapped_column(String(250), default="")
    procedure_text: Mapped[str] = mapped_column(Text, default="")
    priority: Mapped[str] = mapped_column(String(10), default="ROUTINE")  # STAT, ASAP, ROUTINE
    reason: Mapped[str] = mapped_column(Text, default="")
    status: Mapped[str] = mapped_column(String(10), default="NW")  # ORC-1 last seen: NW, XO, CA...
    updated_at: Mapped[dt.datetime] = mapped_column(default=now)
    context: Mapped[dict[str, Any]] = mapped_column(default=dict)  # ORC, OBR, PV1, SPM fields that an ORU copies
    stated_at: Mapped[dt.datetime | None]  # of the message that said so last: older ones change nothing
    stated: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # the same for each field apart

    patient: Mapped[Patient] = relationship()


class Note(Base):
    """A clinical note or text report (MDM^T02, ORU^R01)."""

    __tablename__ = "notes"
    __table_args__ = (UniqueConstraint("source", "document_number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_fk: Mapped[int] = mapped_column(ForeignKey("patients.id"), index=True)
    message_fk: Mapped[int | None] = mapped_column(ForeignKey("messages.id"))
    source: Mapped[str] = mapped_column(String(500), default="")  # sending application | facility
    document_number: Mapped[str] = mapped_column(String(250))  # TXA-12, or OBR-3
    document_type: Mapped[str] = mapped_column(String(250), default="")
    accession_number: Mapped[str] = mapped_column(String(64), default="", index=True)
    author: Mapped[str] = mapped_column(String(250), default="")
    written_at: Mapped[dt.datetime | None]
    text: Mapped[str] = mapped_column(Text)
    language: Mapped[str] = mapped_column(String(10), default="")
    sections: Mapped[list[Any]] = mapped_column(default=list)  # [name, start, end]
    state: Mapped[NoteState] = mapped_column(state_column(NoteState), default=NoteState.QUEUED, index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    received_at: Mapped[dt.datetime] = mapped_column(default=now)
    stated_at: Mapped[dt.datetime | None]  # of the message that said so last: older ones change nothing
    text_stated_at: Mapped[dt.datetime | None]  # of the message that brought the text; None: no text came yet
    about: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")  # order numbers, study UIDs it names
    replaces: Mapped[str] = mapped_column(String(250), default="", server_default="")  # parent document number (TXA-13)
    engine: Mapped[str] = mapped_column(
        String(100), default="", server_default=""
    )  # engine and version of the analysis

    patient: Mapped[Patient] = relationship()
    facts: Mapped[list[Fact]] = relationship(back_populates="note", cascade="all, delete-orphan", order_by="Fact.start")


class Fact(Base):
    """One concept that a note states, where, and how."""

    __tablename__ = "facts"

    id: Mapped[int] = mapped_column(primary_key=True)
    note_fk: Mapped[int] = mapped_column(ForeignKey("notes.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))
    code_value: Mapped[str] = mapped_column(String(64))
    code_scheme: Mapped[str] = mapped_column(String(32))
    code_meaning: Mapped[str] = mapped_column(String(250))
    surface: Mapped[str] = mapped_column(Text)
    start: Mapped[int]
    end: Mapped[int]
    section: Mapped[str] = mapped_column(String(64))
    negated: Mapped[bool]
    uncertain: Mapped[bool]
    historical: Mapped[bool]
    hypothetical: Mapped[bool]
    experiencer: Mapped[str] = mapped_column(String(10))
    number: Mapped[float | None]
    upper: Mapped[float | None]  # of a range
    unit: Mapped[str] = mapped_column(String(64), default="", server_default="")  # UCUM
    comparator: Mapped[str] = mapped_column(String(2), default="", server_default="")
    when: Mapped[str] = mapped_column(
        "said_when", String(32), default="", server_default=""
    )  # models.facts.NoteFact.when
    side: Mapped[str] = mapped_column(String(10), default="", server_default="")  # left, right, both

    note: Mapped[Note] = relationship(back_populates="facts")


class Observation(Base):
    """A lab value or another coded observation (ORU^R01, OBX)."""

    __tablename__ = "observations"
    __table_args__ = (UniqueConstraint("patient_fk", "source", "filler_number", "code", "sub_id", "observed_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    patient_fk: Mapped[int] = mapped_column(ForeignKey("patients.id"), index=True)
    message_fk: Mapped[int | None] = mapped_column(ForeignKey("messages.id"))
    source: Mapped[str] = mapped_column(String(500), default="")
    filler_number: Mapped[str] = mapped_column(String(250), default="")
    code: Mapped[str] = mapped_column(String(250))
    scheme: Mapped[str] = mapped_column(String(64), default="")
    name: Mapped[str] = mapped_column(Text, default="")
    sub_id: Mapped[str] = mapped_column(String(64), default="")
    value: Mapped[str] = mapped_column(Text, default="")
    number: Mapped[float | None]
    unit: Mapped[str] = mapped_column(String(64), default="")
    reference_range: Mapped[str] = mapped_column(String(250), default="")
    flag: Mapped[str] = mapped_column(String(20), default="")
    status: Mapped[str] = mapped_column(String(5), default="")
    observed_at: Mapped[dt.datetime | None]
    stated_at: Mapped[dt.datetime | None]  # of the message that said so last: older ones change nothing
