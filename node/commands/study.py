"""`overread study`: what the node knows of its studies."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from node.commands.common import ConfigOption, JsonOption, dump, load, out, records, table, told
from node.errors import OverreadError
from node.records import evidence, expectations, jobs, timeline
from node.records.schema import Expectation, Job, Shortfall, Study

app = typer.Typer(no_args_is_help=True, help="Studies: list, show, run again, take as they are.")
StudyArgument = Annotated[str, typer.Argument(help="The study's number in the worklist, or its Study Instance UID.")]


@app.command("list")
@told
def list_studies(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List studies, newest first."""
    with records(config) as store, store.read() as session:
        short = evidence.shortfalls(session)
        studies = session.scalars(select(Study).order_by(Study.id.desc()))
        rows = [summary(study) | shortfall(short.get(study.id)) for study in studies]
    if json:
        dump(rows)
        return
    columns = ["id", "state", "priority", "accession", "description", "series", "jobs", "reason"]
    table(columns, [[row[column] for column in columns] for row in rows])


@app.command()
@told
def show(study: StudyArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show a study: its jobs, results, deliveries and timeline."""
    with records(config) as store, store.read() as session:
        data = details(session, find(session, study))
    if json:
        dump(data)
        return
    out.print(f"[bold]Study {data['id']}[/bold]  {data['state']}  {data['reason']}", highlight=False)
    out.print(f"{data['uid']}  accession {data['accession'] or '(none)'}  {data['description']}", markup=False)
    columns = ["model", "version", "state", "reason", "attempts"]
    table(columns, [[job[column] for column in columns] for job in data["jobs"]])
    said = [[job["model"], text] for job in data["jobs"] for text in _said(job)]
    table(["model", "finding or limit"], said)
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


def shortfall(row: Shortfall | None) -> dict[str, Any]:
    """Return what a study lacks: None where it was not judged incomplete, or is whole since."""
    return {"incomplete": None if row is None else {"received": row.received, "expected": row.expected}}


def details(session: Session, study: Study) -> dict[str, Any]:
    """Return all that is known of a study, without the patient."""
    return {
        **summary(study),
        **shortfall(session.get(Shortfall, study.id)),
        "expectations": [_expectation(item) for item in expectations.of_study(session, study.uid)],
        "jobs": [_job(job) for job in study.jobs],
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
