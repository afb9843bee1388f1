"""Judging the studies that arrive: evidence from the records and from their sources, verdicts into the records.

The gateway looks several times a second at everything that is awaited. A study is weighed only when something about it
changed or its time has come, and what a look costs does not depend on how many instances a study has.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.decide.completeness import Evidence, Expected, Outcome, Policy, Verdict, judge
from node.inquiry import Answer, Inquiry
from node.records import evidence, sources, timeline
from node.records.engine import Records
from node.records.evidence import Announcement, Arriving
from node.records.schema import Event, Study, now
from node.records.states import StudyState, check
from node.settings import Settings

RELOOK_SECONDS = 2.0
"""How soon a study is weighed anew although nothing about it seems to have changed: an instance of which the records
learn late does not move the time of the last one, and a clock may be set."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen of a study, and when to look at it again (monotonic) if it stays so."""

    seen: tuple[Arriving, tuple[Announcement, ...]]
    next: float
    received: int = -1
    expected: tuple[Expected, ...] = ()


class Completion:
    """Knows which studies can be concluded, and concludes them; one instance, called from one thread.

    ``clock`` tells up to when the records know what arrived: quiet is what is known to be quiet.
    """

    def __init__(
        self,
        settings: Settings,
        records: Records,
        inquiry: Inquiry | None = None,
        clock: Callable[[], dt.datetime] = now,
    ) -> None:
        section = settings.completeness
        self._section = section
        self._policy = Policy(section.quiet_seconds, section.release_quiet_seconds, section.incomplete_seconds)
        self._records = records
        self._clock = clock
        self._inquiry = inquiry or Inquiry(settings)
        self._looks: dict[int, _Look] = {}
        self._waits: dict[str, float | None] = {}

    def due(self) -> list[int]:
        """Return the studies that can be concluded now."""
        self._take_answers()
        with self._records.read() as session:
            studies = evidence.arriving(session)
            announced = evidence.announcements(session)
            found = [(study, tuple(announced.get(study.uid, ()))) for study in studies]
            self._forget({study.id for study in studies})
            moment = time.monotonic()
            changed = [seen for seen in found if self._changed(seen, moment)]
            counts = evidence.received(session, [study.id for study, items in changed if items])
            return [study.id for study, items in changed if self._look(session, study, items, counts.get(study.id, 0))]

    def conclude(self, session: Session, study: Study) -> bool:
        """Judge a study by everything that is known now, and record why; returns whether it is to be analysed.

        ``study`` has its series and instances loaded.
        """
        if study.state not in evidence.AWAITED:
            return False
        weighed = self._evidence(session, study)
        verdict = judge(weighed, self._policy, self._clock())
        if verdict.outcome is Outcome.WAITING:
            return False  # an instance came in between
        if verdict.outcome is Outcome.INCOMPLETE and not self._alarm(session, study, weighed, verdict):
            return False
        self._learn(session, study)
        study.completed_at = now()
        _record(session, study, verdict)
        return True

    def _alarm(self, session: Session, study: Study, weighed: Evidence, verdict: Verdict) -> bool:
        """Record that a study is incomplete; returns whether it is to be analysed all the same."""
        process = self._section.incomplete == "process"
        if study.state is StudyState.INCOMPLETE:
            return process
        evidence.fall_short(session, study, weighed.received, weighed.announced)
        then = "" if process else " It waits for the rest, or to be released by hand."
        text = f"Incomplete: {verdict.reason}; {_size(study)}.{then}"
        timeline.add(session, "study.incomplete", text, study=study, level="error")
        if not process:
            check(study.state, StudyState.INCOMPLETE)
            study.state = StudyState.INCOMPLETE
            study.reason = f"incomplete: {verdict.reason}"
        return process

    def _evidence(self, session: Session, study: Study) -> Evidence:
        arriving = evidence.of(study)
        items = tuple(evidence.announcements(session, study.uid).get(study.uid, ()))
        count = sum(len(series.instances) for series in study.series)
        expected = evidence.expected(session, arriving, items, count)
        return self._weighed(session, arriving, items, count, expected)

    def _weighed(
        self,
        session: Session,
        study: Arriving,
        items: Sequence[Announcement],
        count: int,
        expected: tuple[Expected, ...],
    ) -> Evidence:
        return Evidence(
            last_instance_at=study.last_instance_at,
            released_at=study.released_at,
            received=count,
            expected=expected,
            learned_seconds=self._wait(session, study.calling_ae_title),
            person_at=evidence.person_at(items),
        )

    def _changed(self, seen: tuple[Arriving, tuple[Announcement, ...]], moment: float) -> bool:
        look = self._looks.get(seen[0].id)
        return look is None or moment >= look.next or look.seen != seen

    def _look(self, session: Session, study: Arriving, items: tuple[Announcement, ...], count: int) -> bool:
        """Weigh one study; returns whether it can be concluded."""
        moment, at = time.monotonic(), self._clock()
        weighed = self._weighed(session, study, items, count, evidence.estimated(items, count))
        verdict = judge(weighed, self._policy, at)
        expected: tuple[Expected, ...] = ()
        if items and not weighed.lacking:
            expected = self._exactly(session, study, items, count)
            weighed = self._weighed(session, study, items, count, expected)
            verdict = judge(weighed, self._policy, at)
        due = self._conclusive(study, items, weighed, verdict)
        self._looks[study.id] = _Look((study, items), moment + _pause(verdict, at, due), count, expected)
        return due

    def _conclusive(self, study: Arriving, items: Sequence[Announcement], weighed: Evidence, verdict: Verdict) -> bool:
        """Whether a verdict is to be recorded now, or its source has a word in it first."""
        if any(item.source == evidence.QUERY for item in weighed.lacking):
            self._inquiry.again(study)
        if verdict.outcome is Outcome.INCOMPLETE:
            return study.state is not StudyState.INCOMPLETE or self._section.incomplete == "process"
        if verdict.outcome is Outcome.WAITING or not verdict.timed:
            return verdict.complete
        asked = any(item.source == evidence.QUERY and item.at >= study.last_instance_at for item in items)
        return asked or self._inquiry.settled(study)

    def _exactly(
        self, session: Session, study: Arriving, items: tuple[Announcement, ...], count: int
    ) -> tuple[Expected, ...]:
        """What was announced, compared with the very instances; read again only if one side changed."""
        look = self._looks.get(study.id)
        if look is not None and look.seen[1] == items and look.received == count and look.expected:
            return look.expected
        return evidence.expected(session, study, items, count)

    def _forget(self, awaited: set[int]) -> None:
        self._looks = {key: look for key, look in self._looks.items() if key in awaited}
        self._inquiry.forget(awaited)

    def _wait(self, session: Session, ae_title: str) -> float | None:
        """How long to wait for a source that pauses, as far as that is learned."""
        if not self._section.learn or not ae_title:
            return None
        if ae_title not in self._waits:
            self._waits[ae_title] = sources.pauses(session, ae_title).wait(self._section.max_quiet_seconds)
        return self._waits[ae_title]

    def _learn(self, session: Session, study: Study) -> None:
        if not self._section.learn:
            return
        instances = [instance for series in study.series for instance in series.instances]
        known = sources.learn(session, study, instances, study.completed_at)
        if known is not None:
            self._waits[study.calling_ae_title] = known.wait(self._section.max_quiet_seconds)

    def _take_answers(self) -> None:
        for answer in self._inquiry.answers():
            with self._records.write() as session:
                _note(session, answer)


