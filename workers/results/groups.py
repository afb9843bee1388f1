"""Findings in a report (PS3.16): one measurement group each where they are drawn or measured, else a coded item.

What was looked for and not found is a qualitative evaluation (TID 1500 row 12): the finding's code as the question, and
*Absent* as the answer. It has no measurement group, since who reads no more than the group's *Finding* would take it
for one that is there; the probability that led to it is a property of the answer.

The group is of TID 1411 where a segment, an ellipsoid or a stack of outlines shows the finding, of TID 1410 where one
flat region does, else of TID 1501.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    ContentSequence,
    FindingSite,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    PlanarROIMeasurementsAndQualitativeEvaluations,
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
from models.contracts import Code, Finding, InputKind, RegionKind, SegmentSpec, Side
from workers.results.common import (
    ALGORITHM_FAMILY,
    LATERALITY,
    MANUFACTURER,
    ResultInput,
    concept,
    tracking_id,
    tracking_uid,
)
from workers.results.regions import Placed, Space, length, place, volume
from workers.results.seg.volume import segment_of

Group = (
    MeasurementsAndQualitativeEvaluations
    | PlanarROIMeasurementsAndQualitativeEvaluations
    | VolumetricROIMeasurementsAndQualitativeEvaluations
)

#: Name and unit under which a finding's confidence is written (CID 6048, UCUM).
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
PERCENT = Code("%", "UCUM", "Percent")

EQUIVALENT_MEANING = Code("121050", "DCM", "Equivalent Meaning of Concept Name")

#: Segmented Property Categories (CID 7150) whose types are places: SCT Anatomical structure, and body structure.
ANATOMICAL = frozenset({"91723000", "123037004"})

#: Millimetres in the units of length that a line's own measurement may have.
MILLIMETRES: Mapping[str, float] = {"mm": 1.0, "cm": 10.0}

#: Relative difference of a line's length and the measurement of it: models round what they measure.
LENGTH_TOLERANCE = 0.01

#: CID 240: the answer to a question for something that was not found.
ABSENT = Code("272519000", "SCT", "Absent")

UPPER = Code("371886008", "SCT", "+, range of upper measurement uncertainty")
LOWER = Code("371885007", "SCT", "-, range of lower measurement uncertainty")


def measurement_groups(inp: ResultInput, segs: Sequence[Dataset]) -> list[Group]:
    """One group for each finding that is drawn or measured, in the model's order."""
    findings = [finding for finding in inp.prediction.findings if _is_measured(inp, finding, segs)]
    placed = inp.kind is InputKind.VOLUME and any(finding.regions for finding in findings)
    space = Space.of(inp) if placed else None
    return [_group(inp, finding, segs, _placed(finding, space)) for finding in findings]


def qualitative_evaluations(inp: ResultInput, segs: Sequence[Dataset]) -> list[CodeContentItem]:
    """One coded item for each finding that is neither drawn nor measured, or absent (TID 1500 row 12)."""
    return [_evaluation(inp, finding) for finding in inp.prediction.findings if not _is_measured(inp, finding, segs)]


def comment(text: str, relationship: RelationshipTypeValues) -> TextContentItem:
    """Build a Comment item."""
    return TextContentItem(name=codes.DCM.Comment, value=text, relationship_type=relationship)


def algorithm(inp: ResultInput) -> AlgorithmIdentification:
    """Build the algorithm identification of TID 4019; the weights' digest makes the model one of a kind."""
    return AlgorithmIdentification(
        name=inp.card.name,
        version=inp.card.version,
        parameters=[f"weights SHA-256 {inp.card.weights_sha256}"] if inp.card.weights_sha256 else None,
        family=ALGORITHM_FAMILY,
        manufacturer=MANUFACTURER,
    )


def _is_measured(inp: ResultInput, finding: Finding, segs: Sequence[Dataset]) -> bool:
    if not finding.present:
        return False
    return bool(finding.measurements or finding.regions) or (bool(segs) and _spec(inp, finding) is not None)


def _placed(finding: Finding, space: Space | None) -> list[Placed]:
    return [place(region, space) for region in finding.regions] if space is not None else []


def _evaluation(inp: ResultInput, finding: Finding) -> CodeContentItem:
    name, value = (codes.DCM.Finding, finding.code) if finding.present else (concept(finding.code), ABSENT)
    item = CodeContentItem(name, concept(value), RelationshipTypeValues.CONTAINS)
    content = ContentSequence()
    if finding.side is not None:
        content.append(_laterality(finding.side, RelationshipTypeValues.HAS_CONCEPT_MOD))
    content.extend(algorithm(inp))
    properties = RelationshipTypeValues.HAS_PROPERTIES
    if finding.present and finding.confidence is not None:
        content.append(
            NumContentItem(
                concept(CERTAINTY), round(100 * finding.confidence, 1), concept(PERCENT), relationship_type=properties
            )
        )
    content.extend(_number(measurement, properties) for measurement in finding.measurements)
    if finding.text:
        content.append(comment(finding.text, properties))
    item.ContentSequence = content
    return item


def _number(measurement: contracts.Measurement, relationship: RelationshipTypeValues) -> NumContentItem:
    """A number that is no measurement of a group, with its uncertainty (TID 310) and how it was made."""
    item = NumContentItem(
        name=concept(measurement.name),
        value=_rounded(measurement.value),
        unit=concept(measurement.unit),
        relationship_type=relationship,
    )
    if properties := [*_uncertainty(measurement), *_how(measurement)]:
        item.ContentSequence = ContentSequence(properties)
    return item


