"""A key slice as a picture: windowed, in true proportions, with outlines, marks and letters; no text of the patient.

The picture is a black square with the slice in its middle. Everything drawn over the slice is placed by the slice's own
grid: column ``c`` of the array is at ``x = left + (c + 0.5) * width / columns - 0.5``, and rows alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing

from models.contracts import FloatArray, Geometry, LabelArray
from workers.reading.volume.geometry import Layout
from workers.results.common import KeySlice, ResultInput
from workers.results.display import Window, window_of
from workers.results.fonts import FOLDER, REGULAR
from workers.results.headers import grid
from workers.results.pictures.marks import mark

RGBArray = npt.NDArray[np.uint8]
"""``[row, column, 3]``, red, green, blue."""

#: Side of a picture in pixels: more than most slices have, and small enough for two on an old display.
SIDE = 768

#: Largest side: a slice with more pixels than SIDE keeps all that it has up to here.
LARGEST = 1536

#: Width of outlines, in pixels.
LINE = 2

#: Least part of a direction, as a cosine, that gets a letter of its own: 0.3 is 17 degrees off the plane.
OBLIQUE = 0.3

#: Lengths of the scale bar in mm; the longest that fits into a quarter of the slice is drawn.
BARS = (100, 50, 20, 10, 5, 2, 1)

#: Letters of PS3.3 C.7.6.1.1.1 for a direction along the axes of patient coordinates, which point to L, P and H.
LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))

INK = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the slice lies in its square picture: corner and size in pixels, and how many pixels a mm has."""

    side: int
    left: int
    top: int
    width: int
    height: int
    per_mm: float

    @classmethod
    def of(cls, geometry: Geometry, least: int = SIDE) -> Frame:
        """Fit a slice into its square: as wide and high as its pixels are apart (PS3.3 10.7.1.3), not as many."""
        _, rows, columns = geometry.shape
        side = min(max(least, rows, columns), LARGEST)
        _, row_spacing, column_spacing = geometry.spacing
        across, down = columns * column_spacing, rows * row_spacing
        per_mm = side / max(across, down)
        width, height = max(1, round(across * per_mm)), max(1, round(down * per_mm))
        return cls(side, (side - width) // 2, (side - height) // 2, width, height, per_mm)


@dataclass(frozen=True, eq=False)
class Slice:
    """One key slice, ready to be drawn."""

    key: KeySlice
    geometry: Layout
    header: Dataset
    window: Window | None
    labels: LabelArray | None

    @classmethod
    def of(cls, inp: ResultInput, key: KeySlice) -> Slice:
        """Find what belongs to a key slice.

        Raises
        ------
        ValueError
            If its pixels or the prediction's labels have another shape than the source series.
        """
        geometry, order = grid(inp.sources)
        labels = inp.prediction.labels
        if labels is not None and labels.shape != geometry.shape:
            raise ValueError(f"labels of shape {labels.shape} do not fit a series of shape {geometry.shape}")
        if key.array.shape != geometry.shape[1:] or not 0 <= key.index < geometry.shape[0]:
            raise ValueError(f"slice {key.index} of shape {key.array.shape} does not fit a series of {geometry.shape}")
        header = inp.image if len(inp.sources) == 1 else inp.sources[key.index]
        window = window_of(inp, order, key.index)
        described = [spec.label for spec in inp.prediction.segments]
        shown = None if labels is None else np.where(np.isin(labels[key.index], described), labels[key.index], 0)
        return cls(key, geometry, header, window, shown)

    @property
    def segments(self) -> frozenset[int]:
        """Labels of the segments that are drawn on the slice."""
        return frozenset() if self.labels is None else frozenset(np.unique(self.labels).tolist()) - {0}


def render(inp: ResultInput, drawn: Slice, least: int = SIDE) -> RGBArray:
    """Draw a key slice with everything that the prediction says of it.

    Parameters
    ----------
    inp
        What is shown.
    drawn
        The slice.
    least
        Least side of the picture in pixels.

    Returns
    -------
    numpy.ndarray
        ``[side, side, 3]`` uint8.
    """
    frame = Frame.of(drawn.geometry, least)
    picture = Image.new("RGB", (frame.side, frame.side))
    inverted = drawn.header.get("PhotometricInterpretation") == "MONOCHROME1"
    grey = Image.fromarray(windowed(drawn.key.array, drawn.window, inverted=inverted))
    scaled = grey.resize((frame.width, frame.height), Image.Resampling.BICUBIC)
    picture.paste(scaled.convert("RGB"), (frame.left, frame.top))
    overlay = picture.crop((frame.left, frame.top, frame.left + frame.width, frame.top + frame.height))
    _outline(overlay, inp, drawn.labels)
    mark(overlay, inp.prediction, drawn.geometry, drawn.key.index)
    picture.paste(overlay, (frame.left, frame.top))
    _letters(picture, drawn)
    _scale_bar(picture, frame)
    return np.asarray(picture)


def windowed(values: FloatArray, window: Window | None, *, inverted: bool = False) -> npt.NDArray[np.uint8]:
    """Modality values to grey (PS3.3 C.11.2.1.2); black without a window, and for what is no number."""
    grey = np.zeros(values.shape, np.float64)
    if window is not None:
        item = Dataset()
        item.WindowCenter, item.WindowWidth, item.VOILUTFunction = window.center, window.width, window.function
        item.BitsStored, item.PixelRepresentation, item.PhotometricInterpretation = 8, 0, "MONOCHROME2"
        with np.errstate(over="ignore"):
            grey = apply_windowing(np.nan_to_num(values.astype(np.float64), nan=-np.inf), item)
    picture: npt.NDArray[np.uint8] = np.rint(np.clip(255 - grey if inverted else grey, 0, 255)).astype(np.uint8)
    return picture


def orientation(direction: npt.NDArray[np.float64]) -> str:
    """Letters of where a direction in patient coordinates points, the largest part first (PS3.3 C.7.6.1.1.1)."""
    unit = direction / np.linalg.norm(direction)
    axes = sorted(range(3), key=lambda axis: -abs(unit[axis]))
    return "".join(LETTERS[axis][int(unit[axis] > 0)] for axis in axes if abs(unit[axis]) >= OBLIQUE)


def is_biped(header: Dataset) -> bool:
    """Whether the letters are those of people; animals have others (PS3.3 C.7.6.1.1.1)."""
    return str(header.get("AnatomicalOrientationType")) != "QUADRUPED"


def _outline(picture: Image.Image, inp: ResultInput, labels: LabelArray | None) -> None:
    """Draw the border of each segment inside of it, so that neighbours do not hide each other."""
    if labels is None:
        return
    for spec in inp.prediction.segments:
        mask = Image.fromarray((labels == spec.label).astype(np.uint8) * 255)
        area = mask.resize(picture.size, Image.Resampling.NEAREST)
        if (box := area.getbbox()) is not None:
            picture.paste(spec.rgb, box, border(area.crop(box)))


def border(area: Image.Image) -> Image.Image:
    """Pixels of a mask within :data:`LINE` of its outside, where everything beyond the picture's edge is outside."""
    padded = Image.new("L", (area.width + 2 * LINE, area.height + 2 * LINE))
    padded.paste(area, (LINE, LINE))
    inner = padded.filter(ImageFilter.MinFilter(2 * LINE + 1))
    return ImageChops.subtract(area, inner.crop((LINE, LINE, LINE + area.width, LINE + area.height)))


def _letters(picture: Image.Image, drawn: Slice) -> None:
    """Where the patient's sides are, at the edges of the picture."""
    if not is_biped(drawn.header):
        return
    down, across = drawn.geometry.affine[:3, 1], drawn.geometry.affine[:3, 2]
    side, pen = picture.width, ImageDraw.Draw(picture)
    margin = side // 96
    for text, place, anchor in (
        (orientation(-across), (margin, side // 2), "lm"),
        (orientation(across), (side - margin, side // 2), "rm"),
        (orientation(-down), (side // 2, margin), "ma"),
        (orientation(down), (side // 2, side - margin), "md"),
    ):
        pen.text(place, text, INK, font(max(24, side // 28)), anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


def _scale_bar(picture: Image.Image, frame: Frame) -> None:
    length = next((mm for mm in BARS if mm * frame.per_mm <= frame.width / 4), None)
    if length is None:
        return
    pen, margin = ImageDraw.Draw(picture), frame.side // 40
    right, bottom = frame.side - margin, frame.side - margin
    left = right - round(length * frame.per_mm)
    pen.rectangle((left - 1, bottom - 4, right + 1, bottom), fill=INK, outline=(0, 0, 0))
    place = ((left + right) / 2, bottom - 7)
    pen.text(
        place, f"{length} mm", INK, font(max(18, frame.side // 38)), anchor="md", stroke_width=2, stroke_fill=(0, 0, 0)
    )


def font(size: int) -> ImageFont.FreeTypeFont:
    """Font of burned-in text; the basic layout is the same on every machine."""
    return ImageFont.truetype(FOLDER / REGULAR, max(10, size), layout_engine=ImageFont.Layout.BASIC)