def _pause(verdict: Verdict, at: dt.datetime, due: bool) -> float:
    """How long nothing new can be said of a study if nothing about it changes."""
    if verdict.outcome is Outcome.WAITING:
        return min((verdict.due_at - at).total_seconds(), RELOOK_SECONDS)
    # Incomplete and waiting for the rest; or complete, and either concluded next or waiting for an answer.
    return RELOOK_SECONDS if verdict.outcome is Outcome.INCOMPLETE and not due else 0.0


def _note(session: Session, answer: Answer) -> None:
    """Enter what a source said of a study; each thing on the timeline once."""
    if answer.count is not None:
        evidence.counted(session, answer.study.uid, answer.ae_title, answer.count)
        kind, text = "study.counted", f"{answer.ae_title} has {answer.count} instances of the study (C-FIND)."
        known = select(Event.id).filter_by(study_fk=answer.study.id, kind=kind, text=text)
    else:
        kind, text = "study.uncounted", f"{answer.ae_title} gave no number of instances (C-FIND): {answer.problem}."
        known = select(Event.id).filter_by(study_fk=answer.study.id, kind=kind)
    if session.scalar(known.limit(1)) is None:
        level: timeline.Level = "info" if answer.count is not None else "warning"
        timeline.add(session, kind, text, study=answer.study.id, level=level)


def _record(session: Session, study: Study, verdict: Verdict) -> None:
    """Say why a study is analysed."""
    if verdict.complete:
        evidence.make_good(session, study)
        study.reason = verdict.reason
        timeline.add(session, "study.complete", f"Complete: {verdict.reason}; {_size(study)}.", study=study)
        return
    study.reason = f"incomplete, analysed as it is: {verdict.reason}"
    text = f"What is here is analysed as it is: {_size(study)}."
    timeline.add(session, "study.complete", text, study=study, level="warning")


def _size(study: Study) -> str:
    instances = sum(len(series.instances) for series in study.series)
    return f"{_number(instances, 'instance')} in {len(study.series)} series"


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
