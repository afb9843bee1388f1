"""The tables. Patient data lives here and in files, nowhere else.

Times are UTC, stored as naive ``DATETIME`` through :class:`Utc` and seen as aware ``datetime``.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from node.records.states import DeliveryState, JobState, MessageState, NoteState, StudyState


def now() -> dt.datetime:
    """Return the present time, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


class Utc(TypeDecorator[dt.datetime]):
    """Aware UTC datetimes over databases that know no time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Store UTC without its zone."""
        return None if value is None else value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=dt.UTC)


def _state(states: type[StrEnum]) -> Enum:
    """Column of a state: stored as its value, without a CHECK that would need a migration for each new state."""
    return Enum(states, native_enum=False, length=20, values_callable=lambda cls: [state.value for state in cls])


class Base(DeclarativeBase):
    """Declarative base."""

    type_annotation_map = {dt.datetime: Utc, dict[str, Any]: JSON, list[Any]: JSON, bytes: LargeBinary}  # noqa: RUF012


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
    state: Mapped[MessageState] = mapped_column(_state(MessageState), default=MessageState.RECEIVED, index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    ack: Mapped[bytes | None]


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
    context: Mapped[dict[str, Any]] = mapped_column(default=dict)  # OBR fields that an ORU copies

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
    state: Mapped[NoteState] = mapped_column(_state(NoteState), default=NoteState.QUEUED, index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    received_at: Mapped[dt.datetime] = mapped_column(default=now)

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


class Study(Base):
    """A DICOM study."""

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(64), unique=True)
    patient_fk: Mapped[int] = mapped_column(ForeignKey("patients.id"), index=True)
    order_fk: Mapped[int | None] = mapped_column(ForeignKey("orders.id"))
    accession_number: Mapped[str] = mapped_column(String(64), default="", index=True)
    description: Mapped[str] = mapped_column(Text, default="")
    study_date: Mapped[str] = mapped_column(String(8), default="")
    study_time: Mapped[str] = mapped_column(String(16), default="")
    calling_ae_title: Mapped[str] = mapped_column(String(16), default="")
    called_ae_title: Mapped[str] = mapped_column(String(16), default="")
    state: Mapped[StudyState] = mapped_column(_state(StudyState), default=StudyState.RECEIVING, index=True)
    reason: Mapped[str] = mapped_column(Text, default="")  # why it was judged complete, unwanted or failed
    priority: Mapped[str] = mapped_column(String(10), default="ROUTINE")
    generation: Mapped[int] = mapped_column(default=1)  # counts reopenings by late instances
    first_instance_at: Mapped[dt.datetime] = mapped_column(default=now)
    last_instance_at: Mapped[dt.datetime] = mapped_column(default=now)
    released_at: Mapped[dt.datetime | None]  # when the last association that carried it ended
    completed_at: Mapped[dt.datetime | None]

    patient: Mapped[Patient] = relationship()
    order: Mapped[Order | None] = relationship()
    series: Mapped[list[Series]] = relationship(back_populates="study", order_by="Series.number")
    jobs: Mapped[list[Job]] = relationship(back_populates="study", order_by="Job.created_at")


class Series(Base):
    """A DICOM series."""

    __tablename__ = "series"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(64), unique=True)
    study_fk: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    modality: Mapped[str] = mapped_column(String(16), default="")
    body_part: Mapped[str] = mapped_column(String(16), default="")
    description: Mapped[str] = mapped_column(Text, default="")
    number: Mapped[int | None]
    tags: Mapped[dict[str, Any]] = mapped_column(default=dict)  # attributes that rules ask for, by keyword

    study: Mapped[Study] = relationship(back_populates="series")
    instances: Mapped[list[Instance]] = relationship(back_populates="series", order_by="Instance.id")


class Instance(Base):
    """A DICOM instance and the file that holds it."""

    __tablename__ = "instances"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(64), unique=True)
    series_fk: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    sop_class: Mapped[str] = mapped_column(String(64))
    transfer_syntax: Mapped[str] = mapped_column(String(64))
    number: Mapped[int | None]
    path: Mapped[str] = mapped_column(Text)  # below the spool
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))  # of the data set, without File Meta
    received_at: Mapped[dt.datetime] = mapped_column(default=now)

    series: Mapped[Series] = relationship(back_populates="instances")


