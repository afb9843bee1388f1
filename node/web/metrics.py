"""The Prometheus page: counts and durations read from the records at each scrape. No patient data, bounded labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry
from sqlalchemy import ColumnElement, Float, case, cast, extract, func, select
from sqlalchemy.orm import Session

from node.records import attention
from node.records.engine import Records
from node.records.results import unacknowledged_alerts
from node.records.schema import Instance, Job, Message, ModelRegistration, Shortfall, Study, now
from node.records.states import DeliveryState, JobState, MessageState, StudyState
from node.records.views import backlogs, count_by
from node.web.drift import Drift
from node.web.inbox import waiting_in

MAX_LABELS = 64
"""Different models or destinations that get a line of their own; further ones are summed under "other"."""
BUCKETS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Seconds; from a warm GPU's inference to a night in the queue."""


class NodeCollector(Collector):
    """Reads the record store when Prometheus asks."""

    def __init__(
        self, records: Records, destinations: Iterable[str], inbox: Path | None = None, drift: Drift | None = None
    ) -> None:
        self._records = records
        self._destinations = tuple(destinations)
        self._inbox = inbox
        self._drift = drift or Drift()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics of one scrape."""
        if self._inbox is not None and self._inbox.exists():
            yield from _waiting(self._inbox)
        with self._records.read() as session:
            yield _states(session, "overread_studies", "Studies by state.", Study.state, StudyState)
            yield _states(session, "overread_messages", "HL7 messages by state.", Message.state, MessageState)
            yield _jobs(session)
            yield from _deliveries(session, self._destinations)
            yield GaugeMetricFamily(
                "overread_instances",
                "DICOM instances kept.",
                value=session.scalar(select(func.count(Instance.id))) or 0,
            )
            yield GaugeMetricFamily(
                "overread_incomplete_studies",
                "Studies that lack expected instances and wait, or were analysed without them.",
                value=session.scalar(select(func.count(Shortfall.study_fk))) or 0,
            )
            yield GaugeMetricFamily(
                "overread_unacknowledged_alerts",
                "Alerts on critical findings that their destination has not accepted.",
                value=len(unacknowledged_alerts(session)),
            )
            yield GaugeMetricFamily(
                "overread_open_identity_conflicts",
                "Studies whose images contradict the record of their patient, and that nobody has decided on.",
                value=attention.open_doubts(session),
            )
            yield from self._drift.families(session)
            yield _workers(session)
            yield _stages(session)


def registry(
    records: Records, destinations: Iterable[str], inbox: Path | None = None, drift: Drift | None = None
) -> CollectorRegistry:
    """Return a registry that holds nothing but the node's own collector.

    ``inbox`` is the HL7 listener's file, ``drift`` what keeps the figures of drift between scrapes.
    """
    made = CollectorRegistry(auto_describe=False)
    made.register(NodeCollector(records, destinations, inbox, drift))
    return made


def _waiting(path: Path) -> Iterator[Metric]:
    found = waiting_in(path)
    text = "HL7 messages that are kept and not yet in the records."
    yield GaugeMetricFamily("overread_hl7_waiting", text, value=found.count)
    text = "Age of the eldest of these; 0 if none."
    yield GaugeMetricFamily("overread_hl7_oldest_waiting_seconds", text, value=found.seconds)


def _states(session: Session, name: str, text: str, column: Any, states: Iterable[Any]) -> GaugeMetricFamily:
    found = count_by(session, column)
    family = GaugeMetricFamily(name, text, labels=["state"])
    for state in states:
        family.add_metric([state.value], found.get(state, 0))
    return family


def _jobs(session: Session) -> GaugeMetricFamily:
    family = GaugeMetricFamily("overread_jobs", "Jobs by model and state.", labels=["model", "state"])
    counts: dict[tuple[str, JobState], int] = {}
    rows = session.execute(select(Job.model, Job.state, func.count()).group_by(Job.model, Job.state)).all()
    names = _bounded(model for model, _, _ in rows)
    for model, state, count in rows:
        key = (names[model], state)
        counts[key] = counts.get(key, 0) + count
    for (model, state), count in sorted(counts.items()):
        family.add_metric([model, state.value], count)
    return family


def _bounded(values: Iterable[str]) -> dict[str, str]:
    """Return the label for each value: itself, or "other" beyond :data:`MAX_LABELS`."""
    return {value: value if index < MAX_LABELS else "other" for index, value in enumerate(sorted(set(values)))}


def _deliveries(session: Session, destinations: Iterable[str]) -> Iterator[Metric]:
    rows = backlogs(session, tuple(destinations))[:MAX_LABELS]
    counts = GaugeMetricFamily(
        "overread_deliveries", "Deliveries by destination and state.", labels=["destination", "state"]
    )
    ages = GaugeMetricFamily(
        "overread_oldest_undelivered_seconds",
        "Age of the oldest delivery that is still on its way; 0 if none is.",
        labels=["destination"],
    )
    for row in rows:
        for state in DeliveryState:
            counts.add_metric([row.destination, state.value], row.counts.get(state, 0))
        age = (now() - row.oldest).total_seconds() if row.oldest else 0.0
        ages.add_metric([row.destination], max(0.0, age))
    yield counts
    yield ages


def _workers(session: Session) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "overread_model_seen_timestamp_seconds", "When a worker last registered the model.", labels=["model", "version"]
    )
    for model in session.scalars(select(ModelRegistration).order_by(ModelRegistration.name).limit(MAX_LABELS)):
        family.add_metric([model.name, model.version], model.seen_at.timestamp())
    return family


def _stages(session: Session) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "overread_job_stage_seconds",
        "Seconds that finished jobs waited in the queue, and worked.",
        labels=["model", "stage"],
    )
    stages = (("queue", Job.created_at, Job.started_at), ("work", Job.started_at, Job.finished_at))
    for stage, begin, end in stages:
        for model, total, count, *below in session.execute(_histogram(session, begin, end)):
            buckets = [(str(bound), int(number or 0)) for bound, number in zip(BUCKETS, below, strict=True)]
            family.add_metric([model, stage], [*buckets, ("+Inf", count)], sum_value=float(total or 0.0))
    return family


def _histogram(session: Session, begin: Any, end: Any) -> Any:
    seconds = _seconds(session, begin, end)
    return (
        select(
            Job.model,
            func.sum(seconds),
            func.count(),
            *(func.sum(case((seconds <= bound, 1), else_=0)) for bound in BUCKETS),
        )
        .where(Job.state == JobState.DONE, begin.is_not(None), end.is_not(None))
        .group_by(Job.model)
        .order_by(Job.model)
        .limit(MAX_LABELS)
    )


def _seconds(session: Session, begin: Any, end: Any) -> ColumnElement[float]:
    """Seconds between two time columns, in the words of the database at hand."""
    if session.get_bind().dialect.name == "sqlite":
        return (func.julianday(end) - func.julianday(begin)) * 86400.0
    return cast(extract("epoch", end - begin), Float)
