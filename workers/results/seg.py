"""DICOM Segmentation of a prediction's labels (PS3.3 A.51): binary, one segment a label, on the source's grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation as HighdicomSegmentation
from highdicom.seg import SegmentationTypeValues, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from models.contracts import LabelArray, SegmentSpec, Side
from workers.load import quiet
from workers.results.common import (
    ALGORITHM_FAMILY,
    LATERALITY,
    MANUFACTURER,
    ResultInput,
    concept,
    derive_uid,
    seg_uid,
    segment_numbers,
    segment_tracking_label,
    series_number,
    series_uid,
    tracking_id,
    tracking_uid,
)
from workers.results.equipment import equipment, node_equipment, settle
from workers.results.headers import grid, pixel_measures, plane_orientation, prepare


def build_seg(inp: ResultInput) -> Dataset:
    """Build the segmentation of a prediction that draws something.

    Returns
    -------
    pydicom.dataset.Dataset
        Segmentation Storage instance with File Meta, in the source's study and frame of reference; frames without a
        voxel are left out.

    Raises
    ------
    ValueError
        If the prediction has no labels, or labels of another shape than the source series.
    """
    labels = inp.prediction.labels
    if labels is None or not inp.prediction.segments:
        raise ValueError("the prediction draws nothing")
    geometry, order = grid(inp.sources)
    if labels.shape != geometry.shape:
        raise ValueError(f"labels of shape {labels.shape} do not fit a series of shape {geometry.shape}")
    measures = pixel_measures(inp.image, geometry)
    with quiet():
        images = prepare(inp.sources, _texts(inp))
        seg = HighdicomSegmentation(
            source_images=images,
            pixel_array=_in_source_order(_numbered(inp, labels), order),
            segmentation_type=SegmentationTypeValues.BINARY,
            segment_descriptions=[_describe(inp, spec) for spec in inp.prediction.segments],
            series_instance_uid=series_uid(inp, "seg"),
            series_number=series_number(inp.image, 1),
            sop_instance_uid=seg_uid(inp),
            instance_number=1,
            pixel_measures=measures,
            plane_orientation=plane_orientation(images[0]),
            content_label="SEGMENTATION",
            content_description=inp.card.title[:64],
            series_description=_series_description(inp),
            transfer_syntax_uid=ExplicitVRLittleEndian,
            contributing_equipment=[node_equipment(inp)],
            specific_character_set=None,
            **equipment(inp),
        )
    seg.ContentCreatorName = None
    # highdicom prefers the source's measures to those that it is given, a wrong or missing slice spacing included.
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = measures
    _settle_dimensions(seg, inp)
    settle(seg, inp, images[0])
    return seg


def _series_description(inp: ResultInput) -> str:
    return f"SEG {inp.card.title}"[:64]


def _numbered(inp: ResultInput, labels: LabelArray) -> LabelArray:
    """Label values to segment numbers; a value that no segment describes becomes background."""
    table = np.zeros(256, dtype=np.uint8)
    for label, number in segment_numbers(inp.prediction).items():
        table[label] = number
    numbered: LabelArray = table[labels]
    return numbered


def _in_source_order(labels: LabelArray, order: tuple[int, ...]) -> LabelArray:
    """Slices to the order in which the source has its planes (frames of a multi-frame image stand in any order)."""
    turned = np.empty_like(labels)
    turned[list(order)] = labels
    return turned


def _describe(inp: ResultInput, spec: SegmentSpec) -> SegmentDescription:
    label = segment_tracking_label(inp, spec.label)
    description = SegmentDescription(
        segment_number=segment_numbers(inp.prediction)[spec.label],
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


def _side(inp: ResultInput, spec: SegmentSpec) -> Side | None:
    """Side of the body of a segment: the one that its findings agree on."""
    sides = {finding.side for finding in inp.prediction.findings if finding.segment == spec.label}
    return sides.pop() if len(sides) == 1 else None


def _settle_dimensions(seg: Dataset, inp: ResultInput) -> None:
    """Give the dimension organization (PS3.3 C.7.6.17) a UID that a retry makes again."""
    uid = derive_uid("dimensions", seg_uid(inp))
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _texts(inp: ResultInput) -> Iterator[str]:
    yield from (inp.card.name, inp.card.title, inp.card.version, inp.institution, inp.software_version)
    for spec in inp.prediction.segments:
        yield from (spec.name, spec.category.meaning, spec.type.meaning)
        yield from (code.meaning for code in (*((spec.anatomy,) if spec.anatomy else ()), *spec.anatomy_modifiers))
    yield from (finding.label for finding in inp.prediction.findings)
