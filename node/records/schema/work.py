"""What the node does: models that can run, jobs, results, deliveries."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from node.records.schema.base import Base, now, state_column
from node.records.schema.imaging import Series, Study
from node.records.states import DeliveryState, JobState


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
    model: Mapped[str] = mapped_column(String(64))  # a name, or name@version where a rule pins the version
    shadow: Mapped[bool] = mapped_column(
        default=False, server_default=false()
    )  # runs and is recorded, publishes nothing
    model_version: Mapped[str] = mapped_column(String(32), default="")
    rule: Mapped[str] = mapped_column(String(250))
    input_digest: Mapped[str] = mapped_column(String(64))  # SHA-256 over the instances' UIDs and digests
    destinations: Mapped[list[Any]] = mapped_column(default=list)
    priority: Mapped[str] = mapped_column(String(10), default="ROUTINE")
    state: Mapped[JobState] = mapped_column(state_column(JobState), default=JobState.QUEUED, index=True)
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
    assessment: Mapped[dict[str, Any]] = mapped_column(
        default=dict, server_default="{}"
    )  # what its last report assessed

    study: Mapped[Study] = relationship(back_populates="jobs")
    series: Mapped[Series] = relationship()
    results: Mapped[list[Result]] = relationship(back_populates="job", order_by="Result.id")


class DriftSample(Base):
    """What one run saw and said, in numbers: statistics of the input and scores of the answer, by scanner."""

    __tablename__ = "drift_samples"
    __table_args__ = (Index("ix_drift_samples_model_at", "model", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_fk: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    at: Mapped[dt.datetime] = mapped_column(default=now)
    model: Mapped[str] = mapped_column(String(64))  # the card's name and version
    version: Mapped[str] = mapped_column(String(32))
    scanner: Mapped[str] = mapped_column(String(64))  # make and model of the device, and a digest of its serial number
    numbers: Mapped[dict[str, Any]] = mapped_column(default=dict)  # by name; finite


class Result(Base):
    """An object that was built: a DICOM object or an ORU message."""

    __tablename__ = "results"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_fk: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))  # a ResultKind of node.settings
    profile: Mapped[str] = mapped_column(String(40), default="", server_default="")  # form of SEG and of what names it
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
        Index("ix_deliveries_commit", "destination", "commit_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    result_fk: Mapped[int] = mapped_column(ForeignKey("results.id"), index=True)
    destination: Mapped[str] = mapped_column(String(64))
    state: Mapped[DeliveryState] = mapped_column(state_column(DeliveryState), default=DeliveryState.QUEUED)
    attempts: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(250), default="")  # the other side's word: 0x0000, MSA-1 AA, ...
    reason: Mapped[str] = mapped_column(Text, default="")  # of a refusal, of a warning, of a transcoding
    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    next_at: Mapped[dt.datetime] = mapped_column(default=now)
    accepted_at: Mapped[dt.datetime | None]
    commit_at: Mapped[dt.datetime | None]  # when to ask for storage commitment; None: not asked for, or answered
    commit_asked: Mapped[int] = mapped_column(default=0, server_default="0")
    committed_at: Mapped[dt.datetime | None]

    result: Mapped[Result] = relationship(back_populates="deliveries")


class CommitmentRequest(Base):
    """One request for storage commitment that a destination was sent (PS3.4 annex J), and the deliveries it names."""

    __tablename__ = "commitment_requests"

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(String(64), unique=True)
    destination: Mapped[str] = mapped_column(String(64))
    deliveries: Mapped[list[Any]] = mapped_column(default=list)  # their ids
    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    answered_at: Mapped[dt.datetime | None]
