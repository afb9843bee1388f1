"""Results and their deliveries: what was built, and where it stands on its way to each destination."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from node.errors import StateError
from node.records import timeline
from node.records.schema import Delivery, Job, Result, Study, now
from node.records.states import TAKEN, TRANSITIONS, DeliveryState, Level, check

ACTIVE = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.RETRYING)
WAITING = (DeliveryState.QUEUED, DeliveryState.RETRYING)
PLAIN_SUCCESS = "0x0000"
ALERT = "alert"
"""Kind of the message on a critical finding: it goes before all others."""
ALERT_RETRY_SECONDS = 30.0
"""Longest wait between two tries of an alert, whatever the other waits have grown to."""
COLLECT_SECONDS = 2.0
"""How long what was accepted waits for the rest of its study, to be asked commitment for in one request."""

Again = Callable[[int, dt.datetime], dt.datetime | None]
"""When to try again, from the attempts so far and since when it is tried; None: given up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one delivery: the other side's ``status``, and why, or what to note of a success.

    ``comment`` is kept with the reason, and stands in no timeline: it is the other side's, and may hold anything.
    """

    delivery: int
    status: str
    reason: str = ""
    comment: str = ""

    @property
    def told(self) -> tuple[str, str]:
        """Status and reason, as the timeline has them."""
        return self.status, self.reason


@dataclass(frozen=True, slots=True)
class UnacknowledgedAlert:
    """An alert on its way. No patient data.

    Parameters
    ----------
    delivery, study
        Ids of their rows.
    control_id
        MSH-10 of the message.
    since
        When it was queued for the destination.
    status
        What the other side said last, "" if it was not asked yet.
    """

    delivery: int
    study: int
    destination: str
    control_id: str
    state: DeliveryState
    since: dt.datetime
    attempts: int
    status: str


def add(session: Session, job: Job, result: Result, destinations: Iterable[str]) -> Result:
    """Record a built object and queue it for each destination; the same UID twice is the same row."""
    existing = session.scalar(select(Result).where(Result.uid == result.uid))
    if existing is None:
        result.job_fk = job.id
        session.add(result)
        session.flush()
        existing = result
        timeline.add(session, "result.built", f"{result.kind.upper()} built.", study=job.study_fk)
    known = {delivery.destination for delivery in existing.deliveries}
    for name in destinations:
        if name not in known:
            session.add(Delivery(result_fk=existing.id, destination=name))
    return existing


def newest(session: Session, job: Job, kind: str, profile: str = "") -> Result | None:
    """Return the newest result of a kind and profile that the job, or one that it superseded on its series, has."""
    query = (
        select(Result)
        .join(Job, Job.id == Result.job_fk)
        .where(Job.series_fk == job.series_fk, Job.model == job.model)
        .where(Result.kind == kind, Result.profile == profile)
        .order_by(Result.id.desc())
    )
    return session.scalars(query).first()


def due(session: Session, destination: str, limit: int, *, ordered: bool = False) -> Sequence[Any]:
    """Return what a destination is owed now, alerts first, then the oldest: ``id, kind, uid, path, study_uid``.

    Parameters
    ----------
    ordered
        Whether nothing may overtake its elders, as with HL7 messages: of each kind and study the eldest alone is due,
        also while that one waits for another try; an alert does not wait for another kind. Objects with UIDs need no
        order, and wait for nobody.
    """
    query = (
        select(Delivery.id, Result.kind, Result.uid, Result.path, Study.uid.label("study_uid"))
        .join(Delivery.result)
        .join(Result.job)
        .join(Job.study)
        .where(Delivery.destination == destination, Delivery.state.in_(WAITING), Delivery.next_at <= now())
        .order_by((Result.kind == ALERT).desc(), Delivery.id)
        .limit(limit)
    )
    if ordered:
        query = query.where(Delivery.id.in_(_eldest(destination)))
    return session.execute(query).all()


def _eldest(destination: str) -> Any:
    return (
        select(func.min(Delivery.id))
        .join(Delivery.result)
        .join(Result.job)
        .where(Delivery.destination == destination, Delivery.state.in_(ACTIVE))
        .group_by(Job.study_fk, Result.kind)
    )


def alert_waits(session: Session, destination: str) -> bool:
    """Whether an alert became due for a destination that is busy with other messages."""
    query = (
        select(Delivery.id)
        .join(Delivery.result)
        .where(
            Delivery.destination == destination,
            Delivery.state == DeliveryState.QUEUED,
            Delivery.next_at <= now(),
            Result.kind == ALERT,
        )
        .limit(1)
    )
    return session.scalar(query) is not None


def unacknowledged_alerts(session: Session) -> list[UnacknowledgedAlert]:
    """Return the alerts that their destination has not accepted, oldest first, those given up among them."""
    query = (
        select(Delivery, Result.uid, Job.study_fk)
        .join(Delivery.result)
        .join(Result.job)
        .where(Result.kind == ALERT, Delivery.state.not_in(TAKEN))
        .order_by(Delivery.id)
    )
    return [
        UnacknowledgedAlert(row.id, study, row.destination, uid, row.state, row.created_at, row.attempts, row.status)
        for row, uid, study in session.execute(query)
    ]


def start(session: Session, ids: Sequence[int]) -> list[int]:
    """Mark deliveries as being sent; returns those that still could be."""
    found = select(Delivery.id).where(Delivery.id.in_(ids), Delivery.state.in_(WAITING)).order_by(Delivery.id)
    started = list(session.scalars(found.with_for_update()))
    values = {"state": DeliveryState.SENDING, "attempts": Delivery.attempts + 1, "status": "", "reason": ""}
    _update(session, Delivery.id.in_(started), values)
    return started


def accepted(session: Session, answers: Sequence[Answer], *, commit: bool = False) -> None:
    """Record that the other side has objects, and what it remarked.

    Parameters
    ----------
    commit
        Whether it is asked for storage commitment next.
    """
    at = now()
    commit_at = at + dt.timedelta(seconds=COLLECT_SECONDS) if commit else None
    rows = _rows(session, answers, DeliveryState.ACCEPTED)
    values = {"accepted_at": at, "commit_at": commit_at, "commit_asked": 0, "committed_at": None}
    _set(session, rows, [values] * len(rows), DeliveryState.ACCEPTED)
    for (study, kind, destination, said), count in Counter((*_of(row), answer.told) for row, answer in rows).items():
        remark = f": {said[1]}" if said[1] else ""
        level: Level = "warning" if remark and said[0] != PLAIN_SUCCESS else "info"
        text = f"{_count(kind, count)} accepted by {destination} ({said[0]}){remark.rstrip('.')}."
        timeline.add(session, "delivery.accepted", text, study=study, level=level)


def refused(session: Session, answers: Sequence[Answer], again: Again) -> None:
    """Record that objects were not taken, or not kept, and when they are tried again."""
    rows = _rows(session, answers, DeliveryState.RETRYING)
    retries = [_sooner(row.kind, again(row.attempts, row.created_at)) for row, _ in rows]
    waiting = [(pair, at) for pair, at in zip(rows, retries, strict=True) if at is not None]
    lost = [pair for pair, at in zip(rows, retries, strict=True) if at is None]
    values = [{"next_at": at, "commit_at": None} for _, at in waiting]
    _set(session, [pair for pair, _ in waiting], values, DeliveryState.RETRYING)
    _set(session, lost, [{"commit_at": None}] * len(lost), DeliveryState.FAILED)
    tries = Counter((*_of(row), answer.told, row.attempts, at) for (row, answer), at in waiting)
    for (study, kind, destination, said, attempt, at), count in tries.items():
        when = f"attempt {attempt}; again at {at:%H:%M:%S} UTC"
        text = f"{_count(kind, count)} not taken by {destination}: {said[1] or said[0]} ({when})."
        timeline.add(session, "delivery.retrying", text, study=study, level="warning")
    for (study, kind, destination, said), count in Counter((*_of(row), answer.told) for row, answer in lost).items():
        text = f"{_count(kind, count)} given up for {destination}: {said[1] or said[0]}"
        timeline.add(session, "delivery.failed", text, study=study, level="error")


def _sooner(kind: str, at: dt.datetime | None) -> dt.datetime | None:
    return at if kind != ALERT or at is None else min(at, now() + dt.timedelta(seconds=ALERT_RETRY_SECONDS))


def put_back(session: Session, ids: Sequence[int]) -> None:
    """Queue again what was to be sent and was not tried."""
    waiting = {"state": DeliveryState.QUEUED, "attempts": Delivery.attempts - 1}
    _update(session, Delivery.id.in_(ids) & (Delivery.state == DeliveryState.SENDING), waiting)


def again(session: Session, delivery_id: int) -> None:
    """Send by hand, and now, what waits for another try or was given up.

    Raises
    ------
    StateError
        If the delivery is neither.
    """
    delivery = session.get_one(Delivery, delivery_id, with_for_update=True)
    if delivery.state not in (DeliveryState.RETRYING, DeliveryState.FAILED):
        raise StateError(
            f"the delivery is {delivery.state.value}: only one that waits for another try or was given up is sent again"
        )
    check(delivery.state, DeliveryState.QUEUED)
    delivery.state = DeliveryState.QUEUED
    delivery.next_at = now()
    delivery.created_at = now()  # the days until it is given up count anew
    kind = delivery.result.kind.upper()
    text = f"{kind} queued again for {delivery.destination} by hand."
    timeline.add(session, "delivery.queued", text, study=delivery.result.job.study_fk)


def given_up(session: Session, destination: str = "") -> list[int]:
    """Return the ids of dead letters, of one destination or of all."""
    query = select(Delivery.id).where(Delivery.state == DeliveryState.FAILED).order_by(Delivery.id)
    return list(session.scalars(query.where(Delivery.destination == destination) if destination else query))


def recover(session: Session, destination: str | None = None) -> int:
    """Queue again what is marked as being sent and is not; the receiver drops what it already has.

    Call it when nothing is being sent: after a start, or, for one destination, between its rounds.
    """
    stuck = Delivery.state == DeliveryState.SENDING
    if destination is not None:
        stuck &= Delivery.destination == destination
    count = session.scalar(select(func.count(Delivery.id)).where(stuck)) or 0
    _update(session, stuck, {"state": DeliveryState.QUEUED})
    return count


def without_destination(session: Session, known: Iterable[str]) -> int:
    """Say of deliveries to destinations that are not configured any more that they wait; returns how many."""
    query = (
        select(Delivery.destination, func.count(Delivery.id))
        .where(Delivery.state.in_(ACTIVE), Delivery.destination.not_in(list(known)))
        .group_by(Delivery.destination)
    )
    found = session.execute(query).all()
    for name, count in found:
        text = f"{name} is no destination any more; deliveries that wait until it is one again: {count}."
        timeline.add(session, "delivery.no_destination", text, level="warning")
    return sum(count for _, count in found)


Pair = tuple[Any, Answer]
"""A delivery with its study and kind, and what became of it."""


def _rows(session: Session, answers: Sequence[Answer], state: DeliveryState) -> list[Pair]:
    """Return what the table lets go into a state: what is not being sent any more is left as it is."""
    said = {answer.delivery: answer for answer in answers}
    columns = (Delivery.id, Delivery.state, Delivery.attempts, Delivery.created_at, Delivery.destination)
    query = select(*columns, Result.kind, Job.study_fk).join(Delivery.result).join(Result.job)
    rows = session.execute(query.where(Delivery.id.in_(said)).order_by(Delivery.id))
    return [(row, said[row.id]) for row in rows if state in TRANSITIONS[DeliveryState][row.state]]


def _set(session: Session, rows: Sequence[Pair], values: Sequence[dict[str, Any]], state: DeliveryState) -> None:
    """Update many rows with one statement: a thousand objects take no longer to record than to send."""
    if rows:
        changes = [
            {"id": row.id, "state": state, "status": answer.status[:250], "reason": _reason(answer), **value}
            for (row, answer), value in zip(rows, values, strict=True)
        ]
        session.execute(update(Delivery), changes)


def _reason(answer: Answer) -> str:
    return "; ".join(part for part in (answer.reason, answer.comment) if part)


def _update(session: Session, which: ColumnElement[bool], values: dict[str, Any]) -> None:
    session.execute(update(Delivery).where(which).values(values).execution_options(synchronize_session=False))


def _of(row: Any) -> tuple[int, str, str]:
    return row.study_fk, row.kind, row.destination


def _count(kind: str, number: int) -> str:
    return kind.upper() if number == 1 else f"{number} {kind.upper()}"
