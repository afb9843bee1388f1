"""What keeps studies moving: completeness, the asking for work, and the repair of what was lost on the way.

Everything here may be called as often as one likes: the records say what is to be done, the broker what is on its way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from node import logs
from node.broker import ANALYSE, BUILD, INFER, Broker, Task
from node.decide.completeness import Evidence, Policy, judge
from node.decide.conditions import Facts
from node.decide.priority import most_urgent
from node.decide.rules import Wanted, decide
from node.errors import BrokerUnavailable
from node.records import jobs, timeline
from node.records.engine import Records
from node.records.orders import match_study
from node.records.schema import Job, Note, Series, Study, now
from node.records.states import JobState, NoteState, StudyState, check
from node.records.studies import input_digest
from node.settings import Settings

GRACE_SECONDS = 3.0
"""A task that was sent less than this ago is taken to be on its way even if the broker does not show it."""


class Dispatcher:
    """The decisions of the gateway; one instance, called from one thread."""

    def __init__(self, settings: Settings, records: Records, broker: Broker) -> None:
        self._settings = settings
        self._records = records
        self._broker = broker
        self._policy = Policy(settings.completeness.quiet_seconds, settings.completeness.release_quiet_seconds)
        self._sent: dict[str, float] = {}
        self._log = logs.get("gateway")

    def complete_studies(self) -> int:
        """Judge every study that is being received; returns how many were complete."""
        with self._records.read() as session:
            query = select(Study).where(Study.state == StudyState.RECEIVING)
            due = [study.id for study in session.scalars(query) if self._judge(study)]
        for key in due:
            with self._records.write() as session:
                self._complete(session, key)
        return len(due)

    def _judge(self, study: Study) -> str | None:
        verdict = judge(Evidence(study.last_instance_at, study.released_at), self._policy, now())
        return verdict.reason if verdict.complete else None

    def _complete(self, session: Session, key: int) -> None:
        query = select(Study).where(Study.id == key).options(selectinload(Study.series).selectinload(Series.instances))
        study = session.scalars(query).one()
        reason = self._judge(study)
        if study.state is not StudyState.RECEIVING or reason is None:
            return  # an instance came in between
        study.completed_at = now()
        study.reason = reason
        count = sum(len(series.instances) for series in study.series)
        timeline.add(
            session,
            "study.complete",
            f"Complete: {reason}; {count} instances, {len(study.series)} series.",
            study=study,
        )
        match_study(session, study)
        self._ask(session, study)
        self._log.info("study.complete", study=study.id, state=study.state.value, count=count)

    def _ask(self, session: Session, study: Study) -> None:
        order_priority = study.order.priority if study.order else None
        wanted = [(series, item) for series in study.series for item in self._wanted(study, series, order_priority)]
        study.priority = most_urgent(order_priority, *(item.priority for _, item in wanted))
        if not wanted:
            check(study.state, StudyState.UNWANTED)
            study.state = StudyState.UNWANTED
            study.reason = "no rule wants it"
            timeline.add(
                session, "study.unwanted", "No rule wants this study; it is kept.", study=study, level="warning"
            )
            return
        check(study.state, StudyState.ANALYSING)
        study.state = StudyState.ANALYSING
        for series, item in wanted:
            jobs.ask(session, study, series, item, input_digest(series))
        jobs.settle(session, study.id)  # nothing new to do: all jobs were done on the same inputs

    def _wanted(self, study: Study, series: Series, order_priority: str | None) -> list[Wanted]:
        facts = Facts(
            modality=series.modality,
            body_part=series.body_part,
            study_description=study.description,
            series_description=series.description,
            calling_ae_title=study.calling_ae_title,
            called_ae_title=study.called_ae_title,
            order_priority=order_priority or "",
            tags={keyword: str(value) for keyword, value in series.tags.items()},
        )
        return decide(self._settings.effective_rules, facts)

    def send_waiting(self) -> int:
        """Queue what is to be done and is not on its way, what lost workers held among it; returns how many."""
        with self._records.read() as session:
            lost = session.scalars(select(Job.id).where(Job.state == JobState.RUNNING, Job.lease_until < now())).first()
        if lost is not None:
            with self._records.write() as session:
                jobs.requeue_lost(session, self._settings.workers.max_attempts)
        with self._records.read() as session:
            tasks = [*_job_tasks(jobs.waiting(session)), *_note_tasks(session)]
        return self._send(tasks)

    def _send(self, tasks: Sequence[Task]) -> int:
        moment = time.monotonic()
        self._sent = {key: at for key, at in self._sent.items() if moment - at < GRACE_SECONDS}
        candidates = [task for task in tasks if task.id not in self._sent]
        if not candidates:
            return 0
        try:
            pending = self._broker.pending(self._settings.workers.lease_seconds)
            missing = [task for task in candidates if task.id not in pending]
            for task in missing:
                self._broker.send(task)
                self._sent[task.id] = moment
        except BrokerUnavailable as exc:
            self._log.warning("broker.unavailable", error=exc)
            return 0
        return len(missing)


def _job_tasks(waiting: Sequence[Job]) -> list[Task]:
    return [
        Task(INFER if job.state is JobState.QUEUED else BUILD, job.id, job.attempts, job.priority) for job in waiting
    ]


def _note_tasks(session: Session) -> list[Task]:
    return [
        Task(ANALYSE, str(key), 0) for key in session.scalars(select(Note.id).where(Note.state == NoteState.QUEUED))
    ]
