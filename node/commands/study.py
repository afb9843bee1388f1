"""`overread study`: what the node knows of its studies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from node.commands.common import ConfigOption, JsonOption, dump, load, out, printable, records, table, told
from node.decide.rules import base_name, pinned_version
from node.errors import OverreadError
from node.records import assessed, attention, evidence, expectations, jobs, timeline
from node.records.assessed import Assessed, Doubt
from node.records.notes import notes_for_study
from node.records.schema import Expectation, Job, Shortfall, Study

app = typer.Typer(no_args_is_help=True, help="Studies: list, show, run again, take as they are, decide whose they are.")
StudyArgument = Annotated[str, typer.Argument(help="The study's number in the worklist, or its Study Instance UID.")]


@app.command("list")
@told
def list_studies(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List studies, newest first."""
    with records(config) as store, store.read() as session:
        short = evidence.shortfalls(session)
        studies = session.scalars(select(Study).order_by(Study.id.desc())).all()
        doubts = attention.doubts(session, session.scalars(select(Study.id).where(attention.questioned())))
        rows = [
            summary(study) | looked_after(study, doubts.get(study.id, "")) | shortfall(short.get(study.id))
            for study in studies
        ]
    if json:
        dump(rows)
        return
    columns = ["id", "state", "priority", "attention", "accession", "description", "series", "jobs", "reason"]
    table(columns, [[_cell(row[column]) for column in columns] for row in rows])


