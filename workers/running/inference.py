"""One inference from claim to record: read, run, keep. Several small jobs of one model go through together.

Each job has its own lease, outcome and prediction; what goes wrong with one is that one's alone. While the model is at
work, the series of the next jobs are read (:mod:`workers.running.ahead`), and what was inferred before is recorded and
built (:mod:`workers.running.finishing`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from sqlalchemy.orm import Session

from models.contracts import InputDeclined, ModelCard, ModelError, Prediction, Source
from models.outputs import check_output
from models.running.answers import Answers, Failure, Outcome
from node.errors import OverreadError
from node.records import drift as samples
from node.records import jobs
from node.records.schema import Job
from workers import predictions
from workers.context import Context
from workers.reading import inputs
from workers.reading.record.values import record_of
from workers.reading.volume.load import read_headers
from workers.running import ahead, drift


@dataclass(frozen=True, eq=False)
class Claimed:
    """A job that this worker holds.

    Parameters
    ----------
    job
        As it was when it was claimed.
    urgency
        How urgent what follows is.
    began
        When, in seconds of :func:`time.perf_counter`.
    """

    job: Job
    urgency: str
    began: float

    @property
    def prediction(self) -> str:
        """Where its prediction goes, below the root."""
        return f"predictions/{self.job.id}.{self.job.attempts}"


@dataclass(frozen=True, eq=False)
class Read:
    """A claimed job with what was read for it."""

    claimed: Claimed
    loaded: inputs.Loaded
    source: Source


def infer(context: Context, job_id: str, then: Callable[[Context, Claimed], None]) -> None:
    """Claim a job and others of its model that wait, run the model on them, and record what comes out.

    Parameters
    ----------
    then
        What follows for each job that has a prediction.
    """
    claimed = claim(context, job_id)
    try:
        read = [item for item in (_read(context, one) for one in claimed) if item is not None]
        if not read:
            return
        model = read[0].claimed.job.model
        look_ahead(context, model)
        answers = context.inferrer.infer(model, [item.source for item in read])
        context.finisher.do(lambda: _finish(context, read, answers, then))
    except BaseException:  # an error of ours: the jobs must not stay held, and are asked for again
        for item in claimed:
            context.leases.release(item.job.id)
        raise


def claim(context: Context, job_id: str) -> list[Claimed]:
    """Claim a job, and as many waiting ones of its model as are best run at once; none if it is not to be had."""
    seconds = context.settings.workers.lease_seconds
    with context.records.write() as session:
        first = jobs.claim(session, job_id, context.name, seconds)
        if first is None:
            return []
        room = context.inferrer.batch(first.model) - 1
        mates = [job.id for job in ahead.waiting(session, first.model)][:room] if room > 0 else []
        found = [first, *filter(None, (jobs.claim(session, mate, context.name, seconds) for mate in mates))]
        claimed = [Claimed(job, jobs.urgency(job), time.perf_counter()) for job in found]
    for item in claimed:
        context.leases.hold(item.job.id)
    return claimed


def look_ahead(context: Context, model: str) -> None:
    """Begin to read what comes next; what goes wrong with that is told when it is that job's turn."""
    if context.ahead is None:
        return
    try:
        with context.records.read() as session:
            count = max(1, context.inferrer.batch(model))
            expected = ahead.following(session, context.name, count)
            context.ahead.begin([job for job in expected if ahead.fits(session, job)])
    except Exception as exc:
        context.log.warning("ahead.not_read", error=exc)


def _read(context: Context, claimed: Claimed) -> Read | None:
    """Read a job's series, or take what was read ahead; None where that is the end of the job."""
    job = claimed.job
    try:
        loaded = context.ahead.take(job) if context.ahead is not None else None
        if loaded is None:
            loaded = context.read(job)
        return Read(claimed, loaded, _source(context, job, loaded))
    except Exception as exc:
        _end(context, claimed, _failure(exc))
        return None


def _source(context: Context, job: Job, loaded: inputs.Loaded) -> Source:
    """Give what was read, with the patient's values as they are now where the model's card asks for them."""
    needs = context.card(job.model).requirements.record
    if needs is None:
        return loaded.source
    with context.records.read() as session:
        row = session.get_one(Job, job.id)
        found = record_of(session, row, needs, header=loaded.sources[0] if loaded.sources else None)
    return inputs.with_record(loaded.source, found)


