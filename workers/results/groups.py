"""Findings in a report (PS3.16): TID 1411 where a segment draws them, TID 1501 where only measured, else coded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    ContentSequence,
    FindingSite,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from models import contracts
from models.contracts import Code, Finding, SegmentSpec, Side
from workers.results.common import (
    ALGORITHM_FAMILY,
    LATERALITY,
    MANUFACTURER,
    ResultInput,
    concept,
    segment_numbers,
    tracking_id,
    tracking_uid,
)

Group = MeasurementsAndQualitativeEvaluations | VolumetricROIMeasurementsAndQualitativeEvaluations

#: Name and unit under which a finding's confidence is written (CID 6048, UCUM).
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
PERCENT = Code("%", "UCUM", "Percent")

#: Segmented Property Categories (CID 7150) whose types are places: SCT Anatomical structure, and body structure.
ANATOMICAL = frozenset({"91723000", "123037004"})

UPPER = Code("371886008", "SCT", "+, range of upper measurement uncertainty")
LOWER = Code("371885007", "SCT", "-, range of lower measurement uncertainty")


def measurement_groups(inp: ResultInput, seg: Dataset | None) -> list[Group]:
    """One group for each finding that is drawn or measured, in the model's order."""
    return [_group(inp, finding, seg) for finding in inp.prediction.findings if _is_measured(inp, finding, seg)]


def qualitative_evaluations(inp: ResultInput, seg: Dataset | None) -> list[CodeContentItem]:
    """One coded item for each finding that is neither drawn nor measured (TID 1500, Qualitative Evaluations)."""
    return [_evaluation(inp, finding) for finding in inp.prediction.findings if not _is_measured(inp, finding, seg)]


def comment(text: str, relationship: RelationshipTypeValues) -> TextContentItem:
    """Build a Comment item."""
    return TextContentItem(name=codes.DCM.Comment, value=text, relationship_type=relationship)


def _is_measured(inp: ResultInput, finding: Finding, seg: Dataset | None) -> bool:
    return bool(finding.measurements) or (seg is not None and _spec(inp, finding) is not None)


def _evaluation(inp: ResultInput, finding: Finding) -> CodeContentItem:
    item = CodeContentItem(codes.DCM.Finding, concept(finding.code), RelationshipTypeValues.CONTAINS)
    content = ContentSequence()
    if finding.side is not None:
        content.append(_laterality(finding.side, RelationshipTypeValues.HAS_CONCEPT_MOD))
    content.extend(_algorithm(inp))
    properties = RelationshipTypeValues.HAS_PROPERTIES
    if finding.confidence is not None:
        content.append(
            NumContentItem(
                concept(CERTAINTY), round(100 * finding.confidence, 1), concept(PERCENT), relationship_type=properties
            )
        )
    if finding.text:
        content.append(comment(finding.text, properties))
    item.ContentSequence = content
    return item


def _group(inp: ResultInput, finding: Finding, seg: Dataset | None) -> Group:
    spec = _spec(inp, finding) if seg is not None else None
    common: dict[str, Any] = {
        "tracking_identifier": _tracking(inp, finding.label),
        "finding_type": concept(finding.code),
        "algorithm_id": _algorithm(inp),
        "finding_sites": _sites(inp, finding, spec),
        "measurements": _measurements(finding),
    }
    group: Group
    if spec is None or seg is None:
        group = MeasurementsAndQualitativeEvaluations(**common)
    else:
        group = VolumetricROIMeasurementsAndQualitativeEvaluations(
            **common, finding_category=concept(spec.category), referenced_segment=_segment(inp, spec, seg)
        )
    if finding.side and not common["finding_sites"]:
        group[0].ContentSequence.append(_laterality(finding.side, RelationshipTypeValues.CONTAINS))
    if finding.text:
        group[0].ContentSequence.append(comment(finding.text, RelationshipTypeValues.CONTAINS))
    return group


def _laterality(side: Side, relationship: RelationshipTypeValues) -> CodeContentItem:
    return CodeContentItem(codes.SCT.Laterality, concept(LATERALITY[side]), relationship)


