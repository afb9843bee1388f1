"""What scanners and PACS send: studies, series, instances."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from node.records.schema.base import Base, now, state_column
from node.records.schema.clinical import Order, Patient
from node.records.states import StudyState

if TYPE_CHECKING:
    from node.records.schema.work import Job


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
    state: Mapped[StudyState] = mapped_column(state_column(StudyState), default=StudyState.RECEIVING, index=True)
    reason: Mapped[str] = mapped_column(Text, default="")  # why it was judged complete, unwanted or failed
    priority: Mapped[str] = mapped_column(String(10), default="ROUTINE")
    generation: Mapped[int] = mapped_column(default=1)  # counts reopenings by late instances
    first_instance_at: Mapped[dt.datetime] = mapped_column(default=now)
    last_instance_at: Mapped[dt.datetime] = mapped_column(default=now)
    released_at: Mapped[dt.datetime | None]  # when the last association that carried it ended
    completed_at: Mapped[dt.datetime | None]
    triage: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # priority, reasons, critical

    patient: Mapped[Patient] = relationship()
    order: Mapped[Order | None] = relationship()
    series: Mapped[list[Series]] = relationship(back_populates="study", order_by="Series.number")
    jobs: Mapped[list[Job]] = relationship(
        back_populates="study",
        order_by="Job.created_at",
        primaryjoin="and_(Study.id == Job.study_fk, Job.shadow.is_(False))",
    )
    shadow_jobs: Mapped[list[Job]] = relationship(
        viewonly=True, order_by="Job.created_at", primaryjoin="and_(Study.id == Job.study_fk, Job.shadow.is_(True))"
    )


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
    digest: Mapped[str] = mapped_column(String(80))  # algorithm:hex of the data set, without File Meta
    received_at: Mapped[dt.datetime] = mapped_column(default=now)

    series: Mapped[Series] = relationship(back_populates="instances")
