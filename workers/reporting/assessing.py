"""From what is known to an assessment: the case of a job, and the digest of all that its report will say."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydicom import Dataset, dcmread
from sqlalchemy.orm import Session

from models.contracts import InputKind
from models.fusion import assess, graph, serial
from models.fusion.contracts import Assessment, Case, Demographics
from models.fusion.contracts import Seen as SeenIn
from node.records import jobs
from node.records.schema import Job
from workers import dates, predictions
from workers.context import Context
from workers.reporting import gather
from workers.reporting.gather import Known

ALONE = (
    "Notes, laboratory values and earlier studies were not used: what the images say of the patient contradicts the "
    "record, and nobody has resolved it yet."
)
"""Said in every report of a study whose patient is in question."""

PATIENT_TAGS = ["PatientBirthDate", "PatientAge", "PatientSex", "StudyDate", "StudyTime", "TimezoneOffsetFromUTC"]
"""What is read of an image where the record does not know the patient's age or sex."""

SEEN: Mapping[InputKind, SeenIn] = MappingProxyType(
    {
        InputKind.VOLUME: SeenIn.IMAGES,
        InputKind.RADIOGRAPH: SeenIn.IMAGE,
        InputKind.WAVEFORM: SeenIn.WAVEFORM,
        InputKind.RECORD: SeenIn.VALUES,
    }
)
"""What findings are of, in words."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a report rests on, beside the images.

    Parameters
    ----------
    fingerprint
        Digest of what is known; if it changes while a report is built, the report is begun anew.
    digest
        Digest of what the report will say of it: the same as long as a new report would say the same.
    """

    known: Known
    assessment: Assessment
    fingerprint: str
    digest: str


def look(context: Context, session: Session, job: Job) -> Seen:
    """Assess a job that has findings.

    Raises
    ------
    FileNotFoundError
        If the images are gone.
    models.contracts.ModelError
        If the site's knowledge files cannot be read.
    """
    known = gather.known_of(session, job)
    kind = predictions.read_kind(context.root / job.prediction) if job.prediction else InputKind.VOLUME
    case = replace(case_of(job, known, _header(context, session, job)), seen=SEEN[kind])
    made = assess.assess(case, knowledge(context.settings.knowledge.path))
    said = json.dumps(serial.to_json(made), sort_keys=True)
    digest = jobs.context_digest([*gather.told(job, known), said])
    return Seen(known, made, gather.fingerprint(job, known), digest)


@cache
def knowledge(path: Path | None) -> Any:
    """Return the knowledge graph with what a site's folder adds: read once, as long as the process lives."""
    return graph.load(path)


def case_of(job: Job, known: Known, image: Dataset) -> Case:
    """Put together what is known of a job's study.

    Parameters
    ----------
    image
        Header of one of its images, with :data:`PATIENT_TAGS`: what it says of the patient fills what the record lacks.
    """
    studied_at = dates.studied_by_header(image) or dates.studied_by_record(job.study)
    return Case(
        findings=tuple(predictions.finding_from(item) for item in job.findings),
        model=job.model,
        modality=job.series.modality,
        body_part=job.series.body_part,
        demographics=Demographics(_age(known, image, studied_at), known.sex or _sex(image)),
        facts=known.facts,
        observations=known.values,
        priors=known.priors,
        order_reason=known.order_reason,
        order_priority=known.order_priority,
        patient_class=known.patient_class,
        studied_at=studied_at,
        quality=tuple(job.warnings),
        study_description=job.study.description,
        withheld=ALONE if known.alone else "",
    )


def _age(known: Known, image: Dataset, studied_at: dt.datetime | None) -> float | None:
    """Return the age at the study: by the record's date of birth, else by the image's, else as the image says it."""
    for born in (known.birth_date, _text(image, "PatientBirthDate")):
        age = dates.age_at(born, studied_at)
        if age is not None:
            return age
    return dates.age_said(_text(image, "PatientAge"))


def _sex(image: Dataset) -> str:
    sex = _text(image, "PatientSex").upper()
    return sex if sex in ("M", "F", "O") else ""


def _text(image: Dataset, keyword: str) -> str:
    return str(image.get(keyword) or "").strip()


def _header(context: Context, session: Session, job: Job) -> Dataset:
    files = context.paths(session, job)
    if not files:
        return Dataset()
    return dcmread(files[0], stop_before_pixels=True, specific_tags=PATIENT_TAGS, force=True)
