"""The timeline."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from node.records.schema.base import Base, now


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
