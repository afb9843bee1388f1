"""What keeps studies moving: completeness, the asking for work, and the repair of what was lost on the way.

Everything here may be called as often as one likes: the records say what is to be done, the broker what is on its way.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, selectinload

from node import logs
from node.broker import ANALYSE, BUILD, INFER, Broker, Task
from node.completion import Completion
from node.decide.conditions import Facts
from node.decide.priority import most_urgent
from node.decide.rules import Wanted, decide
from node.errors import BrokerUnavailable
from node.records import examinations, jobs, timeline
from node.records.engine import Records
from node.records.evidence import shortfalls
from node.records.orders import match_study
from node.records.schema import Event, Job, Note, Series, Study, now
from node.records.states import JobState, NoteState, StudyState, check
from node.records.studies import input_digest
from node.settings import Settings

GRACE_SECONDS = 3.0
"""A task that was sent less than this ago is taken to be on its way even if the broker does not show it."""


NOT_CONCLUDED = "study.not_concluded"
FAULT_SECONDS = 30.0
"""Pause before a study that could not be concluded for an error of ours is tried again; the others go on."""


class Dispatcher:
    """The decisions of the gateway; one instance, called from one thread."""

    def __init__(
        self, settings: Settings, records: Records, broker: Broker, completion: Completion | None = None
    ) -> None:
        self._settings = settings
        self._records = records
        self._broker = broker
        self._completion = completion or Completion(settings, records)
        self._sent: dict[str, float] = {}
        self._faulty: dict[int, float] = {}
        self._log = logs.get("gateway")

    def complete_studies(self) -> int:
        """Judge every study that is being received; returns how many were concluded, whole or not."""
        moment = time.monotonic()
        self._faulty = {key: until for key, until in self._faulty.items() if until > moment}
        due = [key for key in self._completion.due() if key not in self._faulty]
        for key in due:
            try:
                with self._records.write() as session:
                    self._conclude(session, key)
            except Exception as exc:
                self._faulty[key] = moment + FAULT_SECONDS
                self._log.error(NOT_CONCLUDED, study=key, error=exc)
                self._tell_fault(key, exc)
        return len(due)

    def _tell_fault(self, key: int, exc: Exception) -> None:
        """Say on the study's timeline, once, that a fault of ours keeps it waiting; it is judged again and again."""
        text = f"The study could not be judged: internal error ({type(exc).__name__}); it is tried again."
        told = select(Event.id).where(Event.study_fk == key, Event.kind == NOT_CONCLUDED, Event.text == text).limit(1)
        try:
            with self._records.write() as session:
                if session.scalar(told) is None:
                    timeline.add(session, NOT_CONCLUDED, text, study=key, level="error")
        except SQLAlchemyError as again:
            self._log.error("timeline.not_written", study=key, error=again)

    def _conclude(self, session: Session, key: int) -> None:
        query = select(Study).where(Study.id == key).options(selectinload(Study.series).selectinload(Series.instances))
        study = session.scalars(query).one()
        if self._completion.conclude(session, study):
            match_study(session, study)
            examinations.settle(session, study.patient)
            self._ask(session, study)
        if study.state is not StudyState.RECEIVING:
            self._log.info("study.concluded", study=study.id, state=study.state.value, reason=study.reason)

    def _ask(self, session: Session, study: Study) -> None:
        order_priority = study.order.priority if study.order else None
        wanted = [(series, item) for series in study.series for item in self._wanted(study, series, order_priority)]
        study.priority = most_urgent(order_priority, *(item.priority for _, item in wanted))
        if not wanted:
            check(study.state, StudyState.UNWANTED)
            study.state = StudyState.UNWANTED
            short = f"; {study.reason}" if shortfalls(session, [study.id]) else ""
            study.reason = f"no rule wants it{short}"
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
        Task(INFER if job.state is JobState.QUEUED else BUILD, job.id, job.attempts, jobs.urgency(job))
        for job in waiting
    ]


def _note_tasks(session: Session) -> list[Task]:
    return [
        Task(ANALYSE, str(key), 0) for key in session.scalars(select(Note.id).where(Note.state == NoteState.QUEUED))
    ]
