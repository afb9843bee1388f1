"""What drift is watched by: the numbers of each run, by model, version and scanner."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from node.drift import MIN_RECENT, MIN_REFERENCE
from node.records.schema import DriftSample, Job

REFERENCE = 200
"""The first runs of a model's version on a scanner: what later ones are held against."""
RECENT = 100
"""The last runs, of those after the reference."""
MAX_NUMBERS = 24
"""Most numbers that are kept of a run."""
MAX_GROUPS = 48
"""Most pairs of model and scanner that are looked at, those with the most runs first."""


@dataclass(frozen=True, slots=True)
class Series:
    """One number of a model's version on a scanner: its values in the reference and in recent runs.

    ``needs`` is how many more runs there must be before these are compared; None where that will not be, because too
    few of the first runs had the number.
    """

    model: str
    version: str
    scanner: str
    number: str
    reference: Sequence[float]
    recent: Sequence[float]
    needs: int | None = 0


def keep(session: Session, job: Job, model: str, version: str, scanner: str, numbers: Mapping[str, float]) -> None:
    """Keep the numbers of a run, once for each job; numbers that are none are left out."""
    kept = {name[:64]: float(value) for name, value in sorted(numbers.items()) if math.isfinite(value)}
    if not kept or session.scalar(select(DriftSample.id).where(DriftSample.job_fk == job.id)) is not None:
        return
    kept = dict(list(kept.items())[:MAX_NUMBERS])
    session.add(DriftSample(job_fk=job.id, model=model[:64], version=version[:32], scanner=scanner[:64], numbers=kept))


def series(session: Session, model: str = "") -> Iterator[Series]:
    """Give every number of every model (or one) and scanner, with what it was at first and what it is lately."""
    sample = DriftSample
    groups = session.execute(
        select(sample.model, sample.version, sample.scanner)
        .where(*([sample.model == model] if model else []))
        .group_by(sample.model, sample.version, sample.scanner)
        .order_by(func.count().desc(), sample.model, sample.version, sample.scanner)
        .limit(MAX_GROUPS)
    )
    for name, version, scanner in groups.all():
        these = (sample.model == name, sample.version == version, sample.scanner == scanner)
        first, last = _windows(session, these)
        for number in sorted({name for row in (*first, *last) for name in row}):
            before, after = _values(first, number), _values(last, number)
            yield Series(name, version, scanner, number, before, after, _needs(len(first), before, after))


def _needs(first: int, before: Sequence[float], after: Sequence[float]) -> int | None:
    """Runs until there is an index: the reference is filled first, then enough runs come after it."""
    if first < REFERENCE:
        return REFERENCE - first + MIN_RECENT
    return None if len(before) < MIN_REFERENCE else max(0, MIN_RECENT - len(after))


def _windows(
    session: Session, these: tuple[ColumnElement[bool], ...]
) -> tuple[list[Mapping[str, float]], list[Mapping[str, float]]]:
    rows = select(DriftSample.numbers, DriftSample.id).where(*these)
    first = session.execute(rows.order_by(DriftSample.id).limit(REFERENCE)).all()
    if len(first) < REFERENCE:
        return [row.numbers for row in first], []
    later = rows.where(DriftSample.id > first[-1].id).order_by(DriftSample.id.desc()).limit(RECENT)
    return [row.numbers for row in first], [row.numbers for row in session.execute(later)]


def _values(rows: Iterable[Mapping[str, float]], number: str) -> list[float]:
    return [row[number] for row in rows if number in row]
