"""Studies as they arrive: what a header says becomes patient, study, series and instance rows, once.

:func:`index` and :func:`released` may be told the same thing any number of times, by any number of processes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session, joinedload

from node.dicom.instance import InstanceHeader
from node.records import identity, patients, timeline
from node.records.schema import Event, IdentityConflict, Instance, Patient, Result, Series, Study, now
from node.records.states import StudyState, check


@dataclass(frozen=True, slots=True)
class Indexed:
    """What :func:`index` did. ``study`` is None where the instance is a result of this node that came back."""

    study: Study | None
    new: bool


def index(session: Session, header: InstanceHeader) -> Indexed:
    """Enter one stored instance; see :func:`index_all`."""
    return index_all(session, [header])[0]


def index_all(session: Session, headers: Sequence[InstanceHeader]) -> list[Indexed]:
    """Enter stored instances; one that is known already changes nothing.

    An instance that is new to a study which was judged complete opens it again: its results are superseded once the
    study is complete anew. A result of this node that a PACS sends back is kept as a file but is no input, or the
    node would feed on itself.
    """
    batch = _Batch(session, headers)
    found = [batch.enter(header) for header in headers]
    batch.write()
    return found


class _Batch:
    """What the records know of a batch of instances, asked once for all of them."""

    def __init__(self, session: Session, headers: Sequence[InstanceHeader]) -> None:
        uids = {header.uid for header in headers}
        known = select(Instance.uid, Series).join(Instance.series).where(Instance.uid.in_(uids))
        self._session = session
        self._rows: list[dict[str, object]] = []
        self._observed: set[tuple[str, ...]] = set()
        self._instances: dict[str, Series] = {row[0]: row[1] for row in session.execute(known)}
        self._results = set(session.scalars(select(Result.uid).where(Result.uid.in_(uids))))
        wanted = select(Series, IdentityConflict).where(Series.uid.in_({header.series_uid for header in headers}))
        wanted = wanted.outerjoin(IdentityConflict, IdentityConflict.study_fk == Series.study_fk)
        found = session.execute(wanted.options(joinedload(Series.study))).all()
        self._series = {series.uid: series for series, _ in found}
        self._compared = {series.study_fk: comparison for series, comparison in found}

    def write(self) -> None:
        """Write what was entered."""
        self._session.flush()
        if self._rows:
            self._session.execute(insert(Instance), self._rows)

    def enter(self, header: InstanceHeader) -> Indexed:
        """Enter one."""
        if header.uid in self._instances:
            return Indexed(self._instances[header.uid].study, new=False)
        if header.uid in self._results:
            return Indexed(None, new=False)
        series = self._series.get(header.series_uid)
        study = series.study if series else _study(self._session, header)
        _compare(self._session, study, header)
        self._observe(study, header)
        if series is None:
            series = self._series[header.series_uid] = _series(self._session, study, header)
        _reopen(self._session, study)
        self._rows.append(_row(series, header))
        self._instances[header.uid] = series
        study.last_instance_at = max(study.last_instance_at, header.received_at)
        return Indexed(study, new=True)

    def _observe(self, study: Study, header: InstanceHeader) -> None:
        """Compare what the images say of the patient with the record, once for all that say the same."""
        patient = study.patient
        key = (study.uid, header.patient_id, header.issuer, header.patient_name, header.birth_date, header.sex)
        if key in self._observed or not header.patient_id or not patient.patient_id:
            return
        self._observed.add(key)
        said = {"name": header.patient_name, "birth_date": header.birth_date, "sex": header.sex}
        other = _other(patient, header)
        known = self._compared.get(study.id)
        self._compared[study.id] = identity.observe(self._session, study, {} if other else said, known, other=other)


def _other(patient: Patient, header: InstanceHeader) -> tuple[str, str] | None:
    """Return number and authority of the patient that an instance names, None where it is the study's."""
    same = header.patient_id == patient.patient_id
    if same and (header.issuer == patient.issuer or not (header.issuer and patient.issuer)):
        return None
    return header.patient_id, header.issuer


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
    for uid, content in sorted((instance.uid, instance.digest) for instance in series.instances):
        digest.update(f"{uid} {content}\n".encode())
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


def _row(series: Series, header: InstanceHeader) -> dict[str, object]:
    return {
        "uid": header.uid,
        "series_fk": series.id,
        "sop_class": header.sop_class,
        "transfer_syntax": header.transfer_syntax,
        "number": header.number,
        "path": header.path,
        "size": header.size,
        "digest": header.digest,
        "received_at": header.received_at,
    }


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