def _finish(context: Context, read: Sequence[Read], answers: Answers, then: Callable[[Context, Claimed], None]) -> None:
    """Keep and record the outcome of each job; what one of them raises ends that one only."""
    inferred = [
        item.claimed
        for item, outcome in zip(read, answers.outcomes, strict=True)
        if _end(context, item.claimed, _kept(context, item, outcome, answers.card), answers.card, item)
    ]
    _tell_version(context, read, answers.card)
    for claimed in inferred:
        then(context, claimed)


def _tell_version(context: Context, read: Sequence[Read], card: ModelCard | None) -> None:
    """Tell which version ran, if it is a new one; a fault in that must not cost what was inferred."""
    try:
        if card is not None:
            context.answered(read[0].claimed.job.model, card)
    except Exception as exc:
        context.log.warning("model.version_not_told", error=exc)


def _kept(context: Context, item: Read, outcome: Outcome, card: ModelCard | None) -> Outcome:
    """Put a prediction on the instances as they are, and on the disk."""
    if isinstance(outcome, Failure):
        return outcome
    if card is None:  # whose prediction it is must be known for ever
        return Failure("the model's card did not come with its answer")
    try:
        check_output(outcome)
        prediction = item.loaded.bring_back(outcome)
        context.keep_headers(item.claimed.job.id, item.loaded.sources)
        predictions.save(prediction, card, context.root / item.claimed.prediction, item.loaded.planes)
    except Exception as exc:
        return _failure(exc)
    return prediction


def _end(
    context: Context, claimed: Claimed, outcome: Outcome, card: ModelCard | None = None, item: Read | None = None
) -> bool:
    """Record an outcome, unless the lease was lost: then the job is somebody else's. Whether there is a prediction."""
    seen = _seen(context, claimed, item, outcome)
    if seen is not None and card is None:
        card = _card(context, claimed.job.model)
    job, failed = claimed.job, isinstance(outcome, Failure) and not outcome.declined
    if isinstance(outcome, Failure) and failed:
        reason = outcome.reason
        context.log.error("job.failed", job=job.id, model=job.model, attempt=job.attempts, reason=reason)
    try:
        with context.records.write() as session:
            held = jobs.held(session, job.id, context.name)
            if held is None:
                return False
            _record(context, session, held, claimed, outcome, card)
            if seen is not None and card is not None:
                samples.keep(session, held, card.name, card.version, seen.scanner, seen.numbers)
    except Exception as exc:  # the records are away: the lease runs out, and the job is asked for again
        context.log.error("job.not_recorded", job=job.id, error=exc)
        return False
    finally:
        context.leases.release(job.id)
    if isinstance(outcome, Failure):
        return False
    seconds = round(time.perf_counter() - claimed.began, 3)
    context.log.info("job.inferred", job=job.id, model=job.model, seconds=seconds)
    return True


def _seen(context: Context, claimed: Claimed, item: Read | None, outcome: Outcome) -> drift.Seen | None:
    """Give the numbers that drift is watched by; a fault in them must not cost the outcome."""
    try:
        if isinstance(outcome, Prediction):
            return None if item is None else drift.seen(item.source, item.loaded.sources, outcome)
        return drift.declined(_headers(context, claimed, item)) if outcome.declined else None
    except Exception as exc:
        context.log.warning("drift.not_measured", job=claimed.job.id, error=exc)
        return None


def _headers(context: Context, claimed: Claimed, item: Read | None) -> Sequence[Dataset]:
    """Give a header of a job's series: what was read, or where reading it was declined, its first file's."""
    if item is not None:
        return item.loaded.sources
    with context.records.read() as session:
        return read_headers(context.paths(session, claimed.job)[:1])


def _card(context: Context, model: str) -> ModelCard | None:
    """Give the card of a model that did not come with an answer."""
    try:
        return context.card(model)
    except ModelError:
        return None


def _record(
    context: Context, session: Session, held: Job, claimed: Claimed, outcome: Outcome, card: ModelCard | None
) -> None:
    if isinstance(outcome, Prediction):
        findings = predictions.recorded(outcome, card)
        jobs.infer_done(
            session,
            held,
            version=card.version if card is not None else "",
            prediction=claimed.prediction,
            findings=findings,
            warnings=list(outcome.warnings),
        )
    elif outcome.declined:
        jobs.decline(session, held, outcome.reason)
    else:
        jobs.retry_or_fail(session, held, outcome.reason, context.settings.workers.max_attempts)


def _failure(exc: Exception) -> Failure:
    return Failure(reason_of(exc), declined=isinstance(exc, InputDeclined))


def reason_of(exc: Exception) -> str:
    """Say what went wrong; foreign exception texts may quote the input: only the class is told."""
    return str(exc) if isinstance(exc, OverreadError | ModelError) else f"internal error ({type(exc).__name__})"
