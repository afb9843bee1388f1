"""Studies that are here already when a message comes."""

from __future__ import annotations

from sqlalchemy.orm import Session

from node.records import patients
from node.records.schema import Job, Series, Study
from node.records.states import JobState, StudyState


def study(
    session: Session,
    uid: str = "1.2.3",
    *,
    patient_id: str = "4711",
    issuer: str = "",
    name: str = "Doe^Jane",
    accession: str = "A1",
    state: StudyState = StudyState.RECEIVING,
) -> Study:
    """Enter a study as the DICOM side does."""
    patient = patients.upsert(session, patient_id=patient_id, issuer=issuer, name=name, origin="dicom")
    row = Study(uid=uid, patient=patient, accession_number=accession, state=state, priority="ROUTINE")
    session.add(row)
    session.flush()
    return row


def done(session: Session, uid: str = "1.2.3", **values: str) -> Job:
    """Enter a study of which a report was made."""
    row = study(session, uid, state=StudyState.DONE, **values)
    series = Series(uid=f"{uid}.1", study=row)
    session.add(series)
    session.flush()
    job = Job(
        id=f"job-{uid}",
        study_fk=row.id,
        series_fk=series.id,
        model="m",
        rule="r",
        input_digest="d",
        state=JobState.DONE,
    )
    session.add(job)
    session.flush()
    return job
