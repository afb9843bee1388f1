"""What the records know beside the images of a job: notes' facts, values, history, the person, the order.

A study whose patient is in question (:mod:`node.records.identity`) is looked at alone: of the record only its own order
is used.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.contracts import Code
from models.facts import Assertion, Experiencer, FactKind, NoteAnalysis, NoteFact, Quantity
from models.fusion.contracts import Observed, PriorFinding, StatedFact
from node.records import identity, jobs, observations, patients, visits
from node.records.notes import notes_for_study
from node.records.schema import Event, Fact, Job, Message, Note, Observation, Order, Patient, Study
from node.records.states import NoteState
from workers import dates
from workers.reporting import history
from workers.results.common import OrderContext, ReportedFact

WITHDRAWN = frozenset({"D", "W", "X"})
"""OBX-11 (table 0085) of values that do not hold: deleted, of the wrong patient, not obtained."""
PER_CODE = 8
"""Most values of one code that are looked at: those nearest in time to the study."""
MAX_VALUES = 2000
"""Most values of a person that are looked at."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the record has on one study and its patient.

    Parameters
    ----------
    birth_date, sex
        As the record has them; "" where the identity is in question.
    alone
        Whether the identity is in question, so that notes, values and history were left out.
    merged
        Identifier of the person whom the study's patient was merged into, "" if it was not.
    engines
        Engine and version that read each note.
    made_at
        When the last of it was there: the same for every repetition, and so are the bytes of a report.
    """

    made_at: dt.datetime
    facts: tuple[StatedFact, ...] = ()
    values: tuple[Observed, ...] = ()
    priors: tuple[PriorFinding, ...] = ()
    birth_date: str = ""
    sex: str = ""
    patient_class: str = ""
    order_reason: str = ""
    order_priority: str = ""
    alone: bool = False
    merged: str = ""
    engines: tuple[str, ...] = ()


def known_of(session: Session, job: Job) -> Known:
    """Gather what is known of a job's study."""
    study, order = job.study, job.study.order
    reason, priority = (order.reason, order.priority) if order is not None else ("", "")
    if identity.in_question(session, study):
        at = _made_at(session, job, [], [])
        return Known(at, order_reason=reason, order_priority=priority, alone=True)
    person = patients.survivor(session, study.patient)
    notes, values = notes_of(session, job), _values(session, study)
    visit = visits.current(session, person)
    return Known(
        _made_at(session, job, notes, values),
        facts=tuple(stated for note in notes for stated in _stated(note)),
        values=tuple(map(_observed, values)),
        priors=tuple(history.priors(session, job)),
        birth_date=person.birth_date,
        sex=person.sex,
        patient_class=visit.patient_class if visit is not None else "",
        merged="" if person.id == study.patient_fk else f"{person.patient_id}^{person.issuer}",
        engines=tuple(sorted({note.engine for note in notes if note.facts})),
        order_reason=reason,
        order_priority=priority,
    )


def notes_of(session: Session, job: Job) -> list[Note]:
    """Return the analysed notes of a job's patient that concern its study."""
    return [note for note in notes_for_study(session, job.study) if note.state is NoteState.ANALYSED]


def told(job: Job, known: Known) -> list[str]:
    """List what reports repeat of order, person and notes, in an order that does not hang on when each came."""
    order = job.study.order
    texts: list[str] = []
    if order is not None:
        texts = [order.accession_number, order.placer_number, order.filler_number, order.reason]
        texts += [order.procedure_code or "", order.procedure_text or ""]
    facts = [repr((item.document, item.written_at, item.fact)) for item in known.facts]
    return [*texts, known.merged, str(known.alone), *known.engines, *sorted(facts)]


def fingerprint(job: Job, known: Known) -> str:
    """Digest of all of it: a report is begun anew if it changes while it is built."""
    rest = (known.birth_date, known.sex, known.patient_class, known.order_priority)
    values = sorted(map(repr, known.values))
    return jobs.context_digest([*told(job, known), *rest, *values, *sorted(map(repr, known.priors))])


def _made_at(session: Session, job: Job, notes: Iterable[Note], values: Iterable[Observation]) -> dt.datetime:
    """Return when the last of it was there: also when somebody last asked to look at the report again."""
    study, order = job.study, job.study.order
    messages = {row.message_fk for row in values if row.message_fk is not None}
    asked = select(func.max(Event.at)).where(Event.study_fk == study.id, Event.kind == jobs.REOPENED)
    brought = select(func.max(Message.received_at)).where(Message.id.in_(messages))
    times = [
        job.started_at or job.created_at,
        job.finished_at,
        *(note.received_at for note in notes),
        order.updated_at if order is not None else None,
        session.scalar(asked),
        session.scalar(brought) if messages else None,
    ]
    return max(time for time in times if time is not None)


