"""What the segments of a segmentation are: Segment Description macro (PS3.3 C.8.20.4)."""

from __future__ import annotations

from collections.abc import Iterator

from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentDescription

from models.contracts import SegmentSpec, Side
from workers.results.common import (
    ALGORITHM_FAMILY,
    LATERALITY,
    MANUFACTURER,
    ResultInput,
    concept,
    segment_tracking_label,
    tracking_id,
    tracking_uid,
)


def describe(inp: ResultInput, spec: SegmentSpec, number: int) -> SegmentDescription:
    """Describe one segment, which has the Segment Number ``number`` in its object."""
    label = segment_tracking_label(inp, spec.label)
    description = SegmentDescription(
        segment_number=number,
        segment_label=spec.name[:64],
        segmented_property_category=concept(spec.category),
        segmented_property_type=concept(spec.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=inp.card.name[:64], family=ALGORITHM_FAMILY, version=inp.card.version[:64], source=MANUFACTURER
        ),
        tracking_uid=tracking_uid(inp, label),
        tracking_id=tracking_id(inp, label),
        anatomic_regions=[concept(spec.anatomy)] if spec.anatomy else None,
        display_color=CIELabColor.from_rgb(*spec.rgb),
    )
    if spec.anatomy and spec.anatomy_modifiers:
        modifiers = [concept(code) for code in spec.anatomy_modifiers]
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = modifiers
    if (side := _side(inp, spec)) is not None:
        # Of the type, not of the region: that is where viewers look for it (PS3.3 table C.8.20-4).
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [concept(LATERALITY[side])]
    return description


def texts(inp: ResultInput) -> Iterator[str]:
    """All texts that a segmentation holds besides those of its sources."""
    yield from (inp.card.name, inp.card.title, inp.card.version, inp.institution, inp.software_version)
    for spec in inp.prediction.segments:
        yield from (spec.name, spec.category.meaning, spec.type.meaning)
        yield from (code.meaning for code in (*((spec.anatomy,) if spec.anatomy else ()), *spec.anatomy_modifiers))
        yield tracking_id(inp, segment_tracking_label(inp, spec.label))


def _side(inp: ResultInput, spec: SegmentSpec) -> Side | None:
    """Side of the body of a segment: the one that its findings agree on."""
    sides = {finding.side for finding in inp.prediction.findings if finding.segment == spec.label}
    return sides.pop() if len(sides) == 1 else None
