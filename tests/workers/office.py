"""A node's records and a worker without a model: jobs that are inferred, with made-up predictions, to be reported."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import select

from models.contracts import Finding, Prediction
from models.fusion.contracts import Assessment, Case
from node.hl7.message import Hl7Message, parse
from node.records import jobs, patients, results
from node.records.schema import Delivery, Event, Fact, Instance, Job, Note, Observation, Result, Series, Study, now
from node.records.states import JobState, NoteState, StudyState
from node.settings import Destination, NodeSection, Settings
from tests.stores import fill
from tests.workers.synthetic import CARD, Phantom, prediction_for, single_frames, write
from workers import predictions, tasks
from workers.context import Context

RIS = Destination(name="ris", kind="mllp", host="127.0.0.1", port=1)
PHONE = Destination(name="phone", kind="mllp", host="127.0.0.1", port=1, send=("alert",))


class Office:
    """One worker; everything is asked of it as the gateway does."""

    def __init__(self, root: Path, *destinations: Destination) -> None:
        settings = Settings(node=NodeSection(root=root), destinations=destinations)
        self.context = Context(settings, "worker")
        self.records = fill(self.context.records)

    def close(self) -> None:
        self.records.close()

    def inferred(
        self, number: int = 1, patient: str = "P-1", date: str = "20261120", prediction: Prediction | None = None
    ) -> str:
        """A study of one MR series with a job that has its findings; returns the job's id."""
        uid, phantom = f"1.2.826.0.1.3680043.10.{number}", Phantom()
        made = prediction or prediction_for(phantom.shape)

        def change(ds: Dataset) -> None:
            ds.StudyInstanceUID, ds.SeriesInstanceUID = uid, f"{uid}.1"
            ds.SOPInstanceUID = f"{uid}.1.{ds.InstanceNumber}"
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.PatientID, ds.StudyDate = patient, date

        paths = write(self.context.root / "spool" / str(number), single_frames(phantom), change)
        with self.records.write() as session:
            study = Study(
                uid=uid, patient=patients.find_or_create(session, patient), state=StudyState.ANALYSING, generation=1,
                accession_number=f"A-{number}", study_date=date, study_time="101500",
            )  # fmt: skip
            series = Series(uid=f"{uid}.1", study=study, modality="MR", body_part="BRAIN", number=1, tags={})
            for index, path in enumerate(paths, 1):
                series.instances.append(
                    Instance(
                        uid=f"{uid}.1.{index}", sop_class="1.2.840.10008.5.1.4.1.1.4", size=path.stat().st_size,
                        transfer_syntax="1.2.840.10008.1.2.1", path=f"{number}/{path.name}", digest="xxh128:00",
                    )
                )  # fmt: skip
            session.add(study)
            session.flush()
            file = f"predictions/job-{number}.1"
            predictions.save(made, CARD, self.context.root / file)
            session.add(
                Job(
                    id=f"job-{number}", study=study, series=series, model=CARD.name, model_version=CARD.version,
                    rule="r", input_digest="d", destinations=[], state=JobState.INFERRED, attempts=1,
                    started_at=now(), prediction=file, findings=[predictions.to_json(f) for f in made.findings],
                    warnings=[],
                )
            )  # fmt: skip
        return f"job-{number}"

    def build(self, *names: str) -> None:
        """Build what is inferred, as often as something is."""
        for _ in range(9):
            with self.records.read() as session:
                waiting = list(session.scalars(select(Job.id).where(Job.state == JobState.INFERRED)))
            if not waiting:
                return
            for name in waiting:
                tasks.build(self.context, name)
        raise AssertionError("the building does not come to an end")

    def look_again(self, name: str = "job-1") -> None:
        """Have a report looked at again, and built."""
        with self.records.write() as session:
            jobs.reopen(session, session.get_one(Job, name), "somebody asked")
        self.build()

    def note(
        self, document: str, code: str, *, patient: str = "P-1", state: NoteState = NoteState.ANALYSED, **fact: Any
    ) -> None:
        """Put an analysed note with one fact into the records, in place of what it said."""
        with self.records.write() as session:
            row = session.scalars(select(Note).filter_by(document_number=document)).one_or_none()
            if row is None:
                row = Note(document_number=document, patient=patients.find_or_create(session, patient), text=code)
                session.add(row)
            row.state, row.engine, row.written_at = state, "rules 1", dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
            values = {
                "kind": "problem", "code_value": code, "code_scheme": "I10C", "code_meaning": f"Problem {code}",
                "surface": code, "start": 0, "end": len(code), "section": "history", "negated": False,
                "uncertain": False, "historical": False, "hypothetical": False, "experiencer": "patient",
            }  # fmt: skip
            row.facts = [Fact(**{**values, **fact})]

    def value(self, code: str, number: float, *, patient: str = "P-1", status: str = "F") -> None:
        """Put a laboratory value into the records."""
        with self.records.write() as session:
            person = patients.find_or_create(session, patient)
            row = session.scalars(select(Observation).filter_by(code=code, patient_fk=person.id)).one_or_none()
            row = row or Observation(patient_fk=person.id, source="LAB", code=code, scheme="LN", name=code)
            row.number, row.value, row.unit, row.status = number, str(number), "mg/dL", status
            row.observed_at = dt.datetime(2026, 11, 19, tzinfo=dt.UTC)
            session.add(row)

    def results(self, kind: str) -> list[Result]:
        with self.records.read() as session:
            return list(session.scalars(select(Result).where(Result.kind == kind).order_by(Result.id)))

    def messages(self, kind: str) -> list[Hl7Message]:
        """The messages of a kind, oldest first."""
        return [parse((self.context.root / row.path).read_bytes()) for row in self.results(kind)]

    def lines(self, kind: str) -> list[str]:
        with self.records.read() as session:
            return list(session.scalars(select(Event.text).where(Event.kind == kind).order_by(Event.id)))

    def queued(self, destination: str) -> list[str]:
        """Kinds of what a destination is owed, in order."""
        with self.records.read() as session:
            query = select(Result.kind).join(Delivery).where(Delivery.destination == destination)
            return list(session.scalars(query.order_by(Delivery.id)))

    def accept(self, destination: str) -> None:
        """Take all that is due, as the destination does."""
        with self.records.write() as session:
            rows = results.due(session, destination, 100)
            started = results.start(session, [row.id for row in rows])
            results.accepted(session, [results.Answer(key, "AA") for key in started])

    def study(self, number: int = 1) -> Study:
        with self.records.read() as session:
            return session.scalars(select(Study).where(Study.uid == f"1.2.826.0.1.3680043.10.{number}")).one()

    def job(self, name: str = "job-1") -> Job:
        with self.records.read() as session:
            return session.get_one(Job, name)


def judging(rule: Callable[[Case], Assessment]) -> Callable[..., Assessment]:
    """Give what stands in the place of :func:`models.fusion.assess.assess`."""

    def assess(case: Case, graph: object = None) -> Assessment:
        return rule(case)

    return assess


def only(findings: Sequence[Finding]) -> Prediction:
    """A prediction that says these findings and draws nothing."""
    return Prediction(tuple(findings))
