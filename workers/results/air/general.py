"""AIR's rules for every result: who made it, when, of what, and that it says what it is not."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

from workers.results.air.rule import (
    AIR,
    EVERY,
    MAPS,
    REPORTS,
    SEGMENTATIONS,
    AirRule,
    code,
    descendants,
    filled,
    items,
    named,
    references,
)
from workers.results.common import DISCLAIMER, MANUFACTURER

PROCESSING = ("109102", "DCM")

#: What an item for an algorithm has to tell.
DETAILS = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID")

#: Content items that name an algorithm (TID 1004, TID 4019), and the attribute that has to say the same.
CORRESPONDING = {
    "121014": "Manufacturer",
    "121015": "ManufacturerModelName",
    "111001": "ManufacturerModelName",
    "111003": "SoftwareVersions",
    "121012": "DeviceUID",
}

#: The same for the Algorithm Identification macro (PS3.3 10.16) in objects that have no content tree.
ALGORITHM = {
    "AlgorithmSource": "Manufacturer",
    "AlgorithmName": "ManufacturerModelName",
    "AlgorithmVersion": "SoftwareVersions",
}

#: Pairs of date and time of which one says when the content was made.
TIMES = (
    ("ContentDate", "ContentTime"),
    ("PresentationCreationDate", "PresentationCreationTime"),
    ("DateOfSecondaryCapture", "TimeOfSecondaryCapture"),
)

IDENTIFIERS = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


def _algorithms(ds: Dataset) -> list[Dataset]:
    """Items of Contributing Equipment Sequence that describe an algorithm: processing equipment with a Device UID."""
    return [
        item
        for item in items(ds, "ContributingEquipmentSequence")
        if code(item, "PurposeOfReferenceCodeSequence") == PROCESSING and filled(item, "DeviceUID")
    ]


def _values(ds: Dataset, keyword: str) -> set[str]:
    found = ds.get(keyword)
    return {str(value) for value in found} if isinstance(found, MultiValue | list) else {str(found or "")}


def described(ds: Dataset) -> Iterator[str]:
    """Contributing equipment describes the algorithm."""
    found = _algorithms(ds)
    if not found:
        yield "no item of Contributing Equipment Sequence is processing equipment (109102, DCM) with a Device UID"
    for item in found:
        for keyword in DETAILS:
            if not filled(item, keyword):
                yield f"the algorithm's item of Contributing Equipment Sequence has no {keyword}"


def agreeing_tree(ds: Dataset) -> Iterator[str]:
    """Content items that identify an algorithm say what its contributing equipment says."""
    found = _algorithms(ds)
    for value, keyword in CORRESPONDING.items():
        known = {one for item in found for one in _values(item, keyword)}
        for item in named(descendants(ds), value):
            if str(item.get("TextValue") or item.get("UID") or "") not in known:
                yield f"content item ({value}, DCM) is no {keyword} of the contributing equipment"
                break


def agreeing_macro(ds: Dataset) -> Iterator[str]:
    """The Algorithm Identification macro says what the contributing equipment says."""
    found = _algorithms(ds)
    for number, segment in enumerate(items(ds, "SegmentSequence"), 1):
        for macro in items(segment, "SegmentationAlgorithmIdentificationSequence"):
            for keyword, other in ALGORITHM.items():
                known = {one for item in found for one in _values(item, other)}
                if filled(macro, keyword) and str(macro.get(keyword)) not in known:
                    yield f"{keyword} of segment {number} is no {other} of the contributing equipment"


def dated(ds: Dataset) -> Iterator[str]:
    """When the analysis was made."""
    if not any(filled(ds, date) and filled(ds, time) for date, time in TIMES):
        yield "there is no date and time at which the content was made"


def identified(ds: Dataset) -> Iterator[str]:
    """UIDs are well-formed and of their own level."""
    found = [str(ds.get(keyword) or "") for keyword in IDENTIFIERS]
    for keyword, value in zip(IDENTIFIERS, found, strict=True):
        if not UID(value).is_valid:
            yield f"{keyword} is missing or no UID"
    if len(set(found)) < len(found):
        yield "instance, series and study share a UID"


def described_series(ds: Dataset) -> Iterator[str]:
    """People can find and tell the series."""
    for keyword in ("SeriesDescription", "SeriesNumber", "Modality"):
        if not filled(ds, keyword):
            yield f"{keyword} is missing or empty"


def equipped(ds: Dataset) -> Iterator[str]:
    """Who made the object itself."""
    for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber"):
        if not filled(ds, keyword):
            yield f"{keyword} is missing or empty"


def referring(ds: Dataset) -> Iterator[str]:
    """It names what it is about."""
    own = str(ds.get("SOPInstanceUID", ""))
    named_instances = [pair for pair in references(ds) if pair[1] != own]
    if not named_instances:
        yield "no instance is referred to: which images it is about is not known"
    if any(not sop_class for sop_class, _ in named_instances):
        yield "an instance is referred to without its SOP Class UID"


def modest(ds: Dataset) -> Iterator[str]:
    """Ours say that they are no medical device's."""
    if str(ds.get("Manufacturer")) == MANUFACTURER and not any(
        str(item.get("ContributionDescription", "")) == DISCLAIMER
        for item in items(ds, "ContributingEquipmentSequence")
    ):
        yield "Contributing Equipment Sequence does not carry the disclaimer"


RULES = (
    AirRule(
        "GEN-1",
        "each algorithm is an item of Contributing Equipment Sequence: processing equipment with manufacturer, model "
        "name, software versions and Device UID",
        f"{AIR} 6.5.3.1",
        EVERY,
        described,
    ),
    AirRule(
        "GEN-2",
        "where the report identifies an algorithm, it says what the contributing equipment says",
        f"{AIR} 6.5.3.1, table 6.5.3.1-1",
        REPORTS,
        agreeing_tree,
    ),
    AirRule(
        "GEN-3",
        "where a segment identifies an algorithm, it says what the contributing equipment says",
        f"{AIR} table 6.5.3.1-1, last column",
        SEGMENTATIONS,
        agreeing_macro,
    ),
    AirRule(
        "GEN-4",
        "date and time of the analysis",
        f"{AIR} (section number not seen); PS3.3 C.7.6.16, C.17.2",
        EVERY,
        dated,
    ),
    AirRule("GEN-5", "instance, series and study have well-formed UIDs of their own", "PS3.5 9.1", EVERY, identified),
    AirRule("GEN-6", "series number, description and modality", "PS3.3 C.7.3.1", EVERY, described_series),
    AirRule(
        "GEN-7",
        "manufacturer, model name, serial number and software versions of what made the object",
        "PS3.3 C.7.5.2",
        SEGMENTATIONS | MAPS | REPORTS,
        equipped,
    ),
    AirRule(
        "GEN-8",
        "the images (or results) that it is about are named by SOP class and instance",
        f"{AIR} image references (section number not seen); PS3.3 10.8",
        EVERY,
        referring,
    ),
    AirRule("GEN-9", "what we make says that it is not a medical device's", "this project", EVERY, modest),
)
