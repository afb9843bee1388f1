"""DICOM Segmentations of a prediction's labels (PS3.3 A.51), in the form that a profile asks for.

highdicom builds the object around one slice: patient, study, equipment, segments, dimensions, pixel description. All
frames, with their functional groups and source references, are put in here, since a large study's take it longer to
build than all else; a test holds the result against what highdicom makes of the whole arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from highdicom.seg import Segmentation as HighdicomSegmentation
from highdicom.seg import SegmentationTypeValues, SegmentsOverlapValues
from highdicom.spatial import get_volume_positions
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from models.contracts import FloatArray, Geometry, LabelArray, Prediction, SegmentSpec
from workers.reading.instances import quiet
from workers.results.common import (
    ResultInput,
    derive_uid,
    image_uid,
    segment_numbers,
    series_number,
    series_uid,
)
from workers.results.equipment import equipment, node_equipment, settle
from workers.results.headers import grid, pixel_measures, plane_orientation, prepare
from workers.results.profile import DEFAULT, Profile, Segmentation
from workers.results.seg.frames import FULL, Drawing, is_fractional, make_frames
from workers.results.seg.groups import Plane, per_frame, plane_groups, refer
from workers.results.seg.segments import describe, texts

TYPES: Mapping[Segmentation, SegmentationTypeValues] = {
    "binary": SegmentationTypeValues.BINARY,
    "fractional": SegmentationTypeValues.FRACTIONAL,
    "labelmap": SegmentationTypeValues.LABELMAP,
}


def build_segs(inp: ResultInput, profile: Profile = DEFAULT) -> Sequence[Dataset]:
    """Build the segmentations of a prediction that draws something.

    Returns
    -------
    sequence of pydicom.dataset.Dataset
        One object with all segments or, where the profile splits them, one for each segment in the model's order; with
        File Meta, in the source's study and frame of reference. Bits are not compressed, bytes are RLE Lossless.

    Raises
    ------
    ValueError
        If the prediction has no labels, or labels of another shape than the source series.
    """
    prediction = inp.prediction
    if prediction.labels is None or not prediction.segments:
        raise ValueError("the prediction draws nothing")
    geometry, order = grid(inp.sources)
    drawn: list[LabelArray | FloatArray] = [prediction.labels, *_probabilities(prediction).values()]
    for array in drawn:
        if array.shape != geometry.shape:
            raise ValueError(f"labels of shape {array.shape} do not fit a series of shape {geometry.shape}")
    planes = plane_groups(inp.sources, order)
    parts = [(spec,) for spec in prediction.segments] if profile.split_segments else [prediction.segments]
    with quiet():
        [image] = prepare((_one_plane(inp.image, order[0]),), texts(inp))
        context = _Context(inp, profile, prediction.labels, image, geometry, planes)
        return tuple(_build(context, segments, number) for number, segments in enumerate(parts, 1))


def segment_of(segs: Sequence[Dataset], inp: ResultInput, label: int) -> tuple[Dataset, int]:
    """Find the object that draws a label, and the Segment Number that it has there.

    Parameters
    ----------
    segs
        As :func:`build_segs` made them of ``inp``.
    inp
        What they were made of.
    label
        Label value of one of the prediction's segments.
    """
    number = segment_numbers(inp.prediction)[label]
    return (segs[0], number) if len(segs) == 1 else (segs[number - 1], 1)


@dataclass(frozen=True, eq=False)
class _Context:
    """What the objects of one prediction have in common; ``image`` is one plane, as highdicom wants it."""

    inp: ResultInput
    profile: Profile
    labels: LabelArray
    image: Dataset
    geometry: Geometry
    planes: Sequence[Plane]


def _one_plane(image: Dataset, frame: int) -> Dataset:
    """Return the header of a multi-frame image as if it had one frame only, which is all that is built around."""
    if "PerFrameFunctionalGroupsSequence" not in image:
        return image
    one = Dataset()
    one.update(image)  # whose elements are shared: new ones take the place of those that change
    one.add_new("NumberOfFrames", "IS", 1)
    one.add_new("PerFrameFunctionalGroupsSequence", "SQ", [image.PerFrameFunctionalGroupsSequence[frame]])
    return one


def _build(context: _Context, segments: Sequence[SegmentSpec], number: int) -> Dataset:
    """Build one object with ``segments``: frames and their groups on what highdicom makes of one empty slice."""
    inp, profile = context.inp, context.profile
    drawing = Drawing(context.labels, segments, _probabilities(inp.prediction))
    frames = make_frames(drawing, profile)
    seg = _around_one_slice(context, segments, number)
    if profile.segmentation == "fractional" and len(segments) > 1 and is_fractional(drawing):
        seg.SegmentsOverlap = SegmentsOverlapValues.UNDEFINED.value
    if (profile.segmentation == "labelmap" or len(segments) == 1) and _is_stack(context, frames.slices):
        seg.DimensionOrganizationType = "3D"
    seg.NumberOfFrames, seg["PixelData"].value = len(frames.places), frames.data
    seg.PerFrameFunctionalGroupsSequence = per_frame(frames, context.planes, shared=len(segments) == 1)
    refer(seg, inp.sources)
    return seg


def _around_one_slice(context: _Context, segments: Sequence[SegmentSpec], number: int) -> Dataset:
    inp, profile, image = context.inp, context.profile, context.image
    measures = pixel_measures(inp.image, context.geometry)
    parts = (f"segment-{segments[0].label}",) if profile.split_segments else ()
    seg = HighdicomSegmentation(
        source_images=[image],
        pixel_array=np.zeros((1, *context.geometry.shape[1:]), dtype=np.uint8),
        segmentation_type=TYPES[profile.segmentation],
        segment_descriptions=[describe(inp, spec, number) for number, spec in enumerate(segments, 1)],
        series_instance_uid=series_uid(inp, "seg", profile),
        series_number=series_number(inp.image, "seg"),
        sop_instance_uid=image_uid(inp, "seg", profile, *parts),
        instance_number=number,
        max_fractional_value=FULL,
        pixel_measures=measures,
        plane_orientation=plane_orientation(image),
        content_label="SEGMENTATION",
        content_description=inp.card.title[:64],
        series_description=f"SEG {inp.card.title}"[:64],
        transfer_syntax_uid=ExplicitVRLittleEndian if profile.segmentation == "binary" else RLELossless,
        omit_empty_frames=False,
        contributing_equipment=[node_equipment(inp)],
        specific_character_set=None,
        **equipment(inp),
    )
    seg.ContentCreatorName = None
    # highdicom prefers the source's measures to those that it is given, a wrong or missing slice spacing included.
    seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = measures
    _settle_dimensions(seg)
    settle(seg, inp, image)
    return _written_as_it_is(seg)


def _written_as_it_is(seg: Dataset) -> Dataset:
    """Make a data set whose raw elements pydicom does not parse before it writes them.

    It parses them where a data set may hold a VR that depends on others, so these are settled first.
    """
    plain = Dataset(correct_ambiguous_vr(seg, True))  # not of highdicom's class, which keeps an index of its frames
    plain.file_meta = seg.file_meta
    character_set = seg.get("SpecificCharacterSet")
    plain.set_original_encoding(False, True, convert_encodings(character_set) if character_set else default_encoding)
    return plain


def _probabilities(prediction: Prediction) -> dict[int, FloatArray]:
    return {item.segment: item.array for item in prediction.maps if item.segment is not None}


def _is_stack(context: _Context, slices: Sequence[int]) -> bool:
    """Whether frames of these slices lie at equal distances in one direction: a 3D organization (PS3.3 C.7.6.17.3)."""
    if len(slices) < 2:
        return False
    orientation = plane_orientation(context.image)[0].ImageOrientationPatient
    positions = [context.planes[k].position for k in slices]
    distance, _ = get_volume_positions(image_positions=positions, image_orientation=orientation, sort=False)
    return distance is not None and distance > 0


def _settle_dimensions(seg: Dataset) -> None:
    """Give the dimension organization (PS3.3 C.7.6.17) a UID that a retry makes again."""
    uid = derive_uid("dimensions", str(seg.SOPInstanceUID))
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
