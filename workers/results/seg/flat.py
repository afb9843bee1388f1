"""Segmentations of a radiograph (PS3.3 A.51): one image without a frame of reference.

Each pixel of the segmentation is then that of the image from which it is derived (A.51.5.1), which has as many rows and
columns. highdicom builds the whole object.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from highdicom.seg import Segmentation as HighdicomSegmentation
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from models.contracts import FloatArray, LabelArray, SegmentSpec
from workers.reading.instances import quiet
from workers.results.common import ResultInput, derive_uid, image_uid, series_number, series_uid
from workers.results.equipment import equipment, node_equipment, settle
from workers.results.headers import prepare_one
from workers.results.profile import Profile
from workers.results.seg.frames import FULL
from workers.results.seg.segments import describe, texts
from workers.results.seg.volume import TYPES


def build_flat_segs(inp: ResultInput, profile: Profile) -> Sequence[Dataset]:
    """Build the segmentations of a prediction that draws something on a radiograph.

    Returns
    -------
    sequence of pydicom.dataset.Dataset
        As :func:`workers.results.seg.volume.build_segs` gives them; all frames are kept, since there is one image.

    Raises
    ------
    ValueError
        If the prediction has no labels, or labels of another shape than the image.
    """
    labels, segments = inp.prediction.labels, inp.prediction.segments
    if labels is None or not segments:
        raise ValueError("the prediction draws nothing")
    if labels.shape != (1, inp.image.Rows, inp.image.Columns):
        raise ValueError(f"labels of shape {labels.shape} do not fit an image of {inp.image.Rows}x{inp.image.Columns}")
    parts = [(spec,) for spec in segments] if profile.split_segments else [segments]
    with quiet():
        image = prepare_one(inp.image, texts(inp))
        return tuple(_build(inp, profile, image, part, number) for number, part in enumerate(parts, 1))


def _build(inp: ResultInput, profile: Profile, image: Dataset, segments: Sequence[SegmentSpec], number: int) -> Dataset:
    parts = (f"segment-{segments[0].label}",) if profile.split_segments else ()
    uid = image_uid(inp, "seg", profile, *parts)
    seg = HighdicomSegmentation(
        source_images=[image],
        pixel_array=_pixels(inp, profile, segments),
        segmentation_type=TYPES[profile.segmentation],
        segment_descriptions=[describe(inp, spec, at) for at, spec in enumerate(segments, 1)],
        series_instance_uid=series_uid(inp, "seg", profile),
        series_number=series_number(inp.image, "seg"),
        sop_instance_uid=uid,
        instance_number=number,
        max_fractional_value=FULL,
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
    # Type 2C where no Image Orientation (Patient) says it (PS3.3 C.7.6.1); the pixels are those of the image.
    seg.PatientOrientation = inp.image.get("PatientOrientation") or None
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = derive_uid("dimensions", uid)
    settle(seg, inp, image)
    return seg


def _pixels(inp: ResultInput, profile: Profile, segments: Sequence[SegmentSpec]) -> LabelArray | FloatArray:
    """``[frame, row, column]`` numbers of segments, or ``[frame, row, column, segment]`` probabilities."""
    labels = inp.prediction.labels
    assert labels is not None  # noqa: S101  asked for before
    if profile.segmentation != "fractional":
        numbers = np.zeros(256, dtype=np.uint8)
        numbers[[spec.label for spec in segments]] = np.arange(1, len(segments) + 1)
        mapped: LabelArray = numbers[labels]
        return mapped
    maps = {item.segment: item.array for item in inp.prediction.maps if item.segment is not None}
    planes = [maps.get(spec.label, (labels == spec.label).astype(np.float32)) for spec in segments]
    fractions: FloatArray = np.clip(np.nan_to_num(np.stack(planes, axis=-1)), 0, 1).astype(np.float32)
    return fractions
