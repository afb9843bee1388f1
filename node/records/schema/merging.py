"""Which patients a registration said to be one person."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from node.records.schema.base import Base, now


class Merge(Base):
    """One statement that a patient (MRG-1) was merged into another (PID-3).

    ``patients.survivor_fk`` follows from all of them in the order of ``stated_at``, whatever order they came in.
    """

    __tablename__ = "merges"
    __table_args__ = (UniqueConstraint("prior_fk", "survivor_fk"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    prior_fk: Mapped[int] = mapped_column(ForeignKey("patients.id"), index=True)
    survivor_fk: Mapped[int] = mapped_column(ForeignKey("patients.id"), index=True)
    message_fk: Mapped[int | None] = mapped_column(ForeignKey("messages.id"))
    stated_at: Mapped[dt.datetime] = mapped_column(default=now)  # of the message that said so last
