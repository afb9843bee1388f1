"""A prediction as an HL7 report: what :mod:`node.hl7.outbound` writes as ORU^R01 beside the job's DICOM objects."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from models.codes import NO_UNITS
from models.contracts import Code, Finding, Measurement
from models.facts import Experiencer
from node.hl7 import outbound
from node.hl7.alert import CRITICAL_FLAG
from node.hl7.outbound import Concept, OruFact, OruObservation, OruPatient, OruReport, Reference
from node.records.schema import Patient, Study
from node.settings import Hl7Section
from workers.results.clinical import stated
from workers.results.common import DISCLAIMER, LATERALITY, ReportedFact, ResultInput, local_time, sr_uid
from workers.results.groups import ABSENT, CERTAINTY, LOWER, PERCENT, UPPER
from workers.results.messages.addressing import PLAIN, Addressing
from workers.results.messages.assessment import observations
from workers.results.rested import CONTRIBUTION, LIMIT, MISSING

FINDING = Concept("121071", "DCM", "Finding")
TRACKING_IDENTIFIER = Concept("112039", "DCM", "Tracking Identifier")
LATERALITY_NAME = Concept("272741003", "SCT", "Laterality")


@dataclass(frozen=True, eq=False)
class Letter:
    """What a message has beside what it reports.

    Parameters
    ----------
    person
        Whom it is about, as the record knows them now: where patients were merged, the one that survives. None where
        the images' patient is in question: then it is about whom the images name.
    study
        The study's record, with its order loaded: the fields that the order asked to have back.
    sender
        Who the message says it is from (MSH-3, MSH-4).
    addressing
        Whom it is written to.
    """

    person: Patient | None
    study: Study
    sender: Hl7Section
    addressing: Addressing = PLAIN


def control_id(inp: ResultInput, addressing: Addressing = PLAIN) -> str:
    """MSH-10 of the message that goes with a report: one for each SR and form, and the same for every retry."""
    form = f" {addressing.key}" if addressing.key else ""
    return hashlib.sha256(f"oru {sr_uid(inp)}{form}".encode()).hexdigest()[:20].upper()


def named(built: Mapping[str, Sequence[Dataset]]) -> list[tuple[str, str]]:
    """Return kind and SOP Instance UID of objects that were built."""
    return [(kind, str(ds.SOPInstanceUID)) for kind, objects in built.items() for ds in objects]


def build_oru(inp: ResultInput, objects: Iterable[tuple[str, str]], letter: Letter, document: bytes = b"") -> bytes:
    """Build the ORU^R01 of a prediction.

    Parameters
    ----------
    inp
        What is reported.
    objects
        Kind and SOP Instance UID of the DICOM objects that were built of it; the message refers to them.
    document
        The PDF report, where it goes along.

    Returns
    -------
    bytes
        The message in UTF-8, without MLLP framing.
    """
    report = replace(
        report_of(inp, letter, objects),
        status="C" if inp.predecessor else "P",
        observations=(*_observations(inp), *_values(inp)),
        assessment=tuple(observations(inp.prediction, inp.assessment)) if inp.assessment is not None else (),
        facts=tuple(_fact(fact) for fact in inp.note_facts),
        lines=tuple(_lines(inp)),
        document=document,
        application="NE" if letter.addressing.enhanced else "",
    )
    return outbound.build_oru(report, control_id(inp, letter.addressing), local_time(inp))


def report_of(inp: ResultInput, letter: Letter, objects: Iterable[tuple[str, str]]) -> OruReport:
    """Fill in what every message says: patient, order, model, sender and receiver; the rest is still empty."""
    order, numbers, addressing = letter.study.order, inp.order, letter.addressing
    return OruReport(
        patient=_of_images(inp) if letter.person is None else _patient(letter.person),
        study_uid=str(inp.image.StudyInstanceUID),
        observed_at=_observed_at(inp),
        model=inp.card.name,
        model_version=inp.card.version,
        disclaimer=DISCLAIMER,
        accession_number=numbers.accession_number if numbers else letter.study.accession_number,
        placer_number=numbers.placer_number if numbers else "",
        filler_number=numbers.filler_number if numbers else "",
        context=(order.context if order is not None else None) or {},
        references=tuple(Reference(kind.upper(), uid) for kind, uid in objects),
        sending_application=letter.sender.application,
        sending_facility=letter.sender.facility,
        receiving_application=addressing.application,
        receiving_facility=addressing.facility,
        accept="AL" if addressing.enhanced else "",
    )


def assertion(fact: ReportedFact) -> str:
    """Say in words how a note states a fact, such as ``"absent, in the past, of the family"``."""
    words = ["absent" if fact.negated else "possible" if fact.uncertain or fact.hypothetical else "present"]
    words += [word for given, word in ((fact.hypothetical, "supposed"), (fact.historical, "in the past")) if given]
    if fact.experiencer is not Experiencer.PATIENT:
        words.append("of the family" if fact.experiencer is Experiencer.FAMILY else "of another person")
    return ", ".join(words)


def _patient(patient: Patient) -> OruPatient:
    return OruPatient(
        id=patient.patient_id,
        issuer=patient.issuer,
        name=patient.name,
        birth_date=patient.birth_date,
        sex=patient.sex,
    )


def _of_images(inp: ResultInput) -> OruPatient:
    """Return the patient as the images have them."""
    image = inp.image
    return OruPatient(
        id=str(image.get("PatientID") or ""),
        issuer=str(image.get("IssuerOfPatientID") or ""),
        name=str(image.get("PatientName") or ""),
        birth_date=str(image.get("PatientBirthDate") or ""),
        sex=str(image.get("PatientSex") or ""),
    )


def _observed_at(inp: ResultInput) -> dt.datetime:
    """OBR-7: when the study began, where its header says so in full; else the job's time."""
    stamp = f"{inp.image.get('StudyDate') or ''}{str(inp.image.get('StudyTime') or '')[:6]}"
    present = local_time(inp)
    try:
        return dt.datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=present.tzinfo)
    except ValueError:
        return present


