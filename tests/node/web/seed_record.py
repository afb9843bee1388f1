"""What the record says beside the images: an assessment, a Chinese note, values over time, doubts, alerts, messages."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from models.contracts import Code
from models.fusion.contracts import (
    Assessment,
    Conflict,
    Evidence,
    Link,
    Priority,
    Relation,
    Score,
    ScoreInput,
    Sensitivity,
    Source,
    Triage,
)
from models.fusion.serial import to_json
from node.records import identity, patients, timeline
from node.records.engine import Records
from node.records.schema import (
    Delivery,
    Fact,
    Job,
    Message,
    Note,
    Observation,
    Patient,
    Result,
    Study,
)
from node.records.states import DeliveryState, MessageState, NoteState
from tests.node.web.objects import ago
from tests.node.web.seed import NOTE, Seeded

CHINESE = "主诉：记忆力下降两年。\n既往史：无糖尿病。<b>高血压</b>十年。\n用药：华法林。"
RESCUE = "<svg onload=alert(1)>"
"""What must not run, wherever it stands."""
B12 = (("310", 400.0, ""), ("248", 200.0, ""), ("181", 60.0, "L"), ("142", 0.25, "LL"))
"""Value, days ago, flag."""
MESSAGE = (
    "MSH|^~\\&|LAB|HOSP|OVERREAD|NODE|20261120103000||ORU^R01^ORU_R01|C-1|P|2.5.1||||||UNICODE UTF-8\r"
    "PID|1||PID-778^^^HOSP~X^^^Y||Zweifel^Hildegard<script>^^^||19540312|F\r"
    "OBR|1||F-9^LAB|B12^Vitamin B12^L|||20261120100000\r"
    "OBX|1|NM|2132-9^Vitamin B12^LN||142|pg/mL|200-900|LL|||F\r"
    "ZZZ|1|own\r"
)


@dataclass(frozen=True)
class Recorded:
    """Ids of the rows that tests ask for."""

    chinese: int
    value: int
    alert: int
    failed: int
    processed: int


def record(records: Records, seeded: Seeded, root: Path) -> Recorded:
    """Add to a seeded store what its person's record says of the done study."""
    with records.write() as session:
        study = session.get_one(Study, seeded.done)
        chinese = _chinese(session, study.patient)
        newest = _values(session, study.patient)
        assessed = to_json(assessment(chinese, newest, session.get_one(Study, seeded.analysing).uid))
        session.get_one(Job, seeded.job).assessment = assessed
        study.triage = {
            "priority": "STAT",
            "critical": True,
            "reasons": ["Anticoagulated with a small hippocampus. It is urgent. [source]", RESCUE],
        }
        study.priority = "STAT"
        alert = _alert(session, root, seeded.job)
        failed, processed = _messages(session)
        _doubts(session, session.get_one(Study, seeded.stat))
        session.flush()
        return Recorded(chinese.id, newest.id, alert.id, failed.id, processed.id)


def assessment(chinese: Note, value: Observation, prior: str) -> Assessment:
    """Make an assessment with everything that one can hold."""
    start = NOTE.index("memory loss")
    drug = chinese.text.index("华法林")
    loss = Evidence(
        Source.NOTE, "memory loss (present; note of 2026-11-20)", f"DOC-5:{start}-{start + 11}",
        Code("R41.3", "I10C", "Other amnesia"), ago(hours=5),
    )  # fmt: skip
    warfarin = Evidence(
        Source.NOTE, "华法林 (present)", f"文-9:{drug}-{drug + 3}", Code("11289", "RXNORM", "warfarin"), ago(days=2)
    )
    b12 = Evidence(
        Source.LAB, "Vitamin B12 142 pg/mL", value.filler_number, Code("2132-9", "LN", "B12"), value.observed_at
    )
    image = Evidence(Source.IMAGE, "Anterior hippocampus, left, 1.72 mL", "hippocampus-anterior")
    old = Evidence(Source.PRIOR, "posterior hippocampus 1.9 mL in 2024", prior, None, ago(days=700))
    return Assessment(
        links=(
            Link(0, Relation.SUPPORTS, loss, 0.8, "Memory complaints go with a small hippocampus."),
            Link(0, Relation.RAISES_RISK, warfarin, 0.6, "Anticoagulants make bleeding more dangerous."),
            Link(0, Relation.EXPLAINS, b12, 0.45, "Lack of vitamin B12 impairs memory by itself."),
            Link(0, Relation.EXPLAINS, Evidence(Source.DEMOGRAPHICS, "age 72"), 0.3, "Volume falls with age."),
            Link(0, Relation.SUPPORTS, Evidence(Source.ORDER, "memory loss", "order"), 0.3, "The order asks for it."),
            Link(1, Relation.CONTRADICTS, old, 0.4, f"It was larger. {RESCUE}"),
        ),
        scores=(
            Score(
                name="hippocampal-volume",
                title="Hippocampal volume against age norms",
                code=Code("HV", "99OVERREAD", "Hippocampal volume percentile"),
                value=7.0,
                unit=Code("%", "UCUM", "percent"),
                category="below the 10th percentile",
                statement="The volume lies at the 7th percentile for the age.",
                inputs=(
                    ScoreInput("age", 72.0, "a", Evidence(Source.DEMOGRAPHICS, "age 72")),
                    ScoreInput("volume", 3.21, "ml", image),
                    ScoreInput("memory complaints", "yes", "", loss),
                    ScoreInput("intracranial volume", 1500.0, "ml", assumed=True),
                ),
                missing=("intracranial volume", "years of education"),
                sensitivity=(
                    Sensitivity("intracranial volume", 3.0, 18.0),
                    Sensitivity("years of education", 6.0, 9.5),
                    Sensitivity("protocol", "low", "normal"),
                ),
                finding=0,
                citation="Nobis et al., NeuroImage: Clinical 2019;23:101904",
                limits=("Norms of another segmentation protocol.",),
            ),
            Score(
                name="cha2ds2-vasc",
                title="CHA2DS2-VASc",
                code=Code("CHA2DS2-VASC", "99OVERREAD", "CHA2DS2-VASc score"),
                value=None,
                unit=None,
                category="",
                statement="It cannot be computed: nobody states atrial fibrillation.",
                missing=("atrial fibrillation",),
            ),
        ),
        conflicts=(Conflict(f"A note says left, the images say right. {RESCUE}", (image, loss), 0),),
        triage=Triage(Priority.STAT, ("Anticoagulated with a small hippocampus. [clinical convention]",), True, (0,)),
        follow_up=("Neuropsychological examination [clinical convention]",),
        missing=("no earlier CT", "hippocampal-volume: intracranial volume"),
        summary=("Priority STAT: anticoagulated.", "Images: anterior hippocampus, left, 1.72 mL."),
        versions={"fusion": "1", "graph": "2026.1", "scores": {"hippocampal-volume": "1"}},
    )


