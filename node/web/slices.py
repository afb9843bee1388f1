"""Key slices: which slices of a segmentation are worth a look, and their pictures."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor

from node.records.views import Segmented
from node.web.render import PALETTE, Mask, Rgb, overlay
from node.web.source import SliceUnavailable, functional_group, inside, read_slice

KEY_SLICES = 6
"""Most pictures of one segmentation."""
CACHED_SEGMENTATIONS = 32
CACHED_PICTURES = 128


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of the legend."""

    number: int
    label: str
    colour: Rgb


@dataclass(frozen=True, eq=False)
class KeySlice:
    """One slice: its source instance, the frame where that has several, and the masks by segment number."""

    uid: str
    frame: int | None
    number: int | None  # Instance Number, for people
    masks: dict[int, Mask]

    @property
    def pixels(self) -> dict[int, int]:
        """Segmented pixels by segment number."""
        return {number: int(mask.sum()) for number, mask in self.masks.items()}


@dataclass(frozen=True, eq=False)
class KeySlices:
    """The key slices of one segmentation in the order of the stack, the legend, and how many slices are segmented."""

    digest: str
    segments: tuple[Segment, ...]
    slices: tuple[KeySlice, ...]
    total: int
    pixel_mm2: float

    def areas(self, item: KeySlice) -> list[tuple[Segment, float]]:
        """Return the segments on one of these slices and their areas in mm²."""
        return [(s, item.pixels[s.number] * self.pixel_mm2) for s in self.segments if s.number in item.masks]


class SliceRenderer:
    """Chooses and draws key slices; keeps the last ones in memory, since a live page asks often."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._chosen: OrderedDict[str, KeySlices] = OrderedDict()
        self._pictures: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def key_slices(self, segmented: Segmented) -> KeySlices:
        """Return the key slices of a segmentation.

        Raises
        ------
        SliceUnavailable
            If the segmentation cannot be read.
        """
        with self._lock:
            if segmented.digest in self._chosen:
                self._chosen.move_to_end(segmented.digest)
                return self._chosen[segmented.digest]
        chosen = choose(inside(self._root, segmented.seg_path), segmented)
        with self._lock:
            self._chosen[segmented.digest] = chosen
            while len(self._chosen) > CACHED_SEGMENTATIONS:
                self._chosen.popitem(last=False)
        return chosen

    def picture(self, segmented: Segmented, index: int) -> bytes:
        """Return the PNG of key slice ``index`` (from 0); raises SliceUnavailable where there is none."""
        key = (segmented.digest, index)
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
                return self._pictures[key]
        png = self._draw(segmented, index)
        with self._lock:
            self._pictures[key] = png
            while len(self._pictures) > CACHED_PICTURES:
                self._pictures.popitem(last=False)
        return png

    def _draw(self, segmented: Segmented, index: int) -> bytes:
        chosen = self.key_slices(segmented)
        if not 0 <= index < len(chosen.slices):
            raise SliceUnavailable("there is no such key slice")
        key = chosen.slices[index]
        source = read_slice(inside(self._root / "spool", segmented.instances[key.uid].path), key.frame or 1)
        masks = [(key.masks[s.number], s.colour) for s in chosen.segments if s.number in key.masks]
        if any(mask.shape != source.display.shape[:2] for mask, _ in masks):
            raise SliceUnavailable("the segmentation is on another grid than its source images")
        return overlay(source.display, masks, source.pixel_mm, source.letters)


def choose(seg_path: Path, segmented: Segmented) -> KeySlices:
    """Read a segmentation and choose its key slices among the source instances that are there.

    Each segment's largest slice is among them; the largest by all segments fill up to :data:`KEY_SLICES`.
    """
    try:
        seg = hd.seg.segread(seg_path)
        slices = list(_source_slices(seg, segmented))
        segments, pixel_mm2 = _segments(seg), _pixel_mm2(seg)
    except Exception as exc:
        raise SliceUnavailable(f"the segmentation cannot be read ({type(exc).__name__})") from exc
    chosen = tuple(slices[place] for place in select([item.pixels for item in slices]))
    return KeySlices(segmented.digest, segments, chosen, len(slices), pixel_mm2)


def select(areas: Sequence[dict[int, int]], limit: int = KEY_SLICES) -> list[int]:
    """Return the places of the key slices, ascending; ``areas`` gives each slice's segmented pixels by segment."""
    filled = [place for place, area in enumerate(areas) if sum(area.values()) > 0]
    numbers = sorted({number for area in areas for number in area})
    best = [max(filled, key=lambda place: areas[place].get(number, 0)) for number in numbers if filled]
    by_size = sorted(filled, key=lambda place: -sum(areas[place].values()))
    return sorted(list(dict.fromkeys([*best, *by_size]))[:limit])


