"""Grayscale Softcopy Presentation State of a prediction (PS3.3 A.33.1): outlines and marks over the source images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from highdicom.color import CIELabColor
from highdicom.pr import (
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GrayscaleSoftcopyPresentationState,
    TextObject,
)
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from models.contracts import SegmentSpec
from workers.reading.instances import quiet
from workers.results.common import (
    ResultInput,
    image_uid,
    local_time,
    long_string,
    segment_numbers,
    segment_tracking_label,
    series_number,
    series_uid,
    tracking_id,
    tracking_uid,
)
from workers.results.display import Place, transformations
from workers.results.equipment import equipment, node_equipment, settle
from workers.results.graphics import Graphic, outlined, region_graphics
from workers.results.headers import grid, prepare
from workers.results.keys import largest_slice
from workers.results.profile import Profile

#: Layer of findings that are no segments, and its colour.
FINDINGS = "FINDINGS"
FINDINGS_RGB = (255, 220, 0)

#: White, for displays without colour (PS3.3 C.10.7: 16 bits).
WHITE = 65535

#: Said beside every label, since an outline can be mistaken for one that a person drew.
CAUTION = "AI result, not verified"

#: Attributes by which images differ in how they are shown; the state says it itself.
SHOWN_BY = (
    "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "WindowCenter", "WindowWidth",
    "WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Drawing:
    """Graphics of one layer on one slice; the label stands on one slice of each thing only."""

    layer: GraphicLayer
    index: int
    graphics: Sequence[Graphic]
    label: str = ""


def build_gsps(inp: ResultInput, profile: Profile, built: Mapping[str, Sequence[Dataset]]) -> Sequence[Dataset]:
    """Build a presentation state that draws each segment's outlines, and points and lines of findings.

    It names the images that something is drawn on. There is none where nothing is drawn, and none for images with a
    table as Modality LUT, which CT, MR and PET images do not have.
    """
    if any("ModalityLUTSequence" in ds for ds in inp.sources):
        return ()
    drawings = [*_segments(inp), *_findings(inp)]
    return [_build(inp, drawings)] if drawings else ()


def _segments(inp: ResultInput) -> Iterator[Drawing]:
    labels = inp.prediction.labels
    if labels is None:
        return
    for spec in inp.prediction.segments:
        masks = labels == spec.label
        labelled = largest_slice(labels, spec.label)
        label = segment_tracking_label(inp, spec.label)
        track = (tracking_id(inp, label), tracking_uid(inp, label))
        layer = _segment_layer(inp, spec)
        for index in np.flatnonzero(masks.any(axis=(1, 2))):
            yield Drawing(layer, int(index), outlined(masks[index], track), spec.name if index == labelled else "")


def _segment_layer(inp: ResultInput, spec: SegmentSpec) -> GraphicLayer:
    number = segment_numbers(inp.prediction)[spec.label]
    return _layer(f"SEGMENT {number}", number, spec.name, spec.rgb)


def _findings(inp: ResultInput) -> Iterator[Drawing]:
    if not any(finding.regions for finding in inp.prediction.findings):
        return
    layout, _ = grid(inp.sources)
    layer = _layer(FINDINGS, len(inp.prediction.segments) + 1, "Findings", FINDINGS_RGB)
    for finding in inp.prediction.findings:
        track = (tracking_id(inp, finding), tracking_uid(inp, finding))
        by_slice: dict[int, list[Graphic]] = {}
        for region in finding.regions:
            for index, graphic in region_graphics(region, layout, track):
                by_slice.setdefault(index, []).append(graphic)
        for number, (index, graphics) in enumerate(by_slice.items()):
            yield Drawing(layer, index, graphics, "" if number else finding.code.meaning or finding.label)


def _layer(name: str, order: int, description: str, rgb: tuple[int, int, int]) -> GraphicLayer:
    layer = GraphicLayer(name, order, long_string(description), CIELabColor.from_rgb(*rgb))
    layer.GraphicLayerRecommendedDisplayGrayscaleValue = WHITE
    return layer


def _build(inp: ResultInput, drawings: Sequence[Drawing]) -> Dataset:
    _, order = grid(inp.sources)
    with quiet():
        images = prepare(inp.sources, _texts(inp))
        places = _places(inp, images[0], order, sorted({drawing.index for drawing in drawings}))
        modality_lut, voi_luts = transformations(inp, order, places)
        gsps = GrayscaleSoftcopyPresentationState(
            referenced_images=list({id(place.image): place.image for place in places.values()}.values()),
            series_instance_uid=series_uid(inp, "gsps"),
            series_number=series_number(inp.image, "gsps"),
            sop_instance_uid=image_uid(inp, "gsps"),
            instance_number=1,
            content_label="OUTLINES",
            content_description=long_string(f"Outlines, {CAUTION}: {inp.card.title}"),
            series_description=long_string(f"PR {inp.card.title}"),
            graphic_layers=list({drawing.layer.GraphicLayer: drawing.layer for drawing in drawings}.values()),
            graphic_annotations=[_annotation(drawing, places[drawing.index]) for drawing in drawings],
            modality_lut_transformation=modality_lut,
            voi_lut_transformations=voi_luts,
            contributing_equipment=[node_equipment(inp)],
            specific_character_set=None,
            **{name: value for name, value in equipment(inp).items() if not name.startswith("content_")},
        )
    gsps.Laterality = inp.image.get("Laterality") or None  # type 2C (PS3.3 C.7.3.1)
    _settle_area(gsps, inp.image)
    at = local_time(inp).replace(microsecond=0, tzinfo=None)
    gsps.PresentationCreationDate, gsps.PresentationCreationTime = DA(at.date()), TM(at.time())
    settle(gsps, inp, images[0])
    return gsps


def _places(inp: ResultInput, first: Dataset, order: Sequence[int], slices: Sequence[int]) -> dict[int, Place]:
    """Images as highdicom refers to them: identity, and patient and study of the first one."""
    base = Dataset()
    base.update({element.tag: element for element in first if element.keyword not in SHOWN_BY})
    base.SamplesPerPixel = 1
    if len(inp.sources) == 1:
        base.SharedFunctionalGroupsSequence, base.PerFrameFunctionalGroupsSequence = [Dataset()], []
        return {k: Place(base, order[k] + 1) for k in slices}
    places = {}
    for k in slices:
        image = Dataset()
        image.update(base)  # shares the elements, so that this one must be another, not another value
        image.add_new("SOPInstanceUID", "UI", inp.sources[k].SOPInstanceUID)
        places[k] = Place(image, None)
    return places


def _annotation(drawing: Drawing, place: Place) -> GraphicAnnotation:
    return GraphicAnnotation(
        referenced_images=[place.image],
        referenced_frame_number=place.frame,
        graphic_layer=drawing.layer,
        graphic_objects=[_object(graphic) for graphic in drawing.graphics],
        text_objects=[_text(drawing)] if drawing.label else None,
    )


def _object(graphic: Graphic) -> GraphicObject:
    identifier, uid = graphic.track
    return GraphicObject(graphic.kind, graphic.points, "PIXEL", tracking_id=identifier, tracking_uid=uid)


def _text(drawing: Drawing) -> TextObject:
    """Label at the uppermost point of what is drawn."""
    points = np.concatenate([graphic.points for graphic in drawing.graphics])
    column, row = points[points[:, 1].argmin()]
    text = f"{long_string(drawing.label)}\r\n{CAUTION}"
    return TextObject(text, "PIXEL", anchor_point=(float(column), float(row)), anchor_point_visible=False)


def _settle_area(gsps: Dataset, image: Dataset) -> None:
    """Say of what size pixels are: highdicom writes that they are square (PS3.3 C.10.4).

    Pixel Origin Interpretation is for pixel matrices of tiles.
    """
    groups = (
        image,
        *image.get("SharedFunctionalGroupsSequence", ()),
        *image.get("PerFrameFunctionalGroupsSequence", ()),
    )
    holders = (item for group in groups for item in (group, *group.get("PixelMeasuresSequence", ())))
    spacing = next(ds.PixelSpacing for ds in holders if "PixelSpacing" in ds)
    [area] = gsps.DisplayedAreaSelectionSequence
    del area.PixelOriginInterpretation, area.PresentationPixelAspectRatio
    area.PresentationPixelSpacing = [float(value) for value in spacing]


def _texts(inp: ResultInput) -> Iterator[str]:
    yield from (inp.card.name, inp.card.title, inp.card.version, inp.institution, inp.software_version)
    yield from (spec.name for spec in inp.prediction.segments)
    for finding in inp.prediction.findings:
        yield from (finding.label, finding.lesion, finding.code.meaning)
