"""A prediction as an HL7 report: what :mod:`node.hl7.outbound` writes as ORU^R01 beside the job's DICOM objects."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydicom.dataset import Dataset

from models.contracts import Code, Finding, Measurement
from models.facts import Experiencer
from node.hl7 import outbound
from node.hl7.outbound import Concept, OruFact, OruObservation, OruPatient, OruReport, Reference
from node.records.schema import Patient, Study
from node.settings import Hl7Section
from workers.results.common import DISCLAIMER, LATERALITY, ReportedFact, ResultInput, local_time, sr_uid
from workers.results.groups import CERTAINTY, LOWER, PERCENT, UPPER

FINDING = Concept("121071", "DCM", "Finding")
TRACKING_IDENTIFIER = Concept("112039", "DCM", "Tracking Identifier")
LATERALITY_NAME = Concept("272741003", "SCT", "Laterality")


def control_id(inp: ResultInput) -> str:
    """MSH-10 of the message that goes with a report: one for each SR and the same for every retry."""
    return hashlib.sha256(f"oru {sr_uid(inp)}".encode()).hexdigest()[:20].upper()


def named(built: Mapping[str, Sequence[Dataset]]) -> list[tuple[str, str]]:
    """Return kind and SOP Instance UID of objects that were built."""
    return [(kind, str(ds.SOPInstanceUID)) for kind, objects in built.items() for ds in objects]


def build_oru(inp: ResultInput, objects: Iterable[tuple[str, str]], study: Study, sender: Hl7Section) -> bytes:
    """Build the ORU^R01 of a prediction.

    Parameters
    ----------
    inp
        What is reported.
    objects
        Kind and SOP Instance UID of the DICOM objects that were built of it; the message refers to them.
    study
        The study's record, with its patient and order loaded: the patient as the record knows them now, and the
        fields that the order asked to have back.
    sender
        Who the message says it is from (MSH-3, MSH-4).

    Returns
    -------
    bytes
        The message in UTF-8, without MLLP framing.
    """
    order = study.order
    context = order.context if order is not None else {}
    numbers = inp.order
    report = OruReport(
        patient=_patient(study.patient),
        study_uid=str(inp.image.StudyInstanceUID),
        observed_at=_observed_at(inp),
        model=inp.card.name,
        model_version=inp.card.version,
        disclaimer=DISCLAIMER,
        accession_number=numbers.accession_number if numbers else study.accession_number,
        status="C" if inp.predecessor else "P",
        placer_number=numbers.placer_number if numbers else "",
        filler_number=numbers.filler_number if numbers else "",
        context=context or {},
        observations=tuple(_observations(inp)),
        facts=tuple(_fact(fact) for fact in inp.note_facts),
        lines=tuple(_lines(inp)),
        references=tuple(Reference(kind.upper(), uid) for kind, uid in objects),
        sending_application=sender.application,
        sending_facility=sender.facility,
    )
    return outbound.build_oru(report, control_id(inp), local_time(inp))


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


def _observed_at(inp: ResultInput) -> dt.datetime:
    """OBR-7: when the study began, where its header says so in full; else the job's time."""
    stamp = f"{inp.image.get('StudyDate') or ''}{str(inp.image.get('StudyTime') or '')[:6]}"
    present = local_time(inp)
    try:
        return dt.datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=present.tzinfo)
    except ValueError:
        return present


def _observations(inp: ResultInput) -> Iterator[OruObservation]:
    """Everything that is said of one finding has the finding's number as OBX-4."""
    for number, finding in enumerate(inp.prediction.findings, 1):
        yield from _finding(finding, str(number))


def _finding(finding: Finding, sub_id: str) -> Iterator[OruObservation]:
    yield OruObservation(FINDING, "CWE", _concept(finding.code), sub_id=sub_id)
    yield OruObservation(TRACKING_IDENTIFIER, "ST", finding.label, sub_id=sub_id)
    if finding.side is not None:
        yield OruObservation(LATERALITY_NAME, "CWE", _concept(LATERALITY[finding.side]), sub_id=sub_id)
    for measurement in finding.measurements:
        yield from _measured(measurement, sub_id)
    if finding.confidence is not None:
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
    )


def _concept(code: Code) -> Concept:
    return Concept(code.value, code.scheme, code.meaning)
