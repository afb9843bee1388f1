"""Studies as they arrive: what a header says becomes patient, study, series and instance rows, once.

:func:`index` and :func:`released` may be told the same thing any number of times, by any number of processes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from node.records import patients, timeline
from node.records.schema import Event, Instance, Patient, Result, Series, Study, now
from node.records.states import StudyState, check


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """What the index keeps of one stored instance.

    Texts are decoded, free of control characters, and no longer than their columns. ``path`` is below the spool,
    ``sha256`` is of the data set without File Meta.
    """

    uid: str
    sop_class: str
    transfer_syntax: str
    study_uid: str
    series_uid: str
    path: str = ""
    size: int = 0
    sha256: str = ""
    received_at: dt.datetime = field(default_factory=now)
    calling_ae_title: str = ""
    called_ae_title: str = ""
    number: int | None = None
    patient_id: str = ""
    issuer: str = ""
    patient_name: str = ""
    birth_date: str = ""
    sex: str = ""
    accession_number: str = ""
    study_description: str = ""
    study_date: str = ""
    study_time: str = ""
    modality: str = ""
    body_part: str = ""
    series_description: str = ""
    series_number: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Indexed:
    """What :func:`index` did. ``study`` is None where the instance is a result of this node that came back."""

    study: Study | None
    new: bool


def index(session: Session, header: InstanceHeader) -> Indexed:
    """Enter one stored instance; one that is known already changes nothing.

    An instance that is new to a study which was judged complete opens it again: its results are superseded once the
    study is complete anew. A result of this node that a PACS sends back is kept as a file but is no input, or the
    node would feed on itself.
    """
    known = session.scalars(select(Instance).where(Instance.uid == header.uid)).first()
    if known is not None:
        return Indexed(known.series.study, new=False)
    if session.scalar(select(Result.id).where(Result.uid == header.uid)) is not None:
        return Indexed(None, new=False)
    series = session.scalars(select(Series).where(Series.uid == header.series_uid)).first()
    study = series.study if series else _study(session, header)
    _compare(session, study, header)
    if series is None:
        series = _series(session, study, header)
    _reopen(session, study)
    session.add(_instance(series, header))
    study.last_instance_at = max(study.last_instance_at, header.received_at)
    session.flush()
    return Indexed(study, new=True)


def released(session: Session, study_uids: Iterable[str], at: dt.datetime | None = None) -> None:
    """Say that an association which brought new instances of these studies ended, however it ended."""
    query = select(Study).where(Study.uid.in_(sorted(set(study_uids))))
    for study in session.scalars(query):
        ended = at or now()
        if study.released_at is not None and study.released_at >= ended:
            continue
        study.released_at = ended
        count = select(func.count(Instance.id), func.count(Series.id.distinct())).join(Series.instances)
        instances, series = session.execute(count.where(Series.study_fk == study.id)).one()
        text = f"The association ended; the study has {_count(instances, 'instance')} in {series} series."
        timeline.add(session, "study.released", text, study=study)


def input_digest(series: Series) -> str:
    """Return the SHA-256 over the series' instances: their UIDs and contents, whatever order they came in."""
    digest = hashlib.sha256()
    for uid, sha256 in sorted((instance.uid, instance.sha256) for instance in series.instances):
        digest.update(f"{uid} {sha256}\n".encode())
    return digest.hexdigest()


def _study(session: Session, header: InstanceHeader) -> Study:
    study = session.scalars(select(Study).where(Study.uid == header.study_uid)).first()
    if study is not None:
        return study
    study = Study(
        uid=header.study_uid,
        patient=_patient(session, header),
        accession_number=header.accession_number,
        description=header.study_description,
        study_date=header.study_date,
        study_time=header.study_time,
        calling_ae_title=header.calling_ae_title,
        called_ae_title=header.called_ae_title,
        state=StudyState.RECEIVING,
        generation=1,
        first_instance_at=header.received_at,
        last_instance_at=header.received_at,
    )
    session.add(study)
    session.flush()
    source = f" from {header.calling_ae_title}" if header.calling_ae_title else ""
    timeline.add(session, "study.received", f"The first instance arrived{source}.", study=study)
    return study


def _patient(session: Session, header: InstanceHeader) -> Patient:
    """Find or make the patient.

    Patient ID may be empty (type 2, PS3.3 C.7.1.1). Nobody knows that two such studies are of one person, so each has a
    patient of its own, told apart by the Study Instance UID in place of the issuer.
    """
    if not header.patient_id:
        return patients.find_or_create(session, "", header.study_uid)
    return patients.find_or_create(session, header.patient_id, header.issuer)


def _compare(session: Session, study: Study, header: InstanceHeader) -> None:
    """Fill in what the patient's row lacks, and warn where an instance does not agree with its study."""
    patient = study.patient
    if header.study_uid != study.uid:
        text = "An instance names another study than its series does; it is kept with its series."
        _warn_once(session, study, "study.conflict", text)
    if header.patient_id != patient.patient_id:
        text = "An instance names another patient than its study does; it is kept with its study."
        _warn_once(session, study, "patient.conflict", text)
    elif (header.patient_name, header.birth_date, header.sex) != (patient.name, patient.birth_date, patient.sex):
        patients.upsert(
            session,
            patient_id=patient.patient_id,
            issuer=patient.issuer,
            name=header.patient_name,
            birth_date=header.birth_date,
            sex=header.sex,
            origin="dicom",
            study=study,
        )


def _warn_once(session: Session, study: Study, kind: str, text: str) -> None:
    query = select(Event.id).where(Event.study_fk == study.id, Event.kind == kind, Event.text == text).limit(1)
    if session.scalar(query) is None:
        timeline.add(session, kind, text, study=study, level="warning")


def _series(session: Session, study: Study, header: InstanceHeader) -> Series:
    series = Series(
        uid=header.series_uid,
        study=study,
        modality=header.modality,
        body_part=header.body_part,
        description=header.series_description,
        number=header.series_number,
        tags=dict(header.tags),
    )
    session.add(series)
    session.flush()
    return series


def _instance(series: Series, header: InstanceHeader) -> Instance:
    return Instance(
        uid=header.uid,
        series_fk=series.id,
        sop_class=header.sop_class,
        transfer_syntax=header.transfer_syntax,
        number=header.number,
        path=header.path,
        size=header.size,
        sha256=header.sha256,
        received_at=header.received_at,
    )


def _reopen(session: Session, study: Study) -> None:
    if study.state is StudyState.RECEIVING:
        return
    check(study.state, StudyState.RECEIVING)
    study.state = StudyState.RECEIVING
    study.generation += 1
    text = "Late instances arrived: the study is open again and will be judged anew."
    timeline.add(session, "study.reopened", text, study=study, level="warning")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
