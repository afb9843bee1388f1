"""Entering what a message says of an order: which row it means, and what it changes there.

Messages come late, twice and in any order. So each field of an order keeps the time of the statement that it is from
(:attr:`~node.records.schema.Order.stated`): an older statement fills what no newer one says, and changes nothing else.
The same statements therefore give the same order, whichever comes first.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from node.errors import StateError
from node.records import orders, stated
from node.records.schema import Order, Patient, Study, now

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "accession_number": ("accession_number",),
    "study_uid": ("study_uid",),
    "procedure": ("procedure_code", "procedure_scheme", "procedure_text"),
    "priority": ("priority",),
    "reason": ("reason",),
    "status": ("status",),
}
"""What is stated together, and the columns that it fills; everything else is of the context."""
_SHOWN = ("placer_number", "filler_number", *(column for columns in _COLUMNS.values() for column in columns))


class NumberTaken(StateError):
    """An order with exactly these numbers is kept for another patient."""


@dataclass(frozen=True, slots=True)
class OrderStatement:
    """What one message says of one order; "" is not said.

    Parameters
    ----------
    placer_number, filler_number
        ``id^namespace``.
    accession_number
        As stated; where no message states one, the filler number stands for it.
    procedure
        Code, coding scheme, text.
    status
        The status that follows from ORC-1 and ORC-5.
    context
        What an ORU copies: ``{"ORC": {"12": ...}, "OBR": {...}, "PV1": ..., "SPM": [...]}``.
    """

    placer_number: str = ""
    filler_number: str = ""
    accession_number: str = ""
    study_uid: str = ""
    procedure: tuple[str, str, str] = ("", "", "")
    priority: str = ""
    reason: str = ""
    status: str = ""
    context: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True)
class Entered:
    """The order; whether anything that a report shows is different now; and whether a newer statement was there."""

    order: Order
    changed: bool
    older: bool = False


def enter(
    session: Session, patient: Patient, said: OrderStatement, at: dt.datetime, message: int | None = None
) -> Entered:
    """Put a statement into the records.

    Rows that turn out to be one order (one knew the placer's number, the other the filler's) become one.

    Raises
    ------
    NumberTaken
        The order is another patient's.
    """
    rows = orders.meant(session, patient, said.placer_number, said.filler_number, said.accession_number)
    with session.no_autoflush:
        row = _joined(session, rows) if rows else _new(patient)
        before = _shown(row) if rows else None
        older = row.stated_at is not None and at < row.stated_at
        _fold(row, _flat(said), at)
        _take_numbers(row, said.placer_number, said.filler_number)
        changed = _shown(row) != before
        if changed and orders.owned_by_another(session, patient, row):
            raise NumberTaken("the order number belongs to another patient")
        if not older:
            row.stated_at, row.message_fk = at, message
        if changed:
            row.updated_at = now()
        session.add(row)
    session.flush()
    return Entered(row, changed, older)


def _new(patient: Patient) -> Order:
    return Order(
        patient=patient,
        placer_number="",
        filler_number="",
        accession_number="",
        study_uid="",
        procedure_code="",
        procedure_scheme="",
        procedure_text="",
        priority="ROUTINE",
        reason="",
        status="NW",
        context={},
        stated={},
    )


def _flat(said: OrderStatement) -> dict[str, Any]:
    """Return what is said, by what is said together: ``procedure``, ``ORC.12``, ``PV1``."""
    flat: dict[str, Any] = {
        "study_uid": said.study_uid,
        "procedure": said.procedure if any(said.procedure) else "",
        "priority": said.priority,
        "reason": said.reason,
        "status": said.status,
        "accession_number": said.accession_number,
    }
    for segment, content in said.context.items():
        if isinstance(content, Mapping):
            flat |= {f"{segment}.{number}": text for number, text in content.items()}
        else:
            flat[segment] = content
    return {key: value for key, value in flat.items() if value}


def _fold(row: Order, flat: Mapping[str, Any], at: dt.datetime) -> None:
    """Take over each field that no newer statement has filled."""
    newest = {key: flat[key] for key in stated.latest(row.stated, flat, at)}
    _set(row, newest)
    row.stated = {**row.stated, **dict.fromkeys(newest, stated.stamp(at))}


def _set(row: Order, values: Mapping[str, Any]) -> None:
    context = {name: dict(part) if isinstance(part, Mapping) else part for name, part in row.context.items()}
    for key, value in values.items():
        if key in _COLUMNS:
            parts = value if isinstance(value, tuple) else (value,)
            for column, part in zip(_COLUMNS[key], parts, strict=True):
                setattr(row, column, part)
        elif "." in key:
            segment, number = key.split(".")
            context.setdefault(segment, {})[number] = value
        else:
            context[key] = value
    row.context = context


def _take_numbers(row: Order, placer: str, filler: str) -> None:
    """Complete the numbers of an order; where no accession number was stated, the filler number stands for it."""
    derived = ("", _as_accession(row.filler_number), _as_accession(filler))
    row.placer_number = _fuller(row.placer_number, placer)
    row.filler_number = _fuller(row.filler_number, filler)
    if "accession_number" not in row.stated and row.accession_number in derived:
        row.accession_number = _as_accession(row.filler_number)


def _fuller(known: str, said: str) -> str:
    """Return the one of two equal entity identifiers that names its namespace."""
    return said if said and not ("^" in known and "^" not in said) else known


def _as_accession(filler: str) -> str:
    number = filler.partition("^")[0]
    return number if len(number) <= orders.ACCESSION_MAX else ""


def _joined(session: Session, rows: Sequence[Order]) -> Order:
    """Make one row of those that mean one order; two that cannot be the same stay two."""
    kept = rows[0]
    for other in rows[1:]:
        same_placer = not orders.differ(kept.placer_number, other.placer_number)
        if same_placer and not orders.differ(kept.filler_number, other.filler_number):
            _absorb(session, kept, other)
    return kept


def _absorb(session: Session, kept: Order, other: Order) -> None:
    newer = {key: value for key, value in _content(other).items() if _later(other, kept, key)}
    _set(kept, newer)
    kept.stated = {**kept.stated, **{key: other.stated[key] for key in newer if key in other.stated}}
    if other.stated_at is not None and (kept.stated_at is None or other.stated_at > kept.stated_at):
        kept.stated_at, kept.message_fk = other.stated_at, other.message_fk
    placer, filler, accession = other.placer_number, other.filler_number, other.accession_number
    session.execute(update(Study).where(Study.order_fk == other.id).values(order_fk=kept.id))
    session.delete(other)
    session.flush()  # its numbers must be free before they are given to the other row
    kept.accession_number = kept.accession_number or accession
    _take_numbers(kept, placer, filler)


def _later(other: Order, kept: Order, key: str) -> bool:
    if key not in kept.stated:
        return key in other.stated or key not in _content(kept)
    return str(other.stated.get(key, "")) > str(kept.stated[key])


def _content(row: Order) -> dict[str, Any]:
    """Return what a row says in the form of :func:`_flat`; a default that nobody stated is none of it."""
    said = OrderStatement(
        accession_number=row.accession_number if "accession_number" in row.stated else "",
        study_uid=row.study_uid,
        procedure=(row.procedure_code, row.procedure_scheme, row.procedure_text),
        priority=row.priority if "priority" in row.stated else "",
        reason=row.reason,
        status=row.status if "status" in row.stated else "",
        context=row.context,
    )
    return _flat(said)


def _shown(row: Order) -> tuple[Any, ...]:
    return tuple(getattr(row, column) for column in _SHOWN)