def _stated(note: Note) -> Iterator[StatedFact]:
    for row in note.facts:
        yield StatedFact(
            fact=_fact(row),
            document=note.document_number,
            author=note.author,
            written_at=note.written_at,
            kind=note.document_type,
        )


def _fact(row: Fact) -> NoteFact:
    quantity = None if row.number is None else Quantity(row.number, row.unit, row.upper, row.comparator)
    return NoteFact(
        kind=FactKind(row.kind),
        code=Code(row.code_value, row.code_scheme, row.code_meaning),
        surface=row.surface,
        start=row.start,
        end=row.end,
        section=row.section,
        assertion=Assertion(row.negated, row.uncertain, row.historical, row.hypothetical, Experiencer(row.experiencer)),
        quantity=quantity,
        when=row.when,
        side=row.side,
    )


def _values(session: Session, study: Study) -> list[Observation]:
    """Return the person's values that hold, oldest first; of each code those nearest to the study."""
    rows = [row for row in observations.for_patient(session, study.patient) if row.status not in WITHDRAWN]
    by_code: dict[tuple[str, str], list[Observation]] = {}
    for row in rows:
        by_code.setdefault((row.scheme, row.code), []).append(row)
    at = dates.studied_by_record(study) or study.first_instance_at
    kept = {row.id for group in by_code.values() for row in _nearest(group, at)}
    return [row for row in rows if row.id in kept][-MAX_VALUES:]


def _nearest(rows: Sequence[Observation], at: dt.datetime) -> Sequence[Observation]:
    """Return the values nearest to a time, those without one last."""

    def away(row: Observation) -> float:
        return abs((row.observed_at - at).total_seconds()) if row.observed_at is not None else float("inf")

    return sorted(rows, key=away)[:PER_CODE]


def _observed(row: Observation) -> Observed:
    return Observed(
        code=Code(row.code, row.scheme, row.name),
        value=row.number,
        text=row.value,
        unit=row.unit,
        reference_range=row.reference_range,
        flag=row.flag,
        status=row.status,
        observed_at=row.observed_at,
        reference=row.filler_number,
    )


def reported(known: Known) -> tuple[ReportedFact, ...]:
    """Return the notes' facts as reports show them."""
    return tuple(_reported(item) for item in known.facts)


def _reported(item: StatedFact) -> ReportedFact:
    fact, how = item.fact, item.fact.assertion
    return ReportedFact(
        code=fact.code,
        kind=fact.kind.value,
        negated=how.negated,
        uncertain=how.uncertain,
        historical=how.historical,
        hypothetical=how.hypothetical,
        experiencer=how.experiencer,
        document_number=item.document,
        section=fact.section,
        written_at=item.written_at,
        start=fact.start,
        end=fact.end,
        quantity=fact.quantity,
        when=fact.when,
        side=fact.side,
    )


def person_of(session: Session, study: Study) -> Patient:
    """Return the person whom a study's results are about: where two patients were merged, the one that survives."""
    return patients.survivor(session, study.patient)


def order_context(order: Order | None) -> OrderContext | None:
    """Return what a report says of the order, or None where there is none."""
    if order is None:
        return None
    procedure = None
    if order.procedure_code and order.procedure_scheme:
        procedure = Code(order.procedure_code, order.procedure_scheme, order.procedure_text or order.procedure_code)
    return OrderContext(
        accession_number=order.accession_number,
        placer_number=order.placer_number,
        filler_number=order.filler_number,
        procedure=procedure,
        procedure_text=order.procedure_text,
        reason=order.reason,
    )


def fact_rows(analysis: NoteAnalysis) -> list[dict[str, Any]]:
    """Return a note's facts as the records keep them."""
    return [_row(fact) for fact in analysis.facts]


def _row(fact: NoteFact) -> dict[str, Any]:
    quantity = fact.quantity
    return {
        "kind": fact.kind.value,
        "code_value": fact.code.value,
        "code_scheme": fact.code.scheme,
        "code_meaning": fact.code.meaning,
        "surface": fact.surface,
        "start": fact.start,
        "end": fact.end,
        "section": fact.section,
        "negated": fact.assertion.negated,
        "uncertain": fact.assertion.uncertain,
        "historical": fact.assertion.historical,
        "hypothetical": fact.assertion.hypothetical,
        "experiencer": fact.assertion.experiencer.value,
        "number": quantity.value if quantity else None,
        "upper": quantity.upper if quantity else None,
        "unit": quantity.unit[:64] if quantity else "",
        "comparator": quantity.comparator if quantity else "",
        "when": fact.when[:32],
        "side": fact.side[:10],
    }
