"""Storage commitment (PS3.4 annex J): what was asked for, what was found, and whether the requester knows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from node.errors import InputError, OutOfResources
from node.records import timeline
from node.records.schema import Commitment, Instance, Series, now
from node.records.states import CommitmentState, check

OPEN = (CommitmentState.REQUESTED, CommitmentState.RETRYING)
MAX_OPEN = 1000
"""Requests of one AE title that may wait for their reports: a week of a busy scanner that cannot be called."""

Reference = tuple[str, str]
"""SOP Class UID and SOP Instance UID."""
Failure = tuple[str, str, int]
"""SOP Class UID, SOP Instance UID, Failure Reason (0008,1197)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for commitment, and between whom."""

    transaction_uid: str
    calling_ae_title: str
    called_ae_title: str
    address: str
    references: Sequence[Reference]


class TransactionInUse(InputError):
    """The requester used this Transaction UID before, for other instances (PS3.4 J.3.2.1.1)."""

    dicom_status = 0x0115


def request(session: Session, asked: Asked, next_at: dt.datetime) -> Commitment:
    """Enter a request; the same one again is the same row, and is reported again if it was reported or given up.

    Parameters
    ----------
    next_at
        When to report it.

    Raises
    ------
    TransactionInUse
        If the transaction was asked for with other references.
    OutOfResources
        If the requester has too many open ones.
    """
    row = _find(session, asked) or _add(session, asked, next_at)
    if row.references != _pairs(asked):
        raise TransactionInUse("the Transaction UID is in use for other instances")
    if row.state is not CommitmentState.REQUESTED:
        check(row.state, CommitmentState.REQUESTED)
        row.state, row.attempts, row.created_at = CommitmentState.REQUESTED, 0, now()
        row.called_ae_title, row.address, row.failures = asked.called_ae_title, asked.address, None
        row.next_at = next_at
    return row


def due(session: Session, calling_ae_title: str, limit: int) -> Sequence[Commitment]:
    """Return what a requester is to be told now, oldest first."""
    query = (
        select(Commitment)
        .where(Commitment.calling_ae_title == calling_ae_title, Commitment.state.in_(OPEN))
        .where(Commitment.next_at <= now())
        .order_by(Commitment.id)
        .limit(limit)
    )
    return session.scalars(query).all()


def judged(session: Session, commitment_id: int, failures: Sequence[Failure]) -> None:
    """Keep what was found on disk."""
    session.get_one(Commitment, commitment_id).failures = [list(failure) for failure in failures]


def reported(session: Session, commitment_id: int) -> None:
    """Record that the requester confirmed the report."""
    row = session.get_one(Commitment, commitment_id)
    if row.state not in OPEN:  # another process was faster
        return
    _step(row, CommitmentState.REPORTED)
    row.attempts += 1
    row.reported_at = now()
    failed, count = len(row.failures or ()), len(row.references)
    if failed:
        text = f"{failed} of {_count(count)} could not be committed to {row.calling_ae_title}, which was told so."
        _line(session, row, "commitment.incomplete", text, "warning")
    else:
        text = f"Storage of {_count(count)} was committed to {row.calling_ae_title}."
        _line(session, row, "commitment.reported", text, "info")


def refused(session: Session, commitment_id: int, reason: str, retry_at: dt.datetime | None) -> None:
    """Record that the requester did not take the report; ``retry_at`` None gives up."""
    row = session.get_one(Commitment, commitment_id)
    if row.state not in OPEN:
        return
    row.attempts += 1
    if retry_at is None:
        _step(row, CommitmentState.FAILED, reason)
        text = f"The commitment report for {row.calling_ae_title} was given up: {reason}."
        _line(session, row, "commitment.failed", text, "error")
        return
    _step(row, CommitmentState.RETRYING, reason)
    row.next_at = retry_at
    when = f"attempt {row.attempts}; again at {retry_at:%H:%M:%S} UTC"
    text = f"{row.calling_ae_title} did not take a commitment report: {reason} ({when})."
    _line(session, row, "commitment.retrying", text, "warning")


def orphans(session: Session, reachable: Collection[str], limit: int) -> Sequence[int]:
    """Return ids of overdue reports whose requesters cannot be called."""
    query = select(Commitment.id).where(
        Commitment.state.in_(OPEN),
        Commitment.next_at <= now(),
        Commitment.calling_ae_title.not_in(sorted(reachable)),
    )
    return session.scalars(query.order_by(Commitment.id).limit(limit)).all()


def abandon(session: Session, reachable: Collection[str], limit: int = 100) -> int:
    """Give up the overdue reports of requesters that cannot be called; returns how many."""
    ids = orphans(session, reachable, limit)
    for key in ids:
        refused(session, key, "its association is over, and dicom.peers gives no host and port for it", None)
    return len(ids)


def _find(session: Session, asked: Asked) -> Commitment | None:
    query = select(Commitment).filter_by(transaction_uid=asked.transaction_uid, calling_ae_title=asked.calling_ae_title)
    return session.scalars(query).first()


def _add(session: Session, asked: Asked, next_at: dt.datetime) -> Commitment:
    mine = Commitment.calling_ae_title == asked.calling_ae_title
    count = session.scalar(select(func.count(Commitment.id)).where(mine, Commitment.state.in_(OPEN))) or 0
    if count >= MAX_OPEN:
        raise OutOfResources("too many commitment requests of this AE title are open")
    row = Commitment(
        transaction_uid=asked.transaction_uid,
        calling_ae_title=asked.calling_ae_title,
        called_ae_title=asked.called_ae_title,
        address=asked.address,
        references=_pairs(asked),
        state=CommitmentState.REQUESTED,
        attempts=0,
        reason="",
        created_at=now(),
        next_at=next_at,
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another process was faster
        return _find(session, asked) or row
    return row


def _pairs(asked: Asked) -> list[list[str]]:
    return [list(pair) for pair in asked.references]


def _step(row: Commitment, state: CommitmentState, reason: str = "") -> None:
    check(row.state, state)
    row.state, row.reason = state, reason


def _line(session: Session, row: Commitment, kind: str, text: str, level: timeline.Level) -> None:
    timeline.add(session, kind, text, study=_study(session, row), level=level)


def _count(number: int) -> str:
    return f"{number} instance" if number == 1 else f"{number} instances"


def _study(session: Session, row: Commitment) -> int | None:
    """Return the study of the request's first and last instance, if it is one: requests are made for one study."""
    ends = {row.references[0][1], row.references[-1][1]} if row.references else set()
    query = select(Series.study_fk).join(Series.instances).where(Instance.uid.in_(ends))
    found = set(session.scalars(query))
    return found.pop() if len(found) == 1 else None
