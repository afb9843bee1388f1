"""A plausible record store for the pages: studies in several states, with everything around them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from sqlalchemy.orm import Session

from node.records import timeline
from node.records.engine import Records
from node.records.schema import (
    Delivery,
    Fact,
    Instance,
    Job,
    Message,
    ModelRegistration,
    Note,
    Observation,
    Order,
    Patient,
    Result,
    Series,
    Study,
)
from node.records.states import DeliveryState, JobState, MessageState, NoteState, StudyState
from tests.node.web.objects import ago, head, mr_slice, save, segmentation, two_blobs

SLICES, ROWS, COLUMNS = 24, 64, 48
SPACING = (1.0, 1.5)
SECRET_WORDS = ("Zweifel", "Hildegard", "PID-778", "王", "Wang", "Smith", "hypertension", "A-1001", "<script>")
"""Patient data of the seed, or what must not run: none of it may be in metrics or addresses."""
NOTE = """HISTORY OF PRESENT ILLNESS
72-year-old woman with progressive memory loss over two years. <script>alert("note")</script> Denies headache.
Possible Alzheimer disease.

PAST MEDICAL HISTORY
History of hypertension. No diabetes & no stroke.

FAMILY HISTORY
Mother had dementia.
"""
ORU = (
    "MSH|^~\\&|OVERREAD|NODE|RIS|HOSPITAL|20261120103000||ORU^R01^ORU_R01|OR-77|P|2.5.1\r"
    "PID|1||PID-778^^^HOSP||Zweifel^Hildegard\r"
    "OBR|1|PL-1|FI-1|MRBRAIN^MR brain^L\r"
    'OBX|1|NM|1^Volume^L||1.72|mL^mL^UCUM||<b onmouseover="x">|||F\r'
)


@dataclass(frozen=True)
class Seeded:
    """Ids of the rows that tests ask for."""

    done: int
    stat: int
    receiving: int
    unwanted: int
    failed: int
    analysing: int
    job: str
    failed_delivery: int
    accepted: int
    oru: int


def seed(records: Records, root: Path) -> Seeded:
    """Fill an empty store and the files under ``root``."""
    with records.write() as session:
        done, job, deliveries, oru = _done(session, root)
        other = _others(session)
        _operations(session)
        session.flush()
        return Seeded(
            done=done.id,
            job=job.id,
            failed_delivery=deliveries["ris"].id,
            accepted=deliveries["pacs"].id,
            oru=oru.id,
            **{name: study.id for name, study in other.items()},
        )


def _patient(session: Session, name: str, number: str, born: str = "19540312", sex: str = "F") -> Patient:
    patient = Patient(name=name, patient_id=number, issuer="HOSP", birth_date=born, sex=sex)
    session.add(patient)
    session.flush()
    return patient


def _study(session: Session, patient: Patient, minutes: float, description: str, **columns: Any) -> Study:
    study = Study(
        uid=generate_uid(),
        patient_fk=patient.id,
        description=description,
        study_date="20261120",
        calling_ae_title="SCANNER1",
        called_ae_title="OVERREAD",
        first_instance_at=ago(minutes=minutes),
        last_instance_at=ago(minutes=minutes - 0.5),
        **columns,
    )
    session.add(study)
    session.flush()
    timeline.add(session, "study.received", "First instance from SCANNER1.", study=study)
    return study


def _done(session: Session, root: Path) -> tuple[Study, Job, dict[str, Delivery], Result]:
    patient = _patient(session, "Zweifel^Hildegard^Maria^Dr", "PID-778")
    order = Order(
        patient_fk=patient.id,
        accession_number="A-1001",
        placer_number="PL-1",
        filler_number="FI-1",
        procedure_code="MRBRAIN",
        procedure_scheme="L",
        procedure_text="MR brain without contrast",
        reason="Memory loss, rule out hippocampal atrophy",
    )
    session.add(order)
    session.flush()
    study = _study(
        session,
        patient,
        42,
        "MR Brain",
        order_fk=order.id,
        accession_number="A-1001",
        state=StudyState.DONE,
        reason="released and quiet for 3 s",
    )
    series, seg_path = _images(session, root, study)
    job = _job(session, study, series, state=JobState.DONE, model_version="0.1.0", findings=FINDINGS, warnings=WARNINGS)
    session.add(Job(**_superseded(job)))
    deliveries, oru = _results(session, root, job, seg_path)
    _context(session, patient)
    for kind, text, level in LINES:
        timeline.add(session, kind, text, study=study, level=level)
    return study, job, deliveries, oru


def _images(session: Session, root: Path, study: Study) -> tuple[Series, str]:
    series = Series(
        uid=generate_uid(), study_fk=study.id, modality="MR", body_part="BRAIN", description="T1 3D", number=3
    )
    session.add(series)
    session.flush()
    volume, labels = head(SLICES, ROWS, COLUMNS), two_blobs(SLICES, ROWS, COLUMNS)
    source = [
        mr_slice(volume[k], k + 1, study_uid=study.uid, series_uid=series.uid, spacing=SPACING) for k in range(SLICES)
    ]
    for ds in source:
        path = f"ab/{ds.SOPInstanceUID}.dcm"
        save(ds, root / "spool" / path)
        session.add(
            Instance(
                uid=ds.SOPInstanceUID,
                series_fk=series.id,
                sop_class=MRImageStorage,
                transfer_syntax=ExplicitVRLittleEndian,
                number=ds.InstanceNumber,
                path=path,
                size=1,
                digest="xxh128:" + "0" * 32,
            )
        )
    seg_path = "results/seg.dcm"
    save(segmentation(source, labels, ("anterior", "posterior")), root / seg_path)
    return series, seg_path


def _job(session: Session, study: Study, series: Series, **columns: Any) -> Job:
    job = Job(
        id=str(uuid.uuid4()),
        study_fk=study.id,
        series_fk=series.id,
        model="hippocampus",
        rule="brain MR",
        input_digest=uuid.uuid4().hex * 2,
        created_at=ago(minutes=40),
        started_at=ago(minutes=39.9),
        finished_at=ago(minutes=39.5),
        **columns,
    )
    session.add(job)
    session.flush()
    return job


def _superseded(job: Job) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "study_fk": job.study_fk,
        "series_fk": job.series_fk,
        "model": job.model,
        "rule": job.rule,
        "input_digest": uuid.uuid4().hex * 2,
        "state": JobState.SUPERSEDED,
        "reason": "late instances",
        "created_at": ago(minutes=41),
    }


def _results(session: Session, root: Path, job: Job, seg_path: str) -> tuple[dict[str, Delivery], Result]:
    (root / "results/oru.hl7").write_bytes(ORU.encode())
    (root / "results/sr.dcm").write_bytes(b"")
    made: dict[str, Result] = {}
    for kind, path in (("seg", seg_path), ("sr", "results/sr.dcm"), ("oru", "results/oru.hl7")):
        uid = "OR-77" if kind == "oru" else generate_uid()
        made[kind] = Result(job_fk=job.id, kind=kind, uid=uid, path=path, sha256=uuid.uuid4().hex * 2)
        session.add(made[kind])
    made["sr"].predecessor = "1.2.826.0.1.3680043.8.498.1"
    session.flush()
    done, retrying, failed = DeliveryState.ACCEPTED, DeliveryState.RETRYING, DeliveryState.FAILED
    deliveries = {
        "pacs": Delivery(destination="pacs", state=done, attempts=1, status="0x0000", accepted_at=ago(minutes=38)),
        "pacs-sr": Delivery(destination="pacs", state=retrying, attempts=3, status="0xA700", reason="Out of resources"),
        "ris": Delivery(destination="ris", state=failed, attempts=9, status="AR", reason="The other side refused it"),
    }
    for delivery, kind in zip(deliveries.values(), ("seg", "sr", "oru"), strict=True):
        delivery.result_fk = made[kind].id
        delivery.created_at = ago(minutes=39)
        delivery.next_at = ago(minutes=-4)
        session.add(delivery)
    session.flush()
    return deliveries, made["oru"]


def _context(session: Session, patient: Patient) -> None:
    note = Note(
        patient_fk=patient.id,
        document_number="DOC-5",
        document_type="Progress note",
        accession_number="A-1001",
        author="Meier, Anna",
        text=NOTE,
        state=NoteState.ANALYSED,
        written_at=ago(hours=5),
    )
    session.add(note)
    session.flush()
    for surface, flags in FACTS.items():
        start = NOTE.index(surface)
        values = {"negated": False, "uncertain": False, "historical": False, "hypothetical": False} | flags
        values.setdefault("experiencer", "patient")
        session.add(
            Fact(
                note_fk=note.id,
                kind="problem",
                code_value="C1",
                code_scheme="SCT",
                code_meaning=surface.capitalize(),
                surface=surface,
                start=start,
                end=start + len(surface),
                section="history",
                **values,
            )
        )
    for name, value, unit, span, flag in LABS:
        session.add(
            Observation(
                patient_fk=patient.id, code=name, name=name, value=value, unit=unit, reference_range=span, flag=flag,
                observed_at=ago(hours=6),
            )
        )  # fmt: skip


def _others(session: Session) -> dict[str, Study]:
    chinese = _patient(session, "Wang^XiaoDong=王^小东=", "PID-900", "19881231", "M")
    smith = _patient(session, 'Smith<img src=x onerror="alert(1)">^Bob', "PID-901", "20240901", "M")
    long = _patient(session, "Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh^Hubert Blaine^Adolph", "PID-902")
    states = StudyState
    made = {
        "stat": _study(session, chinese, 3, "CT Head", state=states.ANALYSING, priority="STAT", accession_number="A-7"),
        "receiving": _study(session, smith, 1, "MR Brain & <b>Spine</b>", priority="ASAP"),
        "unwanted": _study(session, long, 90, "XR Chest", state=states.UNWANTED, reason="no rule wants it"),
        "failed": _study(session, smith, 300, "MR Brain", state=states.FAILED, reason="the model ran out of memory"),
        "analysing": _study(session, long, 12, "MR Hippocampus", state=states.ANALYSING),
    }
    for study, state in (("stat", JobState.RUNNING), ("failed", JobState.FAILED), ("analysing", JobState.DECLINED)):
        series = Series(uid=generate_uid(), study_fk=made[study].id, modality="CT", description="", number=1)
        session.add(series)
        session.flush()
        _job(session, made[study], series, state=state, reason="" if state is JobState.RUNNING else "spacing is 7 mm")
    return made


def _operations(session: Session) -> None:
    session.add(
        Message(
            digest="0" * 64, type="ORM^O01", sender="RIS|HOSP", raw=b"MSH|broken", state=MessageState.FAILED,
            reason="MSH-12 names a version that is not supported",
        )
    )  # fmt: skip
    session.add(
        ModelRegistration(
            name="hippocampus",
            version="0.1.0",
            worker="cpu@host",
            card={
                "title": "Hippocampus, anterior and posterior",
                "summary": "Segments both parts of one hippocampus in T1-weighted MR.",
                "intended_use": "Research.",
                "limits": ["Adults only.", "Cropped volumes of about 35 x 51 x 35 mm."],
                "licence": "CC BY-SA 4.0",
            },
        )
    )
    timeline.add(session, "process.restarted", "The worker ended with code -9 and was started again.", level="warning")
    timeline.add(session, "message.refused", "A message of an unknown type was refused.", level="error")


def _finding(label: str, meaning: str, segment: int, value: float) -> dict[str, Any]:
    volume = {"value": "118565006", "scheme": "SCT", "meaning": "Volume"}
    return {
        "label": label,
        "code": {"value": "5366008", "scheme": "SCT", "meaning": meaning},
        "side": "left",
        "segment": segment,
        "confidence": 0.93,
        "text": f"The {meaning.lower()} measures {value} mL.",
        "measurements": [
            {
                "name": volume,
                "value": value,
                "unit": {"value": "ml", "scheme": "UCUM", "meaning": "milliliter"},
                "lower": value * 0.9,
                "upper": value * 1.1,
                "confidence": 0.95,
                "method": "held-out volume error",
            }
        ],
    }


FINDINGS = [
    _finding("hippocampus-anterior", "Anterior hippocampus", 1, 1.7234),
    _finding("hippocampus-posterior", "Posterior hippocampus", 2, 1.4891),
]
WARNINGS = ["The side was told from the geometry."]
FACTS: dict[str, dict[str, Any]] = {
    "memory loss": {},
    "headache": {"negated": True},
    "Alzheimer disease": {"uncertain": True},
    "hypertension": {"historical": True},
    "diabetes": {"negated": True},
    "stroke": {"negated": True},
    "dementia": {"experiencer": "family"},
}
LABS = [
    ("Vitamin B12", "142", "pg/mL", "200-900", "LL"),
    ("TSH", "6.1", "mIU/L", "0.4-4.0", "H"),
    ("Sodium", "139", "mmol/L", "135-145", "N"),
]
LINES: tuple[tuple[str, str, timeline.Level], ...] = (
    ("study.complete", "Complete: released and quiet for 3 s.", "info"),
    ("job.queued", "Job for hippocampus queued by rule “brain MR”.", "info"),
    ("job.inferred", "hippocampus inferred in 8.1 s.", "info"),
    ("delivery.accepted", "SEG accepted by pacs (0x0000).", "info"),
    ("delivery.retrying", "SR not taken by pacs: Out of resources (attempt 3).", "warning"),
    ("delivery.failed", "ORU given up for ris: the other side refused it.", "error"),
)
