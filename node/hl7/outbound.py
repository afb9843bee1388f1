r"""Results as HL7: ORU^R01 of version 2.5.1 (section 7.3.1), in UTF-8. Pure: a report in, bytes out.

Two groups: the first has what the images show (values, references to the DICOM objects, model, disclaimer), the
second, under an OBR of its own, what the patient's notes say, each fact with its document and place, so that a receiver
can take either without the other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from node.hl7.escape import escape
from node.hl7.writing import Concept, ce, decimal, ei, st, timestamp, xpn

__all__ = ["Concept", "OruFact", "OruObservation", "OruPatient", "OruReport", "Reference", "build_oru"]

SCHEME = "99OVERREAD"
VERSION = "2.5.1"
CHARSET = "UNICODE UTF-8"


IMAGE_ANALYSIS = Concept("AI-IMAGE-ANALYSIS", SCHEME, "Automated image analysis")
NOTE_FACTS = Concept("NOTE-FACTS", SCHEME, "Facts stated in clinical notes")
STUDY_UID = Concept("113014", "DCM", "DICOM Study")  # as IHE RAD and PACS write it
FINDINGS_TEXT = Concept("59776-5", "LN", "Procedure findings")
MODEL = Concept("MODEL", SCHEME, "Model and version")
DISCLAIMER = Concept("DISCLAIMER", SCHEME, "Limits of use")
NOTE_DOCUMENT = Concept("NOTE-DOCUMENT", SCHEME, "Document number of the note")
NOTE_SPAN = Concept("NOTE-SPAN", SCHEME, "First and last character of the words in the note")
NOTE_SECTION = Concept("NOTE-SECTION", SCHEME, "Section of the note")
NOTE_ASSERTION = Concept("NOTE-ASSERTION", SCHEME, "How the note states it")

ValueType = Literal["NM", "CWE", "ST", "TX"]
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class OruPatient:
    """Who it is about; ``name`` is a DICOM PN, dates are ``YYYYMMDD``."""

    id: str
    issuer: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""


@dataclass(frozen=True, slots=True)
class OruObservation:
    """One OBX: ``value`` is a number for NM, a :class:`Concept` for CWE, else text. ``unit`` is a UCUM concept.

    Observations with the same ``sub_id`` belong together (such as a volume and its interval).
    """

    identifier: Concept
    value_type: ValueType
    value: float | str | Concept
    unit: Concept | None = None
    sub_id: str = ""
    flag: str = ""
    reference_range: str = ""


@dataclass(frozen=True, slots=True)
class OruFact:
    """A fact of a note: ``start`` and ``end`` are character offsets, ``assertion`` a word such as "present"."""

    code: Concept
    kind: str
    assertion: str
    document_number: str
    start: int
    end: int
    section: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A DICOM object that belongs to the report: what it is ("SEG", "SR") and its SOP Instance UID."""

    kind: str
    uid: str


@dataclass(frozen=True)
class OruReport:
    """Everything that the message says.

    Parameters
    ----------
    status
        ``"P"`` preliminary: nobody verified it; ``"C"``: it corrects one that was sent before (table 0123).
    context
        :attr:`node.records.schema.Order.context` of the matched order, or empty: ORC, OBR and PV1 fields to copy.
    placer_number, filler_number
        ``id^namespace``, used where the context has none.
    lines
        Findings as sentences, one OBX each.
    """

    patient: OruPatient
    study_uid: str
    observed_at: dt.datetime
    model: str
    model_version: str
    disclaimer: str
    accession_number: str = ""
    status: Literal["P", "C"] = "P"
    procedure: Concept = IMAGE_ANALYSIS
    placer_number: str = ""
    filler_number: str = ""
    context: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    observations: tuple[OruObservation, ...] = ()
    facts: tuple[OruFact, ...] = ()
    lines: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    sending_application: str = "OVERREAD"
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""


def build_oru(report: OruReport, control_id: str, now: dt.datetime) -> bytes:
    """Build the message.

    Parameters
    ----------
    control_id
        MSH-10, at most 20 characters; the same for every attempt to deliver it.
    now
        Aware time of MSH-7 and OBR-22.

    Raises
    ------
    ValueError
        A number is not finite, or the control id is empty or too long.
    """
    if not 1 <= len(control_id) <= 20 or not control_id.isalnum():
        raise ValueError("a control id has 1 to 20 letters and digits")
    segments = [_msh(report, control_id, now), _pid(report.patient)]
    if visit := _visit(report.context):
        segments.append(visit)
    segments += _image_group(report, now)
    if report.facts:
        segments += _note_group(report, now)
    return "".join(_line(segment) for segment in segments).encode("utf_8")


def _line(fields: list[str]) -> str:
    return "|".join(fields).rstrip("|") + "\r"


def _msh(report: OruReport, control_id: str, now: dt.datetime) -> list[str]:
    return [
        "MSH", "^~\\&", st(report.sending_application), st(report.sending_facility),
        st(report.receiving_application), st(report.receiving_facility), timestamp(now), "", "ORU^R01^ORU_R01",
        control_id, "P", VERSION, "", "", "", "", "", CHARSET,
    ]  # fmt: skip


