"""Parametric Maps of a prediction (PS3.3 A.75): one object a map, on the source's grid, with what its values mean.

Stored values are 16-bit integers, and a Real World Value Mapping (C.7.6.16.2.11) gives the quantity. Float Pixel Data
would hold the model's own numbers, but general viewers and archives do not draw it, and no compression but deflate
takes it; the integers keep 16 of the 24 bits, and RLE makes a map that is mostly zero small. All frames are kept, since
a frame that is missing is not one of zeros, and readers that put the frames on their volume count on one a slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from highdicom import PlanePositionSequence, VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodeContentItem
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import RLELossless

from models.contracts import FloatArray, ScalarMap, SegmentSpec
from workers.reading.instances import quiet
from workers.results.common import ResultInput, concept, derive_uid, image_uid, long_string, series_number, series_uid
from workers.results.equipment import equipment, node_equipment, settle
from workers.results.groups import ANATOMICAL
from workers.results.headers import grid, pixel_measures, plane_orientation, prepare
from workers.results.profile import DEFAULT, Profile

#: Highest stored value.
LAST = 65535

#: How far a probability may lie outside 0 to 1 by its computation in 32 bits; far below half a stored step.
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Stored:
    """A map as integers: ``value = slope * pixel + intercept`` for pixels from ``first`` to :data:`LAST`.

    ``pixels`` is ``[slice, row, column]`` uint16. What is no number is stored as 0, and ``first`` is 1 then: values
    outside the range that a mapping names have no real world value.
    """

    pixels: npt.NDArray[np.uint16]
    first: int
    slope: float
    intercept: float


def build_pms(inp: ResultInput, profile: Profile, built: Mapping[str, Sequence[Dataset]]) -> Sequence[Dataset]:
    """Build one Parametric Map Storage instance for each map of the prediction, in one series.

    Raises
    ------
    ValueError
        If a map has another shape than the source series.
    """
    return [_build(inp, item, number) for number, item in enumerate(inp.prediction.maps, 1)]


def store(array: FloatArray) -> Stored:
    """Turn values into 16-bit integers.

    Values from 0 to 1 (probabilities) are spread over that whole interval, so that maps of several studies have one
    scale; others over what they reach.
    """
    finite = np.isfinite(array)
    first = 0 if finite.all() else 1
    low, high = _reach(array, finite)
    slope = (high - low) / (LAST - first)
    pixels = np.zeros(array.shape, dtype=np.uint16)
    for plane, values, valid in zip(pixels, array, finite, strict=True):  # slice by slice: no volume in 64 bits
        scaled = np.rint((np.where(valid, values, low).astype(np.float64) - low) / slope) + first
        plane[...] = np.where(valid, scaled, 0)
    return Stored(pixels, first, slope, low - first * slope)


def _reach(array: FloatArray, finite: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Interval over which values are spread; never empty, so that a map of one value has a slope too."""
    low = float(np.min(array, where=finite, initial=np.inf))
    high = float(np.max(array, where=finite, initial=-np.inf))
    if low > high or (low >= -ROUNDING and high <= 1 + ROUNDING):
        return 0.0, 1.0
    return (low, high) if low < high else (low, low + 1)


def _build(inp: ResultInput, item: ScalarMap, number: int) -> Dataset:
    layout, _ = grid(inp.sources)
    if item.array.shape != layout.shape:
        raise ValueError(f"a map of shape {item.array.shape} does not fit a series of shape {layout.shape}")
    stored = store(item.array)
    measures = pixel_measures(inp.image, layout)
    uid = image_uid(inp, "pm", DEFAULT, item.label)
    with quiet():
        images = prepare(inp.sources, _texts(inp, item))
        pm = ParametricMap(
            source_images=images,
            pixel_array=stored.pixels,
            series_instance_uid=series_uid(inp, "pm"),
            series_number=series_number(inp.image, "pm"),
            sop_instance_uid=uid,
            instance_number=number,
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[_mapping(inp, item, stored)],
            voi_lut_transformations=[VOILUTTransformation(window_center=(LAST + 1) // 2, window_width=LAST + 1)],
            transfer_syntax_uid=RLELossless,
            pixel_measures=measures,
            plane_orientation=plane_orientation(images[0]),
            plane_positions=[PlanePositionSequence("PATIENT", position) for position in layout.positions],
            content_label="MAP",
            content_description=long_string(item.name),
            series_description=long_string(f"PM {inp.card.title}"),
            contributing_equipment=[node_equipment(inp)],
            specific_character_set=None,
            **equipment(inp),
        )
    pm.ContentCreatorName = None
    pm.Laterality = inp.image.get("Laterality") or None  # type 2C (PS3.3 C.7.3.1)
    pm.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = measures  # as in the segmentation
    for dimension in (*pm.DimensionOrganizationSequence, *pm.DimensionIndexSequence):
        dimension.DimensionOrganizationUID = derive_uid("dimensions", uid)
    settle(pm, inp, images[0])
    return pm


def _mapping(inp: ResultInput, item: ScalarMap, stored: Stored) -> RealWorldValueMapping:
    mapping = RealWorldValueMapping(
        lut_label=long_string(item.label)[:16],
        lut_explanation=long_string(item.name),
        unit=concept(item.unit),
        value_range=(stored.first, LAST),
        slope=stored.slope,
        intercept=stored.intercept,
        quantity_definition=concept(item.quantity),
    )
    spec = _spec(inp, item)
    if spec is not None:
        mapping.QuantityDefinitionSequence.append(CodeContentItem(*_subject(spec)))
    return mapping


def _spec(inp: ResultInput, item: ScalarMap) -> SegmentSpec | None:
    return next((spec for spec in inp.prediction.segments if spec.label == item.segment), None)


def _subject(spec: SegmentSpec) -> tuple[CodedConcept, CodedConcept]:
    """What a segment's probability is the probability of: a place, or a finding."""
    name = codes.SCT.FindingSite if spec.category.value in ANATOMICAL else codes.DCM.Finding
    return CodedConcept(name.value, name.scheme_designator, name.meaning), concept(spec.type)


def _texts(inp: ResultInput, item: ScalarMap) -> Iterator[str]:
    yield from (inp.card.name, inp.card.title, inp.card.version, inp.institution, inp.software_version)
    yield from (item.label, item.name, item.quantity.meaning, item.unit.meaning)
    spec = _spec(inp, item)
    if spec is not None:
        yield spec.type.meaning
