"""AIR's rules for regions and parametric maps, and ours for the objects that AIR does not address."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.uid import UID

from workers.results.air.rule import (
    AIR,
    CAPTURES,
    KEY_OBJECTS,
    MAPS,
    PDFS,
    SEGMENTATIONS,
    STATES,
    AirRule,
    code,
    descendants,
    filled,
    items,
    named,
    references,
)

REGIONS = f"{AIR} regions (section number not seen); table 6.5.3-1"
NOT_ADDRESSED = f"not addressed by {AIR} (scope)"


def _segments(ds: Dataset) -> list[tuple[str, Dataset]]:
    """Segments with their numbers; the background of a label map is none."""
    return [
        (str(item.get("SegmentNumber", "?")), item)
        for item in items(ds, "SegmentSequence")
        if item.get("SegmentNumber") != 0
    ]


def coded(ds: Dataset) -> Iterator[str]:
    """Category and type of each segment."""
    if not _segments(ds):
        yield "there is no segment"
    for number, segment in _segments(ds):
        for keyword in ("SegmentedPropertyCategoryCodeSequence", "SegmentedPropertyTypeCodeSequence"):
            if not all(code(segment, keyword)):
                yield f"segment {number} has no {keyword}"
        if not filled(segment, "SegmentLabel"):
            yield f"segment {number} has no Segment Label"


def tracked(ds: Dataset) -> Iterator[str]:
    """Each segment can be followed."""
    seen: set[str] = set()
    for number, segment in _segments(ds):
        uid = str(segment.get("TrackingUID") or "")
        if not filled(segment, "TrackingID") or not UID(uid).is_valid:
            yield f"segment {number} has no Tracking ID or no Tracking UID"
        if uid and uid in seen:
            yield f"segment {number} has the Tracking UID of another one"
        seen.add(uid)


def automatic(ds: Dataset) -> Iterator[str]:
    """Each segment says what drew it."""
    for number, segment in _segments(ds):
        kind = segment.get("SegmentAlgorithmType")
        if kind not in ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"):
            yield f"segment {number} has no Segment Algorithm Type"
        if kind == "MANUAL":
            continue
        if not filled(segment, "SegmentAlgorithmName"):
            yield f"segment {number} has no Segment Algorithm Name"
        for macro in items(segment, "SegmentationAlgorithmIdentificationSequence"):
            if not all(code(macro, "AlgorithmFamilyCodeSequence")) or not (
                filled(macro, "AlgorithmName") and filled(macro, "AlgorithmVersion")
            ):
                yield f"the algorithm identification of segment {number} is incomplete"


def numbered(ds: Dataset) -> Iterator[str]:
    """Segment numbers are unique, and frames name segments that there are."""
    numbers = [item.get("SegmentNumber") for item in items(ds, "SegmentSequence")]
    if len(set(numbers)) < len(numbers):
        yield "two segments have one number"
    if ds.get("SegmentationType") in ("BINARY", "FRACTIONAL") and numbers != list(range(1, len(numbers) + 1)):
        yield "segment numbers do not rise from 1 by 1"
    for group in items(ds, "PerFrameFunctionalGroupsSequence"):
        for part in items(group, "SegmentIdentificationSequence"):
            if part.get("ReferencedSegmentNumber") not in numbers:
                yield "a frame refers to a segment that there is not"
                return


def placed(ds: Dataset) -> Iterator[str]:
    """Frames lie in the patient, or each on the pixels of the image that it is derived from."""
    if ds.get("SOPClassUID") in SEGMENTATIONS and not filled(ds, "FrameOfReferenceUID"):
        yield from _on_image(ds)
        return
    if not filled(ds, "FrameOfReferenceUID"):
        yield "there is no Frame of Reference UID"
    shared = (items(ds, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for number, group in enumerate(items(ds, "PerFrameFunctionalGroupsSequence"), 1):
        for sequence, keyword in (
            ("PlanePositionSequence", "ImagePositionPatient"),
            ("PlaneOrientationSequence", "ImageOrientationPatient"),
            ("PixelMeasuresSequence", "PixelSpacing"),
        ):
            found = items(group, sequence) or items(shared, sequence)
            if not any(filled(item, keyword) for item in found):
                yield f"frame {number} has no {keyword}"
                return


def _on_image(ds: Dataset) -> Iterator[str]:
    """A segmentation without a frame of reference is of the pixels of an image (PS3.3 A.51.5.1)."""
    shared = (items(ds, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for number, group in enumerate(items(ds, "PerFrameFunctionalGroupsSequence"), 1):
        found = items(group, "DerivationImageSequence") or items(shared, "DerivationImageSequence")
        if not any(True for item in found for _ in references(item)):
            yield f"frame {number} lies in no frame of reference and is derived from no image"
            return


def sourced(ds: Dataset) -> Iterator[str]:
    """The images are those of the referenced series, and frames name theirs."""
    listed = {instance for series in items(ds, "ReferencedSeriesSequence") for _, instance in references(series)}
    if not listed:
        yield "Referenced Series Sequence lists no image"
    for group in items(ds, "PerFrameFunctionalGroupsSequence"):
        for derivation in items(group, "DerivationImageSequence"):
            if any(instance not in listed for _, instance in references(derivation)):
                yield "a frame is derived from an image that is not in Referenced Series Sequence"
                return


def mapped(ds: Dataset) -> Iterator[str]:
    """Values have a quantity and a unit."""
    groups = [*items(ds, "SharedFunctionalGroupsSequence"), *items(ds, "PerFrameFunctionalGroupsSequence")]
    mappings = [item for group in groups for item in items(group, "RealWorldValueMappingSequence")]
    if not mappings:
        yield "there is no Real World Value Mapping"
    for mapping in mappings:
        if code(mapping, "MeasurementUnitsCodeSequence")[1] != "UCUM":
            yield "a Real World Value Mapping has no unit of UCUM"
        if not items(mapping, "QuantityDefinitionSequence"):
            yield "a Real World Value Mapping does not say which quantity it is"


def selected(ds: Dataset) -> Iterator[str]:
    """Key objects are in the evidence and have a title of CID 7010."""
    evidence = items(ds, "CurrentRequestedProcedureEvidenceSequence")
    listed = {instance for study in evidence for _, instance in references(study)}
    kept = {instance for item in items(ds, "ContentSequence") for _, instance in references(item)}
    if not kept:
        yield "no object is selected"
    if not kept <= listed:
        yield "a selected object is not in the evidence sequence"
    if code(ds, "ConceptNameCodeSequence")[1] != "DCM":
        yield "the document title is not one of CID 7010"


def told(ds: Dataset) -> Iterator[str]:
    """A key object document says why."""
    if not any(filled(item, "TextValue") for item in named(descendants(ds), "113012")):
        yield "there is no Key Object Description (113012, DCM)"


def presented(ds: Dataset) -> Iterator[str]:
    """A presentation state says for which images, and what it is called."""
    if not items(ds, "ReferencedSeriesSequence"):
        yield "Referenced Series Sequence is empty"
    for keyword in ("ContentLabel", "PresentationCreationDate", "PresentationCreationTime", "InstanceNumber"):
        if not filled(ds, keyword):
            yield f"{keyword} is missing or empty"
    if not items(ds, "DisplayedAreaSelectionSequence"):
        yield "there is no displayed area"


def burned(ds: Dataset) -> Iterator[str]:
    """A capture says whether its pixels identify the patient, and that it is derived."""
    yield from _annotated(ds)
    if "DERIVED" not in (ds.get("ImageType") or ()):
        yield "Image Type does not say DERIVED"
    if not filled(ds, "ConversionType"):
        yield "Conversion Type is missing"


def _annotated(ds: Dataset) -> Iterator[str]:
    if ds.get("BurnedInAnnotation") not in ("YES", "NO"):
        yield "Burned In Annotation does not say whether the patient can be told from the pixels"


def enclosed(ds: Dataset) -> Iterator[str]:
    """A PDF is one, has a title and names its sources."""
    if ds.get("MIMETypeOfEncapsulatedDocument") != "application/pdf":
        yield "the encapsulated document does not say that it is a PDF"
    if not bytes(ds.get("EncapsulatedDocument") or b"").startswith(b"%PDF-"):
        yield "the encapsulated document is no PDF"
    if not filled(ds, "DocumentTitle"):
        yield "there is no Document Title"
    yield from _annotated(ds)


RULES = (
    AirRule(
        "SEG-1", "each segment has label, category and type, coded", f"{REGIONS}; PS3.3 C.8.20.2", SEGMENTATIONS, coded
    ),
    AirRule(
        "SEG-2",
        "each segment has tracking ID and tracking UID of its own",
        f"{AIR} tracking identifiers (section number not seen); PS3.3 table C.8.20-4",
        SEGMENTATIONS,
        tracked,
    ),
    AirRule("SEG-3", "each segment says which algorithm drew it", "PS3.3 C.8.20.2, 10.16", SEGMENTATIONS, automatic),
    AirRule(
        "SEG-4",
        "segment numbers are unique and rise from 1; frames name them",
        "PS3.3 C.8.20.2",
        SEGMENTATIONS,
        numbered,
    ),
    AirRule(
        "IMG-1",
        "every frame lies in the frame of reference; of a segmentation without one, on an image's pixels",
        f"{REGIONS}; PS3.3 C.7.4.1, C.7.6.16.2, A.51.5.1",
        SEGMENTATIONS | MAPS,
        placed,
    ),
    AirRule(
        "IMG-2",
        "frames are derived from images that the object lists",
        f"{AIR} image references (section number not seen); PS3.3 C.12.2, C.7.6.16.2.6",
        SEGMENTATIONS | MAPS,
        sourced,
    ),
    AirRule(
        "PM-1",
        "values map to a quantity with a unit of UCUM",
        f"{AIR} parametric maps (section number not seen); PS3.3 C.7.6.16.2.11",
        MAPS,
        mapped,
    ),
    AirRule("KOS-1", "selected objects are in the evidence", f"{NOT_ADDRESSED}; PS3.3 C.17.6.2", KEY_OBJECTS, selected),
    AirRule("KOS-2", "it says why they were selected", f"{NOT_ADDRESSED}; PS3.16 TID 2010", KEY_OBJECTS, told),
    AirRule(
        "GSPS-1",
        "it names its images, and has a label, a creation time and a displayed area",
        f"{NOT_ADDRESSED}; PS3.3 C.10.4, C.11.10, C.11.11",
        STATES,
        presented,
    ),
    AirRule(
        "SC-1",
        "it says whether its pixels identify the patient, and that it is derived",
        f"{NOT_ADDRESSED}; PS3.3 C.8.6.1, C.7.6.1",
        CAPTURES,
        burned,
    ),
    AirRule(
        "PDF-1",
        "a PDF with a title, which says whether it identifies the patient",
        f"{NOT_ADDRESSED}; PS3.3 C.24.2",
        PDFS,
        enclosed,
    ),
)
