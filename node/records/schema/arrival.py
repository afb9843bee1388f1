"""Evidence of how whole a study is, and what senders were promised: expectations."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from node.records.schema.base import Base, now, state_column
from node.records.states import CommitmentState, ProcedureStepState


class Expectation(Base):
    """What somebody says a study holds: a modality (MPPS), an archive (IAN, C-FIND), an order, a person.

    ``instances`` lists SOP Instance UIDs where the source names them, ``count`` their number where it knows only that.
    ``final`` is False as long as the source may still name more (MPPS IN PROGRESS).
    """

    __tablename__ = "expectations"
    __table_args__ = (UniqueConstraint("study_uid", "source", "reference"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_uid: Mapped[str] = mapped_column(String(64), index=True)
    source: Mapped[str] = mapped_column(String(16))  # mpps, ian, query, order, person
    reference: Mapped[str] = mapped_column(String(64))  # SOP Instance UID of MPPS or IAN; AE title that was asked
    count: Mapped[int | None]
    instances: Mapped[list[Any]] = mapped_column(default=list)
    final: Mapped[bool] = mapped_column(default=False)
    at: Mapped[dt.datetime] = mapped_column(default=now)


class ProcedureStep(Base):
    """A Modality Performed Procedure Step (PS3.4 annex F): what a scanner says it is doing. No patient data."""

    __tablename__ = "procedure_steps"

    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(String(64), unique=True)  # SOP Instance UID
    calling_ae_title: Mapped[str] = mapped_column(String(16), default="")
    modality: Mapped[str] = mapped_column(String(16), default="")
    state: Mapped[ProcedureStepState] = mapped_column(
        state_column(ProcedureStepState), default=ProcedureStepState.IN_PROGRESS
    )
    studies: Mapped[list[Any]] = mapped_column(default=list)  # Study Instance UIDs of the scheduled steps
    instances: Mapped[list[Any]] = mapped_column(default=list)  # SOP Instance UIDs of the performed series
    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    updated_at: Mapped[dt.datetime] = mapped_column(default=now)


class Commitment(Base):
    """A request for storage commitment (PS3.4 annex J), and where its report stands.

    ``references`` is ``[[SOP Class UID, SOP Instance UID], ...]`` in the order of the request; ``failures`` is
    ``[[SOP Class UID, SOP Instance UID, Failure Reason], ...]``, and None until the instances were looked at.
    """

    __tablename__ = "commitments"
    __table_args__ = (
        UniqueConstraint("transaction_uid", "calling_ae_title"),
        Index("ix_commitments_due", "calling_ae_title", "state", "next_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(String(64))
    calling_ae_title: Mapped[str] = mapped_column(String(16))
    called_ae_title: Mapped[str] = mapped_column(String(16), default="")
    address: Mapped[str] = mapped_column(String(64), default="")
    references: Mapped[list[Any]] = mapped_column(default=list)
    failures: Mapped[list[Any] | None]
    state: Mapped[CommitmentState] = mapped_column(state_column(CommitmentState), default=CommitmentState.REQUESTED)
    attempts: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[dt.datetime] = mapped_column(default=now)
    next_at: Mapped[dt.datetime] = mapped_column(default=now)
    reported_at: Mapped[dt.datetime | None]


class Source(Base):
    """How a calling AE title sends: its pauses within a study, as :class:`node.decide.gaps.Pauses` keeps them."""

    __tablename__ = "sources"

    id: Mapped[int] = mapped_column(primary_key=True)
    ae_title: Mapped[str] = mapped_column(String(16), unique=True)
    pauses: Mapped[dict[str, Any]] = mapped_column(default=dict)
    learned_at: Mapped[dt.datetime] = mapped_column(default=now)


class Shortfall(Base):
    """A study that was judged incomplete, until it is whole or a person says that it will do.

    ``expected`` is None where nobody knows a number: an MPPS that was never finished.
    """

    __tablename__ = "shortfalls"

    study_fk: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    received: Mapped[int]
    expected: Mapped[int | None]
    at: Mapped[dt.datetime] = mapped_column(default=now)