def _pid(patient: OruPatient) -> list[str]:
    identifier = f"{st(patient.id)}^^^{st(patient.issuer)}".rstrip("^")
    return ["PID", "1", "", identifier, "", xpn(patient.name), "", st(patient.birth_date), st(patient.sex)]


def _visit(context: Mapping[str, Any]) -> list[str]:
    text = str(context.get("PV1", ""))
    return text.split("|") if text.startswith("PV1|") else []


def _image_group(report: OruReport, now: dt.datetime) -> list[list[str]]:
    observations = [
        *report.observations,
        *(
            OruObservation(Concept(f"{r.kind}-UID", SCHEME, f"SOP Instance UID of the {r.kind}"), "ST", r.uid)
            for r in report.references
        ),
        *(OruObservation(FINDINGS_TEXT, "TX", line) for line in report.lines),
        OruObservation(MODEL, "ST", f"{report.model} {report.model_version}"),
        OruObservation(DISCLAIMER, "TX", report.disclaimer),
    ]
    study = ["OBX", "1", "ST", ce(STUDY_UID), "", st(report.study_uid), "", "", "", "", "", "O"]
    return [_orc(report), _obr(report, 1, None, now), study, *_obx(observations, report, start=2)]


def _note_group(report: OruReport, now: dt.datetime) -> list[list[str]]:
    observations = [item for number, fact in enumerate(report.facts, 1) for item in _fact(fact, f"fact{number}")]
    return [_orc(report), _obr(report, 2, NOTE_FACTS, now), *_obx(observations, report, start=1)]


def _fact(fact: OruFact, sub_id: str) -> Iterable[OruObservation]:
    kind = Concept(f"NOTE-{fact.kind.upper()}", SCHEME, f"{fact.kind.replace('_', ' ').capitalize()} stated in a note")
    yield OruObservation(kind, "CWE", fact.code, sub_id=sub_id)
    yield OruObservation(NOTE_ASSERTION, "ST", fact.assertion, sub_id=sub_id)
    yield OruObservation(NOTE_DOCUMENT, "ST", fact.document_number, sub_id=sub_id)
    yield OruObservation(NOTE_SPAN, "ST", f"{fact.start}-{fact.end}", sub_id=sub_id)
    if fact.section:
        yield OruObservation(NOTE_SECTION, "ST", fact.section, sub_id=sub_id)


def _orc(report: OruReport) -> list[str]:
    orc = _copied(report.context, "ORC")
    placer, filler = _numbers(report)
    return ["ORC", "RE", placer, filler, "", "", "", "", orc.get("8", ""), "", orc.get("10", ""), "", orc.get("12", "")]


def _obr(report: OruReport, set_id: int, service: Concept | None, now: dt.datetime) -> list[str]:
    obr = _copied(report.context, "OBR")
    placer, filler = _numbers(report)
    fields = [""] * 46
    for number in (10, 13, 15, 16, 17, 19, 20, 21, 24, 28, 31):
        fields[number] = obr.get(str(number), "")
    fields[0], fields[1] = "OBR", str(set_id)
    fields[2], fields[3] = placer, filler
    fields[4] = ce(service) if service else obr.get("4", "") or ce(report.procedure)
    fields[7] = timestamp(report.observed_at)
    fields[18] = st(report.accession_number) or obr.get("18", "")
    fields[22] = timestamp(now)
    fields[25] = report.status
    fields[44] = obr.get("44", "")
    return fields


def _numbers(report: OruReport) -> tuple[str, str]:
    """Return OBR-2 and OBR-3: the order's as it had them; a result without any names the accession number as filler."""
    orc, obr = _copied(report.context, "ORC"), _copied(report.context, "OBR")
    placer = obr.get("2") or orc.get("2") or ei(report.placer_number)
    filler = obr.get("3") or orc.get("3") or ei(report.filler_number) or st(report.accession_number)
    return placer, filler


def _copied(context: Mapping[str, Any], name: str) -> Mapping[str, str]:
    fields = context.get(name)
    return fields if isinstance(fields, Mapping) else {}


def _obx(observations: Iterable[OruObservation], report: OruReport, *, start: int) -> list[list[str]]:
    at = timestamp(report.observed_at)
    return [
        [
            *("OBX", str(number), item.value_type, ce(item.identifier), st(item.sub_id), _value(item)),
            *(ce(item.unit) if item.unit else "", st(item.reference_range), st(item.flag)),
            *("", "", report.status, "", "", at),
        ]
        for number, item in enumerate(observations, start)
    ]


def _value(item: OruObservation) -> str:
    if isinstance(item.value, Concept):
        return ce(item.value)
    if item.value_type == "NM":
        return decimal(float(item.value))
    if item.value_type == "TX":  # repetitions are lines (section 2.A.78)
        return "~".join(escape(line.rstrip(), newline="") for line in str(item.value).strip().splitlines())
    return st(str(item.value))
