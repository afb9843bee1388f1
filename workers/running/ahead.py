"""Reading the series of the jobs that come next while the model is at work on the present one.

Nothing is claimed by it: another worker may take such a job, and what was read of it is dropped. What comes next is
told from the records, in the order in which the broker serves: urgent first, then the oldest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from models import machine
from node.decide.priority import rank
from node.records import jobs
from node.records.schema import Instance, Job
from node.records.states import JobState
from workers.reading.inputs import Loaded

LOOKED_AT = 200
"""Most waiting jobs that are looked at."""

KEPT = 2
"""Series that are kept in memory, unless a model takes more than that at once."""

SHARE = 4
"""A part of the free memory, one over this, is what is read ahead at most."""

GROWTH = 4
"""How much larger a series may become when it is decoded: stored 16 bits become 32, and lossless halves at least."""

Key = tuple[str, str]


def following(session: Session, worker: str, count: int) -> list[Job]:
    """Return the jobs that this worker is likely to get next, at most ``count``.

    Each of the other workers that are at a job takes one before this one is through with its own.
    """
    others = select(func.count(Job.id)).where(Job.state == JobState.RUNNING, Job.worker != worker)
    skipped = session.scalar(others) or 0
    return waiting(session)[skipped : skipped + count]


def waiting(session: Session, model: str = "") -> list[Job]:
    """Return the jobs that wait to be inferred, most urgent first; of one model, where it is named."""
    query = select(Job).where(Job.state == JobState.QUEUED).order_by(Job.created_at).limit(LOOKED_AT)
    if model:
        query = query.where(Job.model == model)
    found = session.scalars(query.options(joinedload(Job.study))).all()
    return sorted(found, key=lambda job: rank(jobs.urgency(job)))  # sorting keeps the oldest first


def fits(session: Session, job: Job) -> bool:
    """Whether a job's series may be kept in memory beside what is at work."""
    stored = session.scalar(select(func.sum(Instance.size)).where(Instance.series_fk == job.series_fk)) or 0
    return stored * GROWTH * SHARE <= machine.free_memory()


class Ahead:
    """The series that are read or being read.

    Parameters
    ----------
    read
        Reads the series of a job; may raise what reading raises.
    """

    def __init__(self, read: Callable[[Job], Loaded]) -> None:
        self._read = read
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead")
        self._futures: dict[Key, Future[Loaded]] = {}

    def begin(self, expected: Sequence[Job]) -> None:
        """Read the series of these jobs, in this order; what is not expected any more is dropped."""
        keys = {_key(job): job for job in expected}
        for key in self._futures.keys() - keys.keys():
            self._futures.pop(key).cancel()
        for key, job in keys.items():
            if key not in self._futures:
                self._futures[key] = self._pool.submit(self._read, job)

    def take(self, job: Job) -> Loaded | None:
        """Give what was read for a job, and wait for it if it is being read; None where it has to be read.

        Raises
        ------
        Exception
            What reading raised.
        """
        future = self._futures.pop(_key(job), None)
        if future is None or future.cancel():
            return None
        return future.result()

    def close(self) -> None:
        """Read nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _key(job: Job) -> Key:
    return job.id, job.input_digest
