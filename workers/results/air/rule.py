"""What a rule of the AIR checklist is, and how rules look at a data set; the rules are in the other files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

#: How the profile is cited: IHE Radiology, AI Results, Rev. 1.3, Trial Implementation of 2025-08-08 (docs/air.md).
AIR = "AIR"

#: Label Map Segmentation Storage (PS3.4 B.5), which pydicom 3.0 does not know yet.
LABEL_MAP = UID("1.2.840.10008.5.1.4.1.1.66.7")

REPORTS = frozenset({BasicTextSRStorage, EnhancedSRStorage, ComprehensiveSRStorage, Comprehensive3DSRStorage})
SEGMENTATIONS = frozenset({SegmentationStorage, LABEL_MAP})
MAPS = frozenset({ParametricMapStorage})
KEY_OBJECTS = frozenset({KeyObjectSelectionDocumentStorage})
STATES = frozenset({GrayscaleSoftcopyPresentationStateStorage})
CAPTURES = frozenset(
    {
        SecondaryCaptureImageStorage,
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        MultiFrameTrueColorSecondaryCaptureImageStorage,
    }
)
PDFS = frozenset({EncapsulatedPDFStorage})

#: Objects in which AIR has results encoded. Whoever made them, the checklist holds for them.
ENCODINGS = REPORTS | SEGMENTATIONS | MAPS
#: Objects that AIR does not address ("lack machine-readable semantics"): the checklist holds for those that we make.
FALLBACKS = KEY_OBJECTS | STATES | CAPTURES | PDFS
EVERY = ENCODINGS | FALLBACKS

Check = Callable[[Dataset], Iterable[str]]


@dataclass(frozen=True, slots=True)
class AirRule:
    """One demand of the checklist.

    Parameters
    ----------
    id
        Name by which docs/air.md and the command know it.
    demand
        What it demands, for people.
    clause
        Where that is written.
    applies
        SOP Class UIDs of the objects that it is about.
    check
        Gives one sentence for each thing that is wrong, without patient data.
    """

    id: str
    demand: str
    clause: str
    applies: frozenset[str]
    check: Check


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that an object breaks, and how."""

    rule: AirRule
    text: str


def items(ds: Dataset, keyword: str) -> list[Dataset]:
    """Items of a sequence; none where it is missing, empty or no sequence."""
    found = ds.get(keyword) or ()
    return [item for item in found if isinstance(item, Dataset)] if not isinstance(found, str | bytes) else []


def filled(ds: Dataset, keyword: str) -> bool:
    """Whether an attribute is present with a value."""
    return ds.get(keyword) not in (None, "") and ds.get(keyword) != []


def code(ds: Dataset, keyword: str) -> tuple[str, str]:
    """Value and coding scheme of the first item of a code sequence; empty strings where there is none."""
    found = items(ds, keyword)
    if not found:
        return "", ""
    value = found[0].get("CodeValue") or found[0].get("LongCodeValue") or found[0].get("URNCodeValue") or ""
    return str(value), str(found[0].get("CodingSchemeDesignator") or "")


def descendants(ds: Dataset) -> Iterator[Dataset]:
    """Content items below ``ds`` (PS3.3 C.17.3), in the order of the document."""
    waiting = [items(ds, "ContentSequence")[::-1]]
    while waiting:
        level = waiting[-1]
        if not level:
            waiting.pop()
            continue
        item = level.pop()
        yield item
        waiting.append(items(item, "ContentSequence")[::-1])


def named(found: Iterable[Dataset], *values: str) -> list[Dataset]:
    """Content items whose concept name has one of the code values of the scheme DCM."""
    return [item for item in found if code(item, "ConceptNameCodeSequence") in {(value, "DCM") for value in values}]


def references(ds: Dataset) -> Iterator[tuple[str, str]]:
    """SOP Class and SOP Instance UID of every instance that the object names, wherever it stands."""
    waiting = [ds]
    while waiting:
        current = waiting.pop()
        if filled(current, "ReferencedSOPInstanceUID"):
            yield str(current.get("ReferencedSOPClassUID", "")), str(current.ReferencedSOPInstanceUID)
        for element in current:
            if element.VR == "SQ":
                waiting.extend(element.value)


def text(value: Any) -> str:
    """An attribute's value as one string, several values joined as DICOM does."""
    if value is None:
        return ""
    return "\\".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)
