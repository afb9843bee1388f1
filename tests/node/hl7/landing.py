"""Messages put straight into records, looked at, and taken back: no test sees what another one did."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.hl7 import fields, inbound
from node.hl7.handlers.common import Incoming
from node.records.engine import Records
from node.records.schema import Message, Note, Observation, Order, Patient
from node.settings import Hl7Section

RECEIVED = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def take(session: Session, raw: bytes) -> str:
    """Take a message over; returns what was said of it. Raises what it is refused by."""
    understood = inbound.understand(raw, Hl7Section())
    row = Message(raw=raw, digest="")
    session.add(row)
    session.flush()
    at = fields.stated_at(understood.message, RECEIVED)
    return understood.take(Incoming(session, understood.message, row.id, Hl7Section(), at))


@contextmanager
def landed(store: Records, raws: Iterable[bytes]) -> Iterator[Session]:
    """Give a session that shows what came of messages; nothing of it stays."""
    with store.write() as session:
        nested = session.begin_nested()
        for raw in raws:
            take(session, raw)
        session.flush()
        session.expire_all()
        yield session
        nested.rollback()


def orders_of(session: Session) -> list[Any]:
    """Return all orders, without row numbers."""
    return sorted(
        (
            *(row.placer_number, row.filler_number, row.accession_number, row.study_uid, row.status, row.priority),
            *(row.procedure_code, row.procedure_text, row.reason, str(row.stated_at)),
            *(str(sorted((name, str(part)) for name, part in _context(row))), str(sorted(row.stated.items()))),
        )
        for row in session.scalars(select(Order))
    )


def _context(row: Order) -> Iterator[tuple[str, Any]]:
    for name, part in row.context.items():
        yield name, sorted(part.items()) if isinstance(part, dict) else part


def notes_of(session: Session) -> list[Any]:
    """Return all notes, without row numbers."""
    return sorted(
        (row.document_number, row.text, row.state, row.reason, row.replaces, row.author, row.accession_number)
        for row in session.scalars(select(Note))
    )


def values_of(session: Session) -> list[Any]:
    """Return all values, without row numbers."""
    return sorted(
        (row.filler_number, row.code, row.sub_id, str(row.observed_at), row.value, row.unit, row.flag, row.status)
        for row in session.scalars(select(Observation))
    )


def people_of(session: Session) -> list[Any]:
    """Return all patients, without row numbers."""
    return sorted(
        (row.patient_id, row.issuer, row.name, row.birth_date, row.sex) for row in session.scalars(select(Patient))
    )


def rows_of(session: Session) -> tuple[list[Any], ...]:
    """Return everything that messages bring."""
    return people_of(session), orders_of(session), notes_of(session), values_of(session)