@app.command()
@told
def show(study: StudyArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show a study: its priority and why, what images and record say together, jobs, deliveries and timeline."""
    with records(config) as store, store.read() as session:
        data = details(session, find(session, study))
    if json:
        dump(data)
        return
    out.print(f"[bold]Study {data['id']}[/bold]  {data['state']}  {data['reason']}", highlight=False)
    out.print(f"{data['uid']}  accession {data['accession'] or '(none)'}  {data['description']}", markup=False)
    for line in _judged(data):
        out.print(printable(line), markup=False, highlight=False)
    _ran(data["jobs"])
    if data["shadow_jobs"]:
        out.print("In shadow, published nowhere:", highlight=False)
        _ran(data["shadow_jobs"])
    columns = ["kind", "uid", "destination", "state", "attempts", "status", "reason"]
    table(columns, [[row[column] for column in columns] for row in data["deliveries"]])
    table(["at", "level", "what"], [[row["at"], row["level"], row["text"]] for row in data["timeline"]])


@app.command()
@told
def retry(study: StudyArgument, config: ConfigOption = None) -> None:
    """Ask the rules again and queue failed and declined jobs again; jobs that no rule asks for any more end."""
    settings = load(config)
    wanted = {model for rule in settings.effective_rules for model in rule.run}
    with records(config) as store, store.write() as session:
        row = find(session, study)
        again = jobs.again_by_hand(session, row, wanted)
    out.print(f"Jobs queued again: {again}. The rules are asked again for new ones.")


@app.command()
@told
def process(study: StudyArgument, config: ConfigOption = None) -> None:
    """Analyse what is here of a study that waits for more instances, without them."""
    with records(config) as store, store.write() as session:
        row = find(session, study)
        evidence.release(session, row)
    out.print(f"Study {row.id} is released: the gateway takes it as it is.")


def find(session: Session, key: str) -> Study:
    """Return the study of a number or UID."""
    number = int(key) if key.isdecimal() and len(key) < 10 else None
    study = session.scalars(select(Study).where((Study.uid == key) | (Study.id == number))).first()
    if study is None:
        raise OverreadError("no such study: `overread study list` shows their numbers")
    return study


def summary(study: Study) -> dict[str, Any]:
    """Return one line of a study."""
    return {
        "id": study.id,
        "uid": study.uid,
        "state": study.state.value,
        "reason": study.reason,
        "priority": study.priority,
        "accession": study.accession_number,
        "description": study.description,
        "series": len(study.series),
        "jobs": ", ".join(f"{job.model}: {job.state.value}" for job in study.jobs),
    }


def looked_after(study: Study, doubt: str) -> dict[str, list[str]]:
    """Return why a person should look at a study: "critical", and in what words its patient is in question."""
    return {"attention": [*(["critical"] if study.triage.get("critical") else []), *([doubt] if doubt else [])]}


def shortfall(row: Shortfall | None) -> dict[str, Any]:
    """Return what a study lacks: None where it was not judged incomplete, or is whole since."""
    return {"incomplete": None if row is None else {"received": row.received, "expected": row.expected}}


def details(session: Session, study: Study) -> dict[str, Any]:
    """Return all that is known of a study, without who the patient is."""
    doubts = attention.doubts(session, [study.id])
    return {
        **summary(study),
        **looked_after(study, doubts.get(study.id, "")),
        "triage": _triage(study),
        "assessments": [_assessment(row) for row in assessed.assessments(session, study.id) if row.assessment],
        "identity": _identity(assessed.doubt(session, study)),
        "notes": len(notes_for_study(session, study)),
        **shortfall(session.get(Shortfall, study.id)),
        "expectations": [_expectation(item) for item in expectations.of_study(session, study.uid)],
        "jobs": [_job(job) for job in study.jobs],
        "shadow_jobs": [_job(job) for job in study.shadow_jobs],
        "deliveries": [row for job in study.jobs for row in _deliveries(job)],
        "timeline": [
            {
                "at": line.at.isoformat(timespec="milliseconds"),
                "kind": line.kind,
                "level": line.level,
                "text": line.text,
            }
            for line in timeline.of_study(session, study.id)
        ],
    }


def _triage(study: Study) -> dict[str, Any]:
    """What the findings ask for; the study's priority is never below that of its order and rules."""
    return {
        "priority": study.triage.get("priority", ""),
        "critical": bool(study.triage.get("critical")),
        "reasons": list(study.triage.get("reasons") or ()),
    }


def _assessment(row: Assessed) -> dict[str, Any]:
    said = row.assessment
    return {
        "job": row.job,
        "model": row.model,
        "version": row.model_version,
        "summary": list(said.get("summary") or ()),
        "conflicts": [
            {"text": one.get("text", ""), "change": bool(one.get("change"))} for one in said.get("conflicts") or ()
        ],
    }


def _identity(row: Doubt | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "attributes": list(row.attributes),
        "since": row.since.isoformat(timespec="milliseconds"),
        "resolution": row.resolution or "open",
        "in_question": row.in_question,
    }


def _judged(data: dict[str, Any]) -> Iterator[str]:
    """Say in lines what a person should know of a study first."""
    triage, doubt = data["triage"], data["identity"]
    yield f"Priority {data['priority']}{', critical finding' if triage['critical'] else ''}"
    yield from (f"  because: {reason}" for reason in triage["reasons"])
    if doubt is not None and doubt["in_question"]:
        attributes = ", ".join(doubt["attributes"])
        words = "is in question" if doubt["resolution"] == "open" else "is not the one that it names: a person decided"
        yield f"The patient {words} ({attributes} in the images and in the record, since {doubt['since']})"
        yield "  The study is analysed alone. `overread study identity` shows both sides and takes a decision."
    for one in data["assessments"]:
        yield from (f"{one['model']}: {sentence}" for sentence in one["summary"])
        for conflict in one["conflicts"]:
            yield f"{one['model']}, {'changed since' if conflict['change'] else 'conflict'}: {conflict['text']}"
    yield f"Notes: {data['notes']}{', not used' if doubt is not None and doubt['in_question'] else ''}"


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


def _expectation(row: Expectation) -> dict[str, Any]:
    return {
        "source": row.source,
        "reference": row.reference,
        "count": len(row.instances) or row.count,
        "final": row.final,
        "at": row.at.isoformat(timespec="milliseconds"),
    }


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "series": job.series.uid,
        "model": job.model,
        "version": job.model_version,
        "state": job.state.value,
        "reason": job.reason,
        "attempts": job.attempts,
        "findings": job.findings,
        "warnings": job.warnings,
    }


def _ran(found: Sequence[dict[str, Any]]) -> None:
    """Print jobs, and what they found."""
    rows = [_unpinned(job) for job in found]
    columns = ["model", "version", "state", "reason", "attempts"]
    table(columns, [[job[column] for column in columns] for job in rows])
    said = [[job["model"], job["version"], text] for job in rows for text in _said(job)]
    table(["model", "version", "finding or limit"], said)


def _unpinned(job: dict[str, Any]) -> dict[str, Any]:
    """The job with its model's name and version apart, for a pinned version stands in both."""
    version = job["version"] or pinned_version(job["model"])
    return {**job, "model": base_name(job["model"]), "version": version}


def _said(job: dict[str, Any]) -> list[str]:
    return [*(finding["text"] or finding["label"] for finding in job["findings"]), *job["warnings"]]


def _deliveries(job: Job) -> list[dict[str, Any]]:
    return [
        {
            "id": delivery.id,
            "kind": result.kind,
            "uid": result.uid,
            "path": result.path,
            "destination": delivery.destination,
            "state": delivery.state.value,
            "attempts": delivery.attempts,
            "status": delivery.status,
            "reason": delivery.reason,
            "accepted_at": delivery.accepted_at,
            "committed_at": delivery.committed_at,
        }
        for result in job.results
        for delivery in result.deliveries
    ]
