"""Storage commitment (PS3.4 annex J) as user: which archives are asked about which deliveries, and what they said."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from node.records import results, timeline
from node.records.results import Again, Answer
from node.records.schema import CommitmentRequest, Delivery, Job, Result, Study, now
from node.records.states import DeliveryState, check

FAILURE_REASONS: Mapping[int, str] = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class / instance conflict",
    0x0122: "referenced SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}
"""Failure Reason (0008,1197), PS3.3 C.14.1.1."""


def due(session: Session, destination: str, limit: int) -> Sequence[Any]:
    """Return what an archive is to be asked about, by study.

    Each row has ``id, uid, sop_class, study_uid, commit_asked, accepted_at``.
    """
    columns = (Delivery.id, Result.uid, Result.sop_class, Study.uid.label("study_uid"))
    query = (
        select(*columns, Delivery.commit_asked, Delivery.accepted_at)
        .join(Delivery.result)
        .join(Result.job)
        .join(Job.study)
        .where(Delivery.destination == destination, Delivery.commit_at <= now())
        .where(Delivery.state == DeliveryState.ACCEPTED)
        .order_by(Job.study_fk, Delivery.id)
        .limit(limit)
    )
    return session.execute(query).all()


def ask(
    session: Session, destination: str, transaction_uid: str, ids: Sequence[int], answer_by: dt.datetime
) -> CommitmentRequest:
    """Record a request that is about to be sent; without an answer by then the archive is asked again."""
    row = CommitmentRequest(transaction_uid=transaction_uid, destination=destination, deliveries=list(ids))
    session.add(row)
    session.flush()
    values = {"commit_asked": Delivery.commit_asked + 1, "commit_at": answer_by}
    _update(session, ids, values)
    return row


def not_asked(session: Session, transaction_uid: str, reason: str, again: dt.datetime) -> None:
    """Record that a request did not reach the archive, and when it is asked again."""
    row = _find(session, transaction_uid)
    if row is None:
        return
    _update(session, row.deliveries, {"commit_at": again})
    when = f"again at {again:%H:%M:%S} UTC"
    text = (
        f"{row.destination} could not be asked for storage commitment of {_count(row.deliveries)}: {reason} ({when})."
    )
    _line(session, row, "delivery.commitment_retrying", text, "warning")


def asked(session: Session, transaction_uid: str) -> None:
    """Record that the archive took a request."""
    if (row := _find(session, transaction_uid)) is not None:
        text = f"{row.destination} was asked for storage commitment of {_count(row.deliveries)}."
        _line(session, row, "delivery.commitment_asked", text, "info")


def unanswered(session: Session, ids: Sequence[int]) -> None:
    """Give up what an archive accepted, and for days has not said that it keeps it."""
    reason = "accepted, but the archive has not given storage commitment for days"
    results.refused(session, [Answer(key, "no commitment", reason) for key in ids], lambda *_: None)


def answered(
    session: Session, transaction_uid: str, committed: Collection[str], failed: Mapping[str, int], again: Again
) -> bool:
    """Record a report: what is committed is so for good, what failed is sent again.

    The same report again changes nothing.

    Parameters
    ----------
    committed, failed
        SOP Instance UIDs; of the failed ones with their Failure Reasons.

    Returns
    -------
    bool
        False if no request has this transaction.
    """
    row = _find(session, transaction_uid)
    if row is None:
        return False
    row.answered_at = row.answered_at or now()
    columns = (Delivery.id, Result.uid, Delivery.state, Delivery.accepted_at)
    query = select(*columns).join(Delivery.result).where(Delivery.id.in_(row.deliveries))
    held = [item for item in session.execute(query) if item.state is DeliveryState.ACCEPTED]
    kept = [item.id for item in held if item.uid in committed and item.uid not in failed]
    if kept:
        check(DeliveryState.ACCEPTED, DeliveryState.COMMITTED)
        _update(session, kept, {"state": DeliveryState.COMMITTED, "committed_at": now(), "commit_at": None})
        text = f"{row.destination} has committed itself to storing {_count(kept)}."
        _line(session, row, "delivery.committed", text, "info")
    # What was accepted after this request was made was sent again since: an old refusal says nothing about it.
    lost = [item for item in held if item.uid in failed and item.accepted_at <= row.created_at]
    results.refused(session, [_failure(item.id, failed[item.uid]) for item in lost], again)
    return True


def _failure(delivery: int, reason: int) -> Answer:
    said = FAILURE_REASONS.get(reason, "failure")
    return Answer(delivery, f"0x{reason:04X}", f"storage commitment refused: 0x{reason:04X}, {said}")


def _find(session: Session, transaction_uid: str) -> CommitmentRequest | None:
    return session.scalars(select(CommitmentRequest).filter_by(transaction_uid=transaction_uid)).one_or_none()


def _update(session: Session, ids: Sequence[int], values: dict[str, Any]) -> None:
    statement = update(Delivery).where(Delivery.id.in_(ids)).values(values)
    session.execute(statement.execution_options(synchronize_session=False))


def _line(session: Session, row: CommitmentRequest, kind: str, text: str, level: timeline.Level) -> None:
    query = select(Job.study_fk).join(Result, Result.job_fk == Job.id).join(Delivery, Delivery.result_fk == Result.id)
    study = session.scalar(query.where(Delivery.id.in_(row.deliveries)).limit(1))
    timeline.add(session, kind, text, study=study, level=level)


def _count(ids: Sequence[int]) -> str:
    return "1 object" if len(ids) == 1 else f"{len(ids)} objects"
