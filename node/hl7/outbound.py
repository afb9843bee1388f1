r"""Results as HL7: ORU^R01 of version 2.5.1 (section 7.3.1), in UTF-8. Pure: a report in, bytes out.

Up to three groups: the first has what the images show (values, references to the DICOM objects, model, disclaimer, and
the PDF report where it is asked for); the second, under an OBR of its own, what images and record say together; the
third what the patient's notes say, each fact with its document and place. A receiver can take each without the others.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable

from node.hl7.reporting import (
    MAX_DOCUMENT_BYTES,
    SCHEME,
    OruFact,
    OruObservation,
    OruPatient,
    OruReport,
    Reference,
)
from node.hl7.segments import (
    check_control_id,
    common_order,
    header,
    observation_lines,
    person,
    request,
    specimens,
    study_line,
    visit,
    written,
)
from node.hl7.writing import Concept

__all__ = ["Concept", "OruFact", "OruObservation", "OruPatient", "OruReport", "Reference", "build_oru"]

ASSESSMENT = Concept("ASSESSMENT", SCHEME, "Image findings and record together")
NOTE_FACTS = Concept("NOTE-FACTS", SCHEME, "Facts stated in clinical notes")
FINDINGS_TEXT = Concept("59776-5", "LN", "Procedure findings")
MODEL = Concept("MODEL", SCHEME, "Model and version")
DISCLAIMER = Concept("DISCLAIMER", SCHEME, "Limits of use")
DOCUMENT = Concept("18748-4", "LN", "Diagnostic imaging study")  # as IHE RAD-128 names a report in an OBX
DOCUMENT_LEFT_OUT = Concept("PDF-LEFT-OUT", SCHEME, "Why the PDF report is not in this message")
NOTE_DOCUMENT = Concept("NOTE-DOCUMENT", SCHEME, "Document number of the note")
NOTE_SPAN = Concept("NOTE-SPAN", SCHEME, "First and last character of the words in the note")
NOTE_SECTION = Concept("NOTE-SECTION", SCHEME, "Section of the note")
NOTE_ASSERTION = Concept("NOTE-ASSERTION", SCHEME, "How the note states it")


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
    check_control_id(control_id)
    segments = [header(report, control_id, now), person(report.patient), *visit(report.context)]
    observations = [*report.observations, *references(report.references), *_texts(report), *_document(report)]
    segments += _group(report, 1, None, now, observations)
    if report.assessment:
        segments += _group(report, 2, ASSESSMENT, now, report.assessment)
    if report.facts:
        facts = [item for number, fact in enumerate(report.facts, 1) for item in _fact(fact, f"fact{number}")]
        segments += _group(report, 3 if report.assessment else 2, NOTE_FACTS, now, facts)
    return written(segments)


def references(named: Iterable[Reference]) -> list[OruObservation]:
    """Name the DICOM objects that belong to the report."""
    return [
        OruObservation(Concept(f"{item.kind}-UID", SCHEME, f"SOP Instance UID of the {item.kind}"), "ST", item.uid)
        for item in named
    ]


def model_and_limits(report: OruReport) -> list[OruObservation]:
    """Say what made it and that it is not a medical device."""
    return [
        OruObservation(MODEL, "ST", f"{report.model} {report.model_version}"),
        OruObservation(DISCLAIMER, "TX", report.disclaimer),
    ]


def _texts(report: OruReport) -> list[OruObservation]:
    lines = [OruObservation(FINDINGS_TEXT, "TX", line) for line in report.lines]
    return [*lines, *model_and_limits(report)]


def _document(report: OruReport) -> list[OruObservation]:
    """Put the PDF into an OBX of type ED (section 2.A.24): type, subtype, encoding, data."""
    size = len(report.document)
    if not size:
        return []
    if size > MAX_DOCUMENT_BYTES:
        why = f"it has {size} bytes, more than the {MAX_DOCUMENT_BYTES} that a message holds"
        return [OruObservation(DOCUMENT_LEFT_OUT, "TX", why)]
    return [OruObservation(DOCUMENT, "ED", base64.b64encode(report.document).decode("ascii"))]


def _group(
    report: OruReport, number: int, service: Concept | None, now: dt.datetime, observations: Iterable[OruObservation]
) -> list[list[str]]:
    """Write an ORDER_OBSERVATION group; the first names the study and repeats the order's specimens."""
    study = [study_line(report.study_uid)] if number == 1 else []
    lines = observation_lines(observations, report, start=1 + len(study))
    samples = specimens(report.context) if number == 1 else []
    return [common_order(report), request(report, number, service, now), *study, *lines, *samples]


def _fact(fact: OruFact, sub_id: str) -> Iterable[OruObservation]:
    kind = Concept(f"NOTE-{fact.kind.upper()}", SCHEME, f"{fact.kind.replace('_', ' ').capitalize()} stated in a note")
    yield OruObservation(kind, "CWE", fact.code, sub_id=sub_id)
    yield OruObservation(NOTE_ASSERTION, "ST", fact.assertion, sub_id=sub_id)
    yield OruObservation(NOTE_DOCUMENT, "ST", fact.document_number, sub_id=sub_id)
    yield OruObservation(NOTE_SPAN, "ST", f"{fact.start}-{fact.end}", sub_id=sub_id)
    if fact.section:
        yield OruObservation(NOTE_SECTION, "ST", fact.section, sub_id=sub_id)
    for detail in fact.details:
        yield OruObservation(detail.identifier, detail.value_type, detail.value, detail.unit, sub_id)