def _observations(inp: ResultInput) -> Iterator[OruObservation]:
    """Everything that is said of one finding has the finding's number as OBX-4; a critical one is flagged."""
    critical = inp.assessment.triage.critical_findings if inp.assessment is not None else ()
    for index, finding in enumerate(inp.prediction.findings):
        yield from finding_lines(finding, str(index + 1), CRITICAL_FLAG if index in critical else "")


def _values(inp: ResultInput) -> Iterator[OruObservation]:
    """The record's values that the answer rests on, each with how far it moved it."""
    for number, item in enumerate(inp.prediction.contributions[:LIMIT], 1):
        name, sub_id = _concept(item.name), f"value{number}"
        if item.value is not None:
            yield OruObservation(name, "NM", item.value, _concept(item.unit or NO_UNITS), sub_id=sub_id)
        else:
            yield OruObservation(name, "ST", MISSING, sub_id=sub_id)
        weight = float(f"{item.weight:.4g}")
        yield OruObservation(_concept(CONTRIBUTION), "NM", weight, _concept(NO_UNITS), sub_id=sub_id)


def finding_lines(finding: Finding, sub_id: str, flag: str = "") -> Iterator[OruObservation]:
    """Give the OBX of one finding: what it is, its name for tracking, side, numbers and confidence.

    What was not found is a question and its answer, as in the SR: its code in OBX-3, *Absent* in OBX-5. Who reads no
    more than the findings does not take it for one.
    """
    if finding.present:
        yield OruObservation(FINDING, "CWE", _concept(finding.code), sub_id=sub_id, flag=flag)
    else:
        yield OruObservation(_concept(finding.code), "CWE", _concept(ABSENT), sub_id=sub_id)
    yield OruObservation(TRACKING_IDENTIFIER, "ST", finding.label, sub_id=sub_id)
    if finding.side is not None:
        yield OruObservation(LATERALITY_NAME, "CWE", _concept(LATERALITY[finding.side]), sub_id=sub_id)
    for measurement in finding.measurements:
        yield from _measured(measurement, sub_id)
    if finding.present and finding.confidence is not None:
        percent = round(100 * finding.confidence, 1)
        yield OruObservation(_concept(CERTAINTY), "NM", percent, _concept(PERCENT), sub_id=sub_id)


def _measured(measurement: Measurement, sub_id: str) -> Iterator[OruObservation]:
    """The value and, as in the SR, how far its interval reaches above and below."""
    unit = _concept(measurement.unit)
    yield OruObservation(_concept(measurement.name), "NM", measurement.value, unit, sub_id=sub_id)
    if measurement.upper is not None:
        above = max(0.0, measurement.upper - measurement.value)
        yield OruObservation(_concept(UPPER), "NM", above, unit, sub_id=sub_id)
    if measurement.lower is not None:
        below = max(0.0, measurement.value - measurement.lower)
        yield OruObservation(_concept(LOWER), "NM", below, unit, sub_id=sub_id)


def _lines(inp: ResultInput) -> Iterator[str]:
    yield from (finding.text for finding in inp.prediction.findings if finding.text)
    if not inp.prediction.findings:
        yield "The model reports no finding."
    yield from inp.prediction.warnings


def _fact(fact: ReportedFact) -> OruFact:
    return OruFact(
        code=_concept(fact.code),
        kind=fact.kind,
        assertion=assertion(fact),
        document_number=fact.document_number,
        start=fact.start,
        end=fact.end,
        section=fact.section,
        details=tuple(OruObservation(_concept(name), "ST", said) for name, said in stated(fact)),
    )


def _concept(code: Code) -> Concept:
    return Concept(code.value, code.scheme, code.meaning)