def _spec(inp: ResultInput, finding: Finding) -> SegmentSpec | None:
    return next((spec for spec in inp.prediction.segments if spec.label == finding.segment), None)


def _tracking(inp: ResultInput, label: str) -> TrackingIdentifier:
    return TrackingIdentifier(uid=tracking_uid(inp, label), identifier=tracking_id(inp, label))


def _algorithm(inp: ResultInput) -> AlgorithmIdentification:
    """TID 4019; the weights' digest makes the model one of a kind."""
    return AlgorithmIdentification(
        name=inp.card.name,
        version=inp.card.version,
        parameters=[f"weights SHA-256 {inp.card.weights_sha256}"] if inp.card.weights_sha256 else None,
        family=ALGORITHM_FAMILY,
        manufacturer=MANUFACTURER,
    )


def _segment(inp: ResultInput, spec: SegmentSpec, seg: Dataset) -> ReferencedSegment:
    return ReferencedSegment(
        sop_class_uid=seg.SOPClassUID,
        sop_instance_uid=seg.SOPInstanceUID,
        segment_number=segment_numbers(inp.prediction)[spec.label],
        source_series=SourceSeriesForSegmentation(str(inp.image.SeriesInstanceUID)),
    )


def _sites(inp: ResultInput, finding: Finding, spec: SegmentSpec | None) -> list[FindingSite] | None:
    """Where it is: the segment's anatomy, or the thing itself where that is an anatomical structure."""
    place = _place(inp, finding) if spec is None else _place_of(spec)
    if place is None:
        return None
    laterality = concept(LATERALITY[finding.side]) if finding.side else None
    modifiers = [code for code in (spec.anatomy_modifiers if spec else ()) if code not in LATERALITY.values()]
    modifier = concept(modifiers[0]) if modifiers else None
    return [FindingSite(concept(place), laterality=laterality, topographical_modifier=modifier)]


def _place_of(spec: SegmentSpec) -> Code | None:
    return spec.anatomy or (spec.type if spec.category.value in ANATOMICAL else None)


def _place(inp: ResultInput, finding: Finding) -> Code | None:
    """Place of a finding without a segment of its own, if it is one that the prediction draws parts of."""
    return finding.code if finding.code in [_place_of(spec) for spec in inp.prediction.segments] else None


def _measurements(finding: Finding) -> list[Measurement] | None:
    found = [_measurement(measurement) for measurement in finding.measurements]
    if finding.confidence is not None:
        found.append(Measurement(concept(CERTAINTY), round(100 * finding.confidence, 1), concept(PERCENT)))
    return found or None


def _measurement(measurement: contracts.Measurement) -> Measurement:
    """TID 300, with its uncertainty (TID 310) and how it was made as properties."""
    item = Measurement(
        name=concept(measurement.name), value=_rounded(measurement.value), unit=concept(measurement.unit)
    )
    properties = [*_uncertainty(measurement), *_how(measurement)]
    if properties:
        item[0].ContentSequence = ContentSequence(properties)
    return item


def _uncertainty(measurement: contracts.Measurement) -> Iterator[NumContentItem]:
    """Distances of the interval's ends from the value, in the value's own unit (CID 225)."""
    for bound, sign, name in ((measurement.upper, 1.0, UPPER), (measurement.lower, -1.0, LOWER)):
        if bound is not None:
            yield NumContentItem(
                name=concept(name),
                value=_rounded(max(0.0, sign * (bound - measurement.value))),
                unit=concept(measurement.unit),
                relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
            )


def _how(measurement: contracts.Measurement) -> Iterator[TextContentItem]:
    said = []
    if measurement.confidence is not None:
        said.append(f"uncertainty range of {measurement.confidence:.0%} probability")
    if measurement.method:
        said.append(f"method: {measurement.method}")
    if said:
        yield comment("; ".join(said), RelationshipTypeValues.HAS_PROPERTIES)


def _rounded(value: float) -> float:
    """Six significant digits: more than any measurement has, and always within the 16 characters of a DS."""
    return float(f"{value:.6g}")
