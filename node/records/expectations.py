"""What somebody says a study holds: told by modalities and archives, read where completeness is judged."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from node.records.schema import Expectation, now


def expect(
    session: Session,
    study_uid: str,
    source: str,
    reference: str,
    *,
    count: int | None = None,
    instances: Iterable[str] = (),
    final: bool = False,
) -> Expectation:
    """Write down what a source says now; it takes the place of what the same source said before.

    Parameters
    ----------
    source
        Who says so: ``mpps``, ``ian``, ``query``, ``order``.
    reference
        What it said it in: a SOP Instance UID, an AE title.
    count
        Number of instances, where it is known.
    instances
        SOP Instance UIDs, where they are known; kept once each, in their order.
    final
        Whether the source has nothing more to name.
    """
    row = _row(session, study_uid, source, reference)
    told = (count, list(dict.fromkeys(instances)), final)
    if (row.count, row.instances, row.final) != told:
        row.count, row.instances, row.final = told
        row.at = now()
        session.flush()
    return row


def of_study(session: Session, study_uid: str) -> list[Expectation]:
    """Return everything that was said of a study, oldest source first."""
    query = select(Expectation).where(Expectation.study_uid == study_uid).order_by(Expectation.id)
    return list(session.scalars(query))


def _row(session: Session, study_uid: str, source: str, reference: str) -> Expectation:
    key = {"study_uid": study_uid, "source": source, "reference": reference}
    query = select(Expectation).filter_by(**key)
    if (known := session.scalars(query).first()) is not None:
        return known
    row = Expectation(**key, count=None, instances=[], final=False, at=now())
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another process was faster
        return session.scalars(query).one()
    return row
