"""Rows for tests of what stands behind the records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from node.records import results
from node.records.schema import Delivery, Instance, Job, Patient, Result, Series, Study
from node.records.states import JobState, StudyState


def study(session: Session, uid: str = "1.2.3", **values: Any) -> Study:
    """Add a study with one MR series of one instance."""
    patient = Patient(patient_id=f"P-{uid}")
    row = Study(
        **{"uid": uid, "patient": patient, "state": StudyState.RECEIVING, "calling_ae_title": "MR1", "generation": 1}
        | values
    )
    series = Series(uid=f"{uid}.1", study=row, modality="MR", body_part="BRAIN", description="T1", number=1, tags={})
    series.instances.append(
        Instance(
            uid=f"{uid}.1.1",
            sop_class="1.2.840.10008.5.1.4.1.1.4",
            transfer_syntax="1.2.840.10008.1.2.1",
            path="a.dcm",
            size=1,
            digest="xxh128:00",
        )
    )
    session.add(row)
    session.flush()
    return row


def job(session: Session, of: Study, state: JobState = JobState.QUEUED, **values: Any) -> Job:
    """Add a job on the study's series."""
    row = Job(
        **{
            "id": f"job-{of.uid}",
            "study": of,
            "series": of.series[0],
            "model": "hippocampus",
            "rule": "r",
            "input_digest": "d",
            "state": state,
            "destinations": [],
            "attempts": 0,
            "findings": [],
            "warnings": [],
        }
        | values
    )
    session.add(row)
    session.flush()
    return row


def result(
    session: Session, of: Job, root: Path, uid: str, destinations: list[str], kind: str = "sr"
) -> list[Delivery]:
    """Add a result with its file, queued for destinations."""
    path = root / "results" / f"{uid}.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"object {uid}".encode())
    row = results.add(
        session, of, Result(kind=kind, uid=uid, path=f"results/{uid}.dcm", sha256="00", sop_class="1.2"), destinations
    )
    session.flush()
    session.refresh(row)
    return list(row.deliveries)