class ModelRegistration(Base):
    """A model that some worker can run: how the node knows what can be asked for."""

    __tablename__ = "models"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[str] = mapped_column(String(32))
    card: Mapped[dict[str, Any]]
    worker: Mapped[str] = mapped_column(String(250))
    seen_at: Mapped[dt.datetime] = mapped_column(default=now)


class Job(Base):
    """One model on one series with one set of inputs."""

    __tablename__ = "jobs"
    __table_args__ = (UniqueConstraint("series_fk", "model", "input_digest"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)  # UUIDv5 of series, model, inputs
    study_fk: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    series_fk: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    model: Mapped[str] = mapped_column(String(64))
    model_version: Mapped[str] = mapped_column(String(32), default="")
    rule: Mapped[str] = mapped_column(String(250))
    input_digest: Mapped[str] = mapped_column(String(64))  # SHA-256 over the instances' UIDs and digests
    destinations: Mapped[list[Any]] = mapped_column(default=list)
    priority: Mapped[str] = mapped_column(String(10), default="ROUTINE")
    state: Mapped[JobState] = mapped_column(_state(JobState), default=JobState.QUEUED, index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str] = mapped_column(String(250), default="")
    lease_until: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]
    prediction: Mapped[str] = mapped_column(Text, default="")  # file below the root, without identifiers
    findings: Mapped[list[Any]] = mapped_column(default=list)
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    context_digest: Mapped[str] = mapped_column(String(64), default="")  # of the facts its report was built with

    study: Mapped[Study] = relationship(back_populates="jobs")
    series: Mapped[Series] = relationship()
    results: Mapped[list[Result]] = relationship(back_populates="job", order_by="Result.id")


class Result(Base):
    """An object that was built: SEG, SR, or an ORU message."""

    __tablename__ = "results"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_fk: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))  # seg, sr, oru
    uid: Mapped[str] = mapped_column(String(64), unique=True)  # SOP Instance UID, or the message control id
    sop_class: Mapped[str] = mapped_column(String(64), default="")
    path: Mapped[str] = mapped_column(Text)  # below the root
    sha256: Mapped[str] = mapped_column(String(64))
    predecessor: Mapped[str] = mapped_column(String(64), default="")  # uid of what it supersedes
    created_at: Mapped[dt.datetime] = mapped_column(default=now)

    job: Mapped[Job] = relationship(back_populates="results")
    deliveries: Mapped[list[Delivery]] = relationship(back_populates="result", order_by="Delivery.id")


class Delivery(Base):
    """One result on its way to one destination."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("result_fk", "destination"),
        Index("ix_deliveries_due", "destination", "state", "next_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    result_fk: Mapped[int] = mapped_column(ForeignKey("results.id"), index=True)
    destination: Mapped[str] = mapped_column(String(64))
    state: Mapped[DeliveryState] = mapped_column(_state(DeliveryState), default=DeliveryState.QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(250), default="")  # the other side's word: 0x0000, MSA-1 AA, ...
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    next_at: Mapped[dt.datetime] = mapped_column(default=now)
    delivered_at: Mapped[dt.datetime | None]

    result: Mapped[Result] = relationship(back_populates="deliveries")


class Event(Base):
    """One line of the timeline."""

    __tablename__ = "timeline"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(default=now, index=True)
    study_fk: Mapped[int | None] = mapped_column(ForeignKey("studies.id"), index=True)
    message_fk: Mapped[int | None] = mapped_column(ForeignKey("messages.id"), index=True)
    kind: Mapped[str] = mapped_column(
        String(40), index=True
    )  # study.received, job.running, delivery.refused, process.restarted...
    level: Mapped[str] = mapped_column(String(10), default="info")  # info, warning, error
    text: Mapped[str] = mapped_column(Text)  # one sentence; no patient data
