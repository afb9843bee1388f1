"""AIR's rules for reports: findings, measurements, places and tracking in a Comprehensive 3D SR by TID 1500."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from workers.results.air.rule import (
    AIR,
    REPORTS,
    AirRule,
    code,
    descendants,
    filled,
    items,
    named,
    references,
    text,
)

REPORT_TITLES = frozenset({"126000", "126001", "126002"})
"""CID 7021."""
GROUP, MEASUREMENTS, DERIVED = "125007", "126010", "126011"
EVALUATIONS = frozenset({("C0034375", "UMLS"), ("128110", "DCM")})
RECORD_VALUES = ("RECORD-VALUES", "99OVERREAD")
"""Container of the values of the record that an answer rests on (docs/results.md)."""
QUALITATIVE = f"{AIR} qualitative findings (section number not seen)"
EVIDENCE = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")


def root(ds: Dataset) -> Iterator[str]:
    """The root result is a Comprehensive 3D SR by TID 1500."""
    if ds.get("SOPClassUID") != Comprehensive3DSRStorage:
        yield "the report is no Comprehensive 3D SR"
    templates = {str(item.get("TemplateIdentifier", "")) for item in items(ds, "ContentTemplateSequence")}
    if templates != {"1500"}:
        yield "the root template is not TID 1500"
    value, scheme = code(ds, "ConceptNameCodeSequence")
    if scheme != "DCM" or value not in REPORT_TITLES:
        yield "the title is not one of CID 7021"


def procedure(ds: Dataset) -> Iterator[str]:
    """What was examined, not what examined it."""
    found = named(items(ds, "ContentSequence"), "121058")
    if not any(all(code(item, "ConceptCodeSequence")) for item in found):
        yield "there is no coded Procedure reported (121058, DCM)"


def observer(ds: Dataset) -> Iterator[str]:
    """A device observed, and which one."""
    context = items(ds, "ContentSequence")
    if not any(code(item, "ConceptCodeSequence") == ("121007", "DCM") for item in named(context, "121005")):
        yield "no Observer Type (121005, DCM) is Device (121007, DCM)"
    if not any(filled(item, "UID") for item in named(context, "121012")):
        yield "there is no Device Observer UID (121012, DCM)"


def unverified(ds: Dataset) -> Iterator[str]:
    """Nobody but a person verifies."""
    if ds.get("VerificationFlag") == "VERIFIED" and not items(ds, "VerifyingObserverSequence"):
        yield "it says VERIFIED without a verifying observer"
    if not filled(ds, "CompletionFlag") or not filled(ds, "VerificationFlag"):
        yield "Completion Flag or Verification Flag is missing"


def substance(ds: Dataset) -> Iterator[str]:
    """The report reports something."""
    content = items(ds, "ContentSequence")
    evaluations = [item for item in content if code(item, "ConceptNameCodeSequence") in EVALUATIONS]
    if not named(content, MEASUREMENTS, DERIVED) and not evaluations:
        yield "there are no measurements, derived measurements or qualitative evaluations"


def _groups(ds: Dataset) -> list[Dataset]:
    return named(descendants(ds), GROUP)


def tracked(ds: Dataset) -> Iterator[str]:
    """Each group can be followed."""
    seen: set[str] = set()
    for number, group in enumerate(_groups(ds), 1):
        content = items(group, "ContentSequence")
        uids = [str(item.UID) for item in named(content, "112040") if filled(item, "UID")]
        if not any(filled(item, "TextValue") for item in named(content, "112039")) or not uids:
            yield f"measurement group {number} has no Tracking Identifier or no Tracking Unique Identifier"
        if seen & set(uids):
            yield f"measurement group {number} has the Tracking Unique Identifier of another one"
        seen |= set(uids)


def algorithms(ds: Dataset) -> Iterator[str]:
    """Each group says what made it."""
    for number, group in enumerate(_groups(ds), 1):
        content = items(group, "ContentSequence")
        if not named(content, "111001") or not named(content, "111003"):
            yield f"measurement group {number} has no Algorithm Name or no Algorithm Version"


def found(ds: Dataset) -> Iterator[str]:
    """Each group says what was found."""
    for number, group in enumerate(_groups(ds), 1):
        findings = named(items(group, "ContentSequence"), "121071")
        if not any(all(code(item, "ConceptCodeSequence")) for item in findings):
            yield f"measurement group {number} has no coded Finding (121071, DCM)"


def measured(ds: Dataset) -> Iterator[str]:
    """Numbers have a unit of UCUM."""
    for item in descendants(ds):
        if item.get("ValueType") != "NUM":
            continue
        values = items(item, "MeasuredValueSequence")
        if not values:
            if not items(item, "NumericValueQualifierCodeSequence"):
                yield "a NUM has neither value nor the reason why not"
            continue
        unit, scheme = code(values[0], "MeasurementUnitsCodeSequence")
        if scheme != "UCUM" or not unit:
            yield "a measurement has no unit of UCUM"
        if not _number(text(values[0].get("NumericValue"))):
            yield "a measurement has no finite number"


def _number(value: str) -> bool:
    try:
        return isfinite(float(value))
    except ValueError:
        return False


def evidence(ds: Dataset) -> Iterator[str]:
    """What the content refers to is in the evidence."""
    listed = {instance for keyword in EVIDENCE for study in items(ds, keyword) for _, instance in references(study)}
    for item in descendants(ds):
        for reference in items(item, "ReferencedSOPSequence"):
            if str(reference.get("ReferencedSOPInstanceUID", "")) not in listed:
                yield "an instance that the content refers to is not in the evidence sequences"
                return


def segments(ds: Dataset) -> Iterator[str]:
    """A referenced segment names its number and the images it was drawn on."""
    for number, group in enumerate(_groups(ds), 1):
        content = items(group, "ContentSequence")
        drawn = named(content, "121191")
        for item in drawn:
            if not all(filled(part, "ReferencedSegmentNumber") for part in items(item, "ReferencedSOPSequence")):
                yield f"Referenced Segment of measurement group {number} has no segment number"
        if drawn and not named(content, "121232", "121233"):
            yield f"measurement group {number} names neither source series nor source images of its segment"


def places(ds: Dataset) -> Iterator[str]:
    """Coordinates stand in a frame of reference or on an image."""
    for item in descendants(ds):
        kind = item.get("ValueType")
        if kind == "SCOORD3D" and not filled(item, "ReferencedFrameOfReferenceUID"):
            yield "a SCOORD3D has no Referenced Frame of Reference UID"
        if kind == "SCOORD" and not any(
            part.get("ValueType") == "IMAGE" and part.get("RelationshipType") == "SELECTED FROM"
            for part in items(item, "ContentSequence")
        ):
            yield "a SCOORD is not selected from an image"
        if kind in ("SCOORD", "SCOORD3D") and not _points(item, 2 if kind == "SCOORD" else 3):
            yield f"a {kind} has no points, or an incomplete one"


def _points(item: Dataset, axes: int) -> bool:
    data = item.get("GraphicData")
    values = list(data) if isinstance(data, list) or hasattr(data, "__iter__") else []
    return filled(item, "GraphicType") and bool(values) and len(values) % axes == 0


def library(ds: Dataset) -> Iterator[str]:
    """The images that were looked at are listed; a report on a waveform or on values of the record is of none."""
    if _of_no_image(ds):
        return
    containers = named(items(ds, "ContentSequence"), "111028")
    if not any(part.get("ValueType") == "IMAGE" for container in containers for part in descendants(container)):
        yield "there is no Image Library (111028, DCM) with an image"


def _of_no_image(ds: Dataset) -> bool:
    content = list(descendants(ds))
    if any(item.get("ValueType") == "IMAGE" for item in content):
        return False
    waveform = any(item.get("ValueType") == "WAVEFORM" for item in content)
    return waveform or any(code(item, "ConceptNameCodeSequence") == RECORD_VALUES for item in content)


RULES = (
    AirRule(
        "SR-1", "the root result is a Comprehensive 3D SR by TID 1500", f"{QUALITATIVE}; table 6.5.3-1", REPORTS, root
    ),
    AirRule(
        "SR-2",
        "Procedure reported names the imaging procedure, not the algorithm",
        f"{QUALITATIVE}; PS3.16 TID 1500 row 4",
        REPORTS,
        procedure,
    ),
    AirRule("SR-3", "the observer is a device with a UID", "PS3.16 TID 1002, TID 1004", REPORTS, observer),
    AirRule("SR-4", "complete or partial, and not verified by a machine", "PS3.3 C.17.2", REPORTS, unverified),
    AirRule(
        "SR-5",
        "measurements, derived measurements or qualitative evaluations are there",
        "PS3.16 TID 1500 rows 6, 12",
        REPORTS,
        substance,
    ),
    AirRule(
        "SR-6",
        "each measurement group has tracking identifier and tracking UID of its own",
        f"{AIR} tracking identifiers (section number not seen); PS3.16 TID 1411 rows 2, 3",
        REPORTS,
        tracked,
    ),
    AirRule(
        "SR-7",
        "each measurement group identifies its algorithm by name and version",
        "PS3.16 TID 4019",
        REPORTS,
        algorithms,
    ),
    AirRule("SR-8", "each measurement group says what was found, coded", "PS3.16 TID 1411, TID 1501", REPORTS, found),
    AirRule(
        "SR-9",
        "measurements have a number and a unit of UCUM",
        f"{AIR} measurements (section number not seen); PS3.3 C.18.1, PS3.16 CID 82",
        REPORTS,
        measured,
    ),
    AirRule("SR-10", "every instance that the content refers to is in the evidence", "PS3.3 C.17.2", REPORTS, evidence),
    AirRule(
        "SR-11",
        "a referenced segment comes with its number and its source series or images",
        f"{AIR} regions (section number not seen); PS3.16 TID 1411 rows 7, 12",
        REPORTS,
        segments,
    ),
    AirRule(
        "SR-12",
        "coordinates have points, and a frame of reference (3D) or an image (2D)",
        f"{AIR} locations (section number not seen); PS3.3 C.18.6, C.18.9",
        REPORTS,
        places,
    ),
    AirRule(
        "SR-13",
        "an image library lists the images, where it is about images",
        f"{AIR} image references (section number not seen); PS3.16 TID 1600",
        REPORTS,
        library,
    ),
)
