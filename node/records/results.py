"""Results and their deliveries: what was built, and where it stands on its way to each destination."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from node.records import timeline
from node.records.schema import Delivery, Job, Result, now
from node.records.states import DeliveryState, check

ACTIVE = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.RETRYING)


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


def newest(session: Session, job: Job, kind: str) -> Result | None:
    """Return the newest result of a kind that the job, or the job it superseded on the same series, has."""
    query = (
        select(Result)
        .join(Job, Job.id == Result.job_fk)
        .where(Job.series_fk == job.series_fk, Job.model == job.model, Result.kind == kind)
        .order_by(Result.id.desc())
    )
    return session.scalars(query).first()


def due(session: Session, destination: str, limit: int) -> Sequence[Delivery]:
    """Return what a destination is owed now, oldest first, of each kind and study the eldest alone.

    So nothing overtakes its elders, and what waits for another try holds back nothing else.
    """
    waiting = (DeliveryState.QUEUED, DeliveryState.RETRYING)
    eldest = (
        select(func.min(Delivery.id))
        .join(Delivery.result)
        .join(Result.job)
        .where(Delivery.destination == destination, Delivery.state.in_(ACTIVE))
        .group_by(Job.study_fk, Result.kind)
    )
    query = (
        select(Delivery)
        .options(selectinload(Delivery.result).selectinload(Result.job).selectinload(Job.study))
        .where(Delivery.destination == destination, Delivery.state.in_(waiting), Delivery.next_at <= now())
        .where(Delivery.id.in_(eldest))
        .order_by(Delivery.id)
        .limit(limit)
    )
    return session.scalars(query).all()


def step(delivery: Delivery, state: DeliveryState, *, status: str = "", reason: str = "") -> None:
    """Move a delivery; raises StateError if the table has no such step."""
    check(delivery.state, state)
    delivery.state = state
    delivery.status = status
    delivery.reason = reason


def start(session: Session, ids: Sequence[int]) -> list[int]:
    """Mark deliveries as being sent; returns those that still could be."""
    started = []
    for delivery in session.scalars(select(Delivery).where(Delivery.id.in_(ids))):
        if delivery.state in (DeliveryState.QUEUED, DeliveryState.RETRYING):
            step(delivery, DeliveryState.SENDING)
            delivery.attempts += 1
            started.append(delivery.id)
    return started


def delivered(session: Session, delivery_id: int, status: str) -> None:
    """Record that the other side confirmed an object."""
    delivery = session.get_one(Delivery, delivery_id)
    step(delivery, DeliveryState.DELIVERED, status=status)
    delivery.delivered_at = now()
    _line(session, delivery, "delivery.delivered", f"confirmed by {delivery.destination} ({status}).", "info")


def refused(session: Session, delivery_id: int, status: str, reason: str, retry_at: dt.datetime | None) -> None:
    """Record that an object was not taken; ``retry_at`` None gives up."""
    delivery = session.get_one(Delivery, delivery_id)
    if retry_at is None:
        step(delivery, DeliveryState.FAILED, status=status, reason=reason)
        _line(session, delivery, "delivery.failed", f"given up for {delivery.destination}: {reason}", "error")
        return
    step(delivery, DeliveryState.RETRYING, status=status, reason=reason)
    delivery.next_at = retry_at
    when = f"attempt {delivery.attempts}; again at {retry_at:%H:%M:%S} UTC"
    text = f"not taken by {delivery.destination}: {reason} ({when})."
    _line(session, delivery, "delivery.retrying", text, "warning")


def again(session: Session, delivery_id: int) -> None:
    """Queue a given-up delivery again, by hand."""
    delivery = session.get_one(Delivery, delivery_id)
    step(delivery, DeliveryState.QUEUED)
    delivery.next_at = now()
    delivery.created_at = now()  # the days until it is given up count anew
    _line(session, delivery, "delivery.queued", f"queued again for {delivery.destination} by hand.", "info")


def recover(session: Session, destination: str | None = None) -> int:
    """Queue again what is marked as being sent and is not; the receiver drops what it already has.

    Call it when nothing is being sent: after a start, or, for one destination, between its rounds.
    """
    query = select(Delivery).where(Delivery.state == DeliveryState.SENDING)
    if destination is not None:
        query = query.where(Delivery.destination == destination)
    stuck = session.scalars(query).all()
    for delivery in stuck:
        step(delivery, DeliveryState.QUEUED)
    return len(stuck)


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


def _line(session: Session, delivery: Delivery, kind: str, text: str, level: timeline.Level) -> None:
    result = delivery.result
    timeline.add(session, kind, f"{result.kind.upper()} {text}", study=result.job.study_fk, level=level)