def _source_slices(seg: hd.seg.Segmentation, segmented: Segmented) -> Iterator[KeySlice]:
    """Every segmented source slice in stack order, read one at a time, so that memory holds little beside the masks."""
    numbers = list(seg.segment_numbers)
    for uid, frame in _sources(seg, set(segmented.instances)):
        if frame is None:
            pixels = seg.get_pixels_by_source_instance([uid], assert_missing_frames_are_empty=True)
        else:
            pixels = seg.get_pixels_by_source_frame(uid, [frame], assert_missing_frames_are_empty=True)
        masks = {number: np.asarray(pixels[0, :, :, index] > 0.5) for index, number in enumerate(numbers)}
        shown = {number: mask for number, mask in masks.items() if mask.any()}
        yield KeySlice(uid, frame, frame or segmented.instances[uid].number, shown)


def _sources(seg: hd.seg.Segmentation, available: set[str]) -> list[tuple[str, int | None]]:
    """Source instances (with a frame where they have several) that the frames derive from, along the stack's normal."""
    places: dict[tuple[str, int | None], float] = {}
    for number, group in enumerate(seg.PerFrameFunctionalGroupsSequence, 1):
        place = _along_normal(seg, number)
        for derivation in group.get("DerivationImageSequence") or []:
            for image in derivation.get("SourceImageSequence") or []:
                frame = image.get("ReferencedFrameNumber")
                key = (str(image.ReferencedSOPInstanceUID), None if frame is None else int(frame))
                places.setdefault(key, place)
    return sorted((key for key in places if key[0] in available), key=lambda key: places[key])


def _along_normal(seg: hd.seg.Segmentation, frame: int) -> float:
    """Distance of a frame along the stack's normal (PS3.3 C.7.6.2.1.1); its number where it has no place."""
    position = functional_group(seg, frame, "PlanePositionSequence")
    orientation = functional_group(seg, frame, "PlaneOrientationSequence")
    if position is None or orientation is None:
        return float(frame)
    cosines = [float(value) for value in orientation.ImageOrientationPatient]
    return float(np.dot(np.cross(cosines[:3], cosines[3:]), [float(value) for value in position.ImagePositionPatient]))


def _pixel_mm2(seg: hd.seg.Segmentation) -> float:
    measures = functional_group(seg, 1, "PixelMeasuresSequence")
    return float(measures.PixelSpacing[0]) * float(measures.PixelSpacing[1]) if measures is not None else 0.0


def _segments(seg: hd.seg.Segmentation) -> tuple[Segment, ...]:
    """The legend; the colours that the segmentation recommends, unless two segments share one."""
    described = [seg.get_segment_description(number) for number in seg.segment_numbers]
    recommended = [_recommended(item) for item in described]
    usable = None not in recommended and len(set(recommended)) == len(recommended)
    colours = recommended if usable else [PALETTE[index % len(PALETTE)] for index in range(len(described))]
    return tuple(
        Segment(int(item.segment_number), str(item.segment_label), colour or PALETTE[0])
        for item, colour in zip(described, colours, strict=True)
    )


def _recommended(described: hd.seg.SegmentDescription) -> Rgb | None:
    value = described.get("RecommendedDisplayCIELabValue")
    if value is None or len(value) != 3:
        return None
    red, green, blue = CIELabColor.from_dicom_value([int(part) for part in value]).to_rgb(clip=True)
    return int(red), int(green), int(blue)
