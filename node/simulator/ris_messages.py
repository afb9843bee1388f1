"""The messages that the simulated RIS sends. Whoever they speak of is made up."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from node.hl7.charset import codec_name
from node.hl7.escape import escape
from node.hl7.writing import xpn

UTF_8 = "UNICODE UTF-8"

NOTE_ENGLISH = """\
CHIEF COMPLAINT: Memory loss.

HISTORY OF PRESENT ILLNESS: 72-year-old right-handed patient with progressive memory loss over eighteen months, \
repeats questions and misplaces things. Word-finding difficulty for six months. Denies seizures. No head trauma. \
No focal weakness.

PAST MEDICAL HISTORY: Hypertension, hyperlipidemia. Remote appendectomy. No history of stroke.

FAMILY HISTORY: Mother had dementia, onset at age 70. Father died of myocardial infarction.

MEDICATIONS: Lisinopril 10 mg daily, atorvastatin 20 mg daily.

SOCIAL HISTORY: Former smoker, quit 20 years ago. Drinks one glass of wine a week.

ASSESSMENT AND PLAN: Mild cognitive impairment, possible early Alzheimer disease. MRI brain with hippocampal volumetry \
to evaluate for hippocampal atrophy. If seizures occur, obtain EEG."""

NOTE_CHINESE = """\
主诉：记忆力下降一年半。

现病史：患者72岁，近一年半来记忆力进行性下降，反复提问，常遗失物品。否认癫痫发作，无头部外伤。

既往史：高血压病史10年，高脂血症。否认脑卒中病史。

家族史：母亲患痴呆。

诊断意见：轻度认知障碍，阿尔茨海默病待排。建议行头颅MRI检查，评估海马萎缩。"""


@dataclass(frozen=True, slots=True)
class Person:
    """A made-up patient; ``name`` is a DICOM PN."""

    id: str = "OVR0001"
    name: str = "Example^Robin"
    birth_date: str = "19540317"
    sex: str = "F"
    issuer: str = "HOSPITAL"


def admit(person: Person, *, event: str = "A01", control_id: str = "", charset: str = UTF_8) -> bytes:
    """Build an ADT message."""
    return _message(
        f"ADT^{event}^ADT_A01",
        [["EVN", "", _now()], _pid(person), ["PV1", "1", "O"]],
        control_id,
        charset,
    )


def order(
    person: Person,
    *,
    accession: str,
    placer: str = "",
    study_uid: str = "",
    procedure: tuple[str, str, str] = ("24590-2", "MR Brain", "LN"),
    priority: str = "ROUTINE",
    reason: str = "Memory loss, evaluate hippocampal volume",
    control: str = "NW",
    control_id: str = "",
    charset: str = UTF_8,
) -> bytes:
    """Build an ORM^O01 as IHE RAD-4 has it: accession number in OBR-18, Study Instance UID in ZDS-1."""
    placer = placer or f"P{accession}"
    obr = [""] * 32
    obr[:5] = ["OBR", "1", f"{escape(placer)}^RIS", f"{escape(accession)}^RIS", "^".join(map(escape, procedure))]
    obr[18] = escape(accession)
    obr[27] = f"^^^{_now()}^^{priority[0]}"
    obr[31] = f"^{escape(reason, newline='')}"
    segments = [
        _pid(person),
        ["PV1", "1", "O", "RAD^^^HOSPITAL", "", "", "", "", "0210^Attend^Alex"],
        ["ORC", control, obr[2], obr[3], "", "", "", obr[27], "", _now()],
        obr,
    ]
    if study_uid:
        segments.append(["ZDS", f"{study_uid}^RIS^Application^DICOM"])
    return _message("ORM^O01^ORM_O01", segments, control_id, charset)


def note(
    person: Person,
    *,
    document_number: str,
    text: str = NOTE_ENGLISH,
    accession: str = "",
    author: str = "3850^Author^Chris",
    control_id: str = "",
    charset: str = UTF_8,
) -> bytes:
    """Build an MDM^T02, one OBX for each line of the text."""
    txa = [""] * 20
    txa[:10] = ["TXA", "1", "CN", "TX", _now(), "", _now(), "", "", author]
    txa[12], txa[17], txa[19] = escape(document_number), "AU", "AV"
    segments = [["EVN", "T02", _now()], _pid(person), ["PV1", "1", "O"]]
    if accession:
        obr = [""] * 19
        obr[:5] = ["OBR", "1", f"P{escape(accession)}^RIS", f"{escape(accession)}^RIS", "24590-2^MR Brain^LN"]
        obr[18] = escape(accession)
        segments += [["ORC", "RE", obr[2], obr[3]], obr]
    segments.append(txa)
    for number, line in enumerate(text.split("\n"), 1):
        segments.append(
            ["OBX", str(number), "FT", "34117-2^History and physical note^LN", "", escape(line), *[""] * 5, "F"]
        )
    return _message("MDM^T02^MDM_T02", segments, control_id, charset)


def labs(
    person: Person,
    values: Sequence[tuple[str, str, float | str, str, str]] = (
        ("2132-9", "Vitamin B12", 310, "pg/mL", "200-900"),
        ("3016-3", "TSH", 2.1, "mIU/L", "0.4-4.0"),
        ("2160-0", "Creatinine", 0.9, "mg/dL", "0.6-1.3"),
    ),
    *,
    filler: str = "LAB1",
    control_id: str = "",
    charset: str = UTF_8,
) -> bytes:
    """Build an ORU^R01 of laboratory values: LOINC code, name, value, UCUM unit, reference range."""
    obr = ["OBR", "1", "", f"{escape(filler)}^LAB", "24323-8^Chemistry panel^LN", "", "", _now()]
    obxs = [
        ["OBX", str(n), "NM", f"{code}^{escape(name)}^LN", "", str(value), f"{unit}^^UCUM", limits, "N", "", "", "F"]
        for n, (code, name, value, unit, limits) in enumerate(values, 1)
    ]
    return _message("ORU^R01^ORU_R01", [_pid(person), obr, *obxs], control_id, charset)


def _message(kind: str, segments: Sequence[Sequence[str]], control_id: str, charset: str) -> bytes:
    msh = [
        *("MSH", "^~\\&", "RIS", "HOSPITAL", "OVERREAD", "", _now(), "", kind),
        *(control_id or uuid.uuid4().hex[:20], "P", "2.5.1", "", "", "", "", "", charset),
    ]
    text = "".join("|".join(segment).rstrip("|") + "\r" for segment in [msh, *segments])
    return text.encode(codec_name(charset)[1])


def _pid(person: Person) -> list[str]:
    identifier = f"{escape(person.id)}^^^{escape(person.issuer)}".rstrip("^")
    return ["PID", "1", "", identifier, "", xpn(person.name), "", person.birth_date, person.sex]


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y%m%d%H%M%S+0000")
