"""What was learned of the senders: how each pauses within a study."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.decide.gaps import Pauses, between
from node.records.schema import Instance, Source, Study, now


def pauses(session: Session, ae_title: str) -> Pauses:
    """Return what is known of a calling AE title."""
    row = _row(session, ae_title)
    return Pauses() if row is None else Pauses.decode(row.pauses)


def learn(session: Session, study: Study, instances: Iterable[Instance], since: dt.datetime | None) -> Pauses | None:
    """Learn from a study that was judged; returns what is known of its source, None if nothing was learned.

    ``since`` is when it was judged before, None if it was not: what had come by then is learned already, and the gap
    to the first instance after it is the pause that was too long for that verdict.
    """
    if not study.calling_ae_title:
        return None
    gaps = _gaps([instance.received_at.timestamp() for instance in instances], since)
    if not gaps:
        return None
    row = _row(session, study.calling_ae_title)
    if row is None:
        row = Source(ae_title=study.calling_ae_title, pauses={})
        session.add(row)
    known = Pauses.decode(row.pauses).fed(gaps)
    row.pauses, row.learned_at = known.encode(), now()
    return known


def _gaps(times: list[float], since: dt.datetime | None) -> list[float]:
    learned = [] if since is None else [time for time in times if time <= since.timestamp()]
    return between(times, max(learned, default=None))


def _row(session: Session, ae_title: str) -> Source | None:
    return session.scalars(select(Source).where(Source.ae_title == ae_title)).one_or_none()
