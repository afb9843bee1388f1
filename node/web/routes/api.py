"""The same as JSON, for scripts. It needs the same login: the session cookie, or HTTP Basic."""

from __future__ import annotations

import datetime as dt
from typing import Any

from fastapi import APIRouter, HTTPException, Query

from node.records import attention, message_views, timeline, views
from node.records.attention import Doubted
from node.records.persons import Person
from node.records.schema import Delivery, Event, Fact, Job, Note, Observation, Order, Result, Shortfall, Study
from node.records.states import MessageState
from node.web.site import TheSite

router = APIRouter(prefix="/api")
Json = dict[str, Any]


@router.get("/worklist")
def worklist(site: TheSite, state: str = "", days: int = Query(0, ge=0, le=36500)) -> Json:
    """The worklist in reading order. There is no filter by text: an address is no place for a patient's name."""
    with site.records.read() as session:
        found = views.worklist(session, views.WorklistQuery(state=state, days=days))
        return {"studies": [_row(row) for row in found]}


@router.get("/studies/{study_id}")
def study(site: TheSite, study_id: int) -> Json:
    """One study with everything that belongs to it."""
    with site.records.read() as session:
        view = views.study(session, study_id) if 0 < study_id < 1 << 53 else None
        if view is None:
            raise HTTPException(404, "There is no such study.")
        row = view.study
        return {
            **_study(row, view.person),
            "incomplete": _short(view.short),
            "expected": list(view.expected),
            "order": _order(row.order) if row.order else None,
            "series": [
                _columns(s, "uid", "number", "modality", "body_part", "description")
                | {"instances": view.images.get(s.id, 0)}
                for s in row.series
            ],
            "jobs": [_job(job) for job in view.jobs],
            "notes": [_note(note) for note in view.notes],
            "observations": [_observation(item) for item in view.observations],
            "identity": _identity(attention.doubt(session, row)),
        }


@router.get("/studies/{study_id}/timeline")
def study_timeline(site: TheSite, study_id: int) -> Json:
    """What happened to one study, oldest first."""
    with site.records.read() as session:
        if not 0 < study_id < 1 << 53 or session.get(Study, study_id) is None:
            raise HTTPException(404, "There is no such study.")
        return {"events": [_event(event) for event in timeline.of_study(session, study_id)]}


@router.get("/messages")
def messages(
    site: TheSite, state: MessageState | None = None, before: int | None = Query(None, gt=0, lt=1 << 53)
) -> Json:
    """HL7 messages that came in, newest first, without their content."""
    with site.records.read() as session:
        found = message_views.listed(session, state, before)
    names = ("id", "received_at", "type", "sender", "control_id", "told", "peer", "state", "reason", "size")
    return {"messages": [_columns(row, *names) for row in found.rows], "older": found.older}


def _identity(row: Doubted | None) -> Json | None:
    if row is None:
        return None
    return _columns(row, "attributes", "found_at", "resolved_at", "resolution") | {"alone": row.alone}


def _row(row: views.WorklistRow) -> Json:
    return {
        **_study(row.study, row.person),
        "incomplete": _short(row.short),
        "modalities": row.modalities,
        "attention": row.attention,
        "doubt": row.doubt,
        "jobs": [_columns(job, "id", "model", "model_version", "state", "reason", "findings") for job in row.jobs],
        "deliveries": {state.value: count for state, count in row.deliveries.items()},
    }


def _short(row: Shortfall | None) -> Json | None:
    return None if row is None else _columns(row, "received", "expected", "at")


def _columns(row: Any, *names: str) -> Json:
    values = {name: getattr(row, name) for name in names}
    return {name: value.isoformat() if isinstance(value, dt.datetime) else value for name, value in values.items()}


def _study(row: Study, person: Person) -> Json:
    return _columns(
        row, "id", "uid", "accession_number", "description", "study_date", "state", "reason", "priority", "generation",
        "first_instance_at", "last_instance_at", "completed_at", "triage",
    ) | {"patient": _patient(person)}  # fmt: skip


def _patient(row: Person) -> Json:
    return _columns(row, "patient_id", "issuer", "name", "birth_date", "sex", "also")


def _order(row: Order) -> Json:
    return _columns(
        row, "accession_number", "placer_number", "filler_number", "procedure_code", "procedure_text", "priority",
        "reason", "status",
    )  # fmt: skip


def _job(row: Job) -> Json:
    return _columns(
        row, "id", "model", "model_version", "rule", "state", "reason", "attempts", "created_at", "started_at",
        "finished_at", "findings", "warnings", "assessment",
    ) | {"results": [_result(result) for result in row.results]}  # fmt: skip


def _result(row: Result) -> Json:
    return _columns(row, "id", "kind", "uid", "sop_class", "path", "sha256", "predecessor", "created_at") | {
        "deliveries": [_delivery(delivery) for delivery in row.deliveries]
    }


def _delivery(row: Delivery) -> Json:
    return _columns(
        row, "id", "destination", "state", "attempts", "status", "reason", "next_at", "accepted_at", "commit_at",
        "committed_at",
    )  # fmt: skip


def _note(row: Note) -> Json:
    return _columns(
        row,
        "id",
        "document_number",
        "document_type",
        "author",
        "written_at",
        "state",
        "language",
        "text",
        "replaces",
        "engine",
    ) | {"facts": [_fact(fact) for fact in row.facts]}


def _fact(row: Fact) -> Json:
    return _columns(
        row, "kind", "code_value", "code_scheme", "code_meaning", "surface", "start", "end", "section", "negated",
        "uncertain", "historical", "hypothetical", "experiencer", "number", "upper", "unit", "comparator", "when",
        "side",
    )  # fmt: skip


def _observation(row: Observation) -> Json:
    return _columns(row, "code", "scheme", "name", "value", "unit", "reference_range", "flag", "status", "observed_at")


def _event(row: Event) -> Json:
    return _columns(row, "id", "at", "kind", "level", "text")