def _group(inp: ResultInput, finding: Finding, segs: Sequence[Dataset], placed: list[Placed]) -> Group:
    spec = _spec(inp, finding) if segs else None
    common: dict[str, Any] = {
        "tracking_identifier": TrackingIdentifier(uid=tracking_uid(inp, finding), identifier=tracking_id(inp, finding)),
        "finding_type": concept(finding.code),
        "algorithm_id": algorithm(inp),
        "finding_sites": _sites(inp, finding, spec),
    }
    if spec is None:
        group = _shown_by_regions(finding, placed, common)
    else:
        group = VolumetricROIMeasurementsAndQualitativeEvaluations(
            **common,
            measurements=_measurements(finding, {}),
            finding_category=concept(spec.category),
            referenced_segment=_segment(inp, spec, segs),
        )
        # TID 1411 takes the segment or coordinates of a region, not both; it is extensible, so that lines and points
        # beside the segment stand where TID 1501 has them.
        group[0].ContentSequence.extend([item.of_group() for item in placed])
    if finding.side and not common["finding_sites"]:
        group[0].ContentSequence.append(_laterality(finding.side, RelationshipTypeValues.CONTAINS))
    if finding.text:
        group[0].ContentSequence.append(comment(finding.text, RelationshipTypeValues.CONTAINS))
    return group


def _shown_by_regions(finding: Finding, placed: list[Placed], common: dict[str, Any]) -> Group:
    """Build the group of a finding that has no segment: of the template that takes its regions."""
    if len(placed) == 1 and placed[0].is_planar:
        return PlanarROIMeasurementsAndQualitativeEvaluations(
            **common, measurements=_measurements(finding, {}), referenced_region=placed[0].region()
        )
    if (regions := volume(placed)) is not None:
        return VolumetricROIMeasurementsAndQualitativeEvaluations(
            **common, measurements=_measurements(finding, {}), **regions
        )
    lines = _lines(finding, placed)
    group = MeasurementsAndQualitativeEvaluations(**common, measurements=_measurements(finding, lines))
    rest = [item for item in placed if item not in lines.values()]
    group[0].ContentSequence.extend([item.of_group() for item in rest])
    return group


def _lines(finding: Finding, placed: Sequence[Placed]) -> dict[int, Placed]:
    """Find the line whose length a measurement is, by the measurement's index: the one that fits best, each once."""
    lines = [item for item in placed if item.kind is RegionKind.POLYLINE]
    found: dict[int, Placed] = {}
    for index, measurement in enumerate(finding.measurements):
        if measurement.unit.value not in MILLIMETRES:
            continue
        value = measurement.value * MILLIMETRES[measurement.unit.value]
        free = [(abs(length(line) - value), line) for line in lines if line not in found.values()]
        off, line = min(free, key=lambda pair: pair[0], default=(0.0, None))
        if line is not None and off <= LENGTH_TOLERANCE * value:
            found[index] = line
    return found


def _laterality(side: Side, relationship: RelationshipTypeValues) -> CodeContentItem:
    return CodeContentItem(codes.SCT.Laterality, concept(LATERALITY[side]), relationship)


def _spec(inp: ResultInput, finding: Finding) -> SegmentSpec | None:
    return next((spec for spec in inp.prediction.segments if spec.label == finding.segment), None)


def _segment(inp: ResultInput, spec: SegmentSpec, segs: Sequence[Dataset]) -> ReferencedSegment:
    seg, number = segment_of(segs, inp, spec.label)
    return ReferencedSegment(
        sop_class_uid=seg.SOPClassUID,
        sop_instance_uid=seg.SOPInstanceUID,
        segment_number=number,
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


def _measurements(finding: Finding, lines: Mapping[int, Placed]) -> list[Measurement] | None:
    found = [_measurement(measurement, lines.get(index)) for index, measurement in enumerate(finding.measurements)]
    if finding.confidence is not None:
        found.append(Measurement(concept(CERTAINTY), round(100 * finding.confidence, 1), concept(PERCENT)))
    for item in found:
        _name_if_bare(item)
    return found or None


def _name_if_bare(item: Measurement) -> None:
    """Give a number without any content its name in words (TID 300 row 16, TID 1419 row 18).

    Versions of OHIF read the content of each number in a group without coordinates, and fail where there is none.
    """
    if "ContentSequence" not in item[0]:
        text, modifier = item.name.meaning, RelationshipTypeValues.HAS_CONCEPT_MOD
        item[0].ContentSequence = ContentSequence([TextContentItem(concept(EQUIVALENT_MEANING), text, modifier)])


def _measurement(measurement: contracts.Measurement, line: Placed | None) -> Measurement:
    """TID 300, with the line that it measures (TID 320), its uncertainty (TID 310) and how it was made."""
    item = Measurement(
        name=concept(measurement.name),
        value=_rounded(measurement.value),
        unit=concept(measurement.unit),
        referenced_coordinates=None if line is None else [line.of_measurement()],
    )
    properties = [*item[0].get("ContentSequence", []), *_uncertainty(measurement), *_how(measurement)]
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
