"""The timeline: one line for everything that happened to a study, a message or a process."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from node.records.schema import Event, Study, now
from node.records.states import Level

__all__ = ["Level", "add", "last_id", "of_message", "of_node", "of_study", "since"]


def add(
    session: Session,
    kind: str,
    text: str,
    *,
    study: Study | int | None = None,
    message: int | None = None,
    level: Level = "info",
    at: dt.datetime | None = None,
) -> Event:
    """Write a line. ``text`` is one sentence without patient data; ``study`` a row or its id; ``at`` if not now."""
    study_fk = study.id if isinstance(study, Study) else study
    event = Event(kind=kind, text=text, study_fk=study_fk, message_fk=message, level=level, at=at or now())
    session.add(event)
    return event


def of_study(session: Session, study_id: int) -> Sequence[Event]:
    """Return a study's lines, oldest first."""
    return session.scalars(select(Event).where(Event.study_fk == study_id).order_by(Event.id)).all()


def of_message(session: Session, message_id: int) -> Sequence[Event]:
    """Return a message's lines, oldest first."""
    return session.scalars(select(Event).where(Event.message_fk == message_id).order_by(Event.id)).all()


def of_node(session: Session, limit: int = 100) -> Sequence[Event]:
    """Return the newest lines that belong to no study, newest first."""
    query = select(Event).where(Event.study_fk.is_(None)).order_by(Event.id.desc()).limit(limit)
    return session.scalars(query).all()


def last_id(session: Session) -> int:
    """Return the id of the newest line: the cursor for live views."""
    return session.scalar(select(func.max(Event.id))) or 0


def since(session: Session, cursor: int, limit: int = 500) -> Sequence[Event]:
    """Return the lines after ``cursor``, oldest first."""
    return session.scalars(select(Event).where(Event.id > cursor).order_by(Event.id).limit(limit)).all()