def _chinese(session: Session, patient: Patient) -> Note:
    note = Note(
        patient_fk=patient.id,
        document_number="文-9",
        document_type="门诊病历",
        author="王医生",
        text=CHINESE,
        language="zh",
        engine="lexicon 1",
        state=NoteState.ANALYSED,
        written_at=ago(days=2),
    )
    session.add(note)
    session.flush()
    start = CHINESE.index("华法林")
    plain: dict[str, Any] = dict.fromkeys(("negated", "uncertain", "historical", "hypothetical"), False)
    session.add(
        Fact(
            note_fk=note.id, kind="medication", code_value="11289", code_scheme="RXNORM", code_meaning="Warfarin",
            surface="华法林", start=start, end=start + 3, section="medications", experiencer="patient", number=2.5,
            unit="mg", **plain,
        )
    )  # fmt: skip
    session.add(
        Note(
            patient_fk=patient.id, document_number="OLD-1", document_type="Consult", text="withdrawn words",
            state=NoteState.WITHDRAWN, reason="cancelled by its author",
        )
    )  # fmt: skip
    session.flush()
    session.refresh(note)
    return note


def _values(session: Session, patient: Patient) -> Observation:
    for number, (value, days, flag) in enumerate(B12):
        row = Observation(
            patient_fk=patient.id, source="LAB|HOSP", filler_number=f"F-{number}", code="2132-9", scheme="LN",
            name="Vitamin B12 (serum)", value=value, number=float(value), unit="pg/mL", reference_range="200-900",
            flag=flag, status="F", observed_at=ago(days=days),
        )  # fmt: skip
        session.add(row)
    withdrawn = Observation(
        patient_fk=patient.id, source="LAB|HOSP", filler_number="F-X", code="2132-9", scheme="LN",
        name="Withdrawn value", value="9999", number=9999.0, unit="pg/mL", status="W", observed_at=ago(days=1),
    )  # fmt: skip
    session.add(withdrawn)
    session.flush()
    return row


def _alert(session: Session, root: Path, job: str) -> Result:
    (root / "results/alert.hl7").write_bytes(MESSAGE.encode())
    made = Result(job_fk=job, kind="alert", uid="AL1", path="results/alert.hl7", sha256="1" * 64)
    session.add(made)
    session.flush()
    sent = Delivery(
        result_fk=made.id, destination="ris", state=DeliveryState.RETRYING, attempts=2, created_at=ago(minutes=20)
    )
    session.add(sent)
    return made


def _messages(session: Session) -> tuple[Message, Message]:
    rows = []
    for state, control_id, told in ((MessageState.FAILED, "C-0", "CA"), (MessageState.PROCESSED, "C-1", "AA")):
        row = Message(
            digest=control_id, type="ORU^R01", sender="LAB|HOSP", control_id=control_id, raw=MESSAGE.encode(),
            told=told, state=state, reason="no order has the number" if state is MessageState.FAILED else "3 values",
            peer="10.0.0.7", received_at=ago(minutes=3),
        )  # fmt: skip
        session.add(row)
        session.flush()
        at = row.received_at + dt.timedelta(seconds=0.5)
        timeline.add(session, f"message.{state.value}", "ORU^R01: 3 values.", message=row.id, at=at)
        rows.append(row)
    return rows[0], rows[1]


def _doubts(session: Session, study: Study) -> None:
    """Let a registration say another birth date and sex than the study's images."""
    patients.state(
        session,
        study.patient,
        {"name": "Wang^XiaoDong", "birth_date": "19990101", "sex": "F"},
        origin="hl7",
        stated_at=ago(days=1),
    )
    said = {"name": f"Wang^XiaoDong=王^小东{RESCUE}", "birth_date": "19881231", "sex": "M"}
    identity.observe(session, study, said)
