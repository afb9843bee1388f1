"""A radiograph as a picture: what a viewer would show first, a heat map over it, outlines of what was drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from models.contracts import FloatArray, Geometry, Prediction, Radiograph, ScalarMap
from workers.results.pictures.drawing import SIDE, Frame, RGBArray, border, font, is_biped

#: Colours of a heat map from least to most, and the part of the picture that the most covers.
COLD, HOT = (255, 214, 60), (225, 30, 20)
OPACITY = 0.6

#: Part of a map's maximum below which nothing is drawn: a veil over the whole image says nothing.
FLOOR = 0.1

#: Letters that Patient Orientation may have at its front (PS3.3 C.7.6.1.1.1).
LETTERS = {"L": "R", "R": "L"}


def radiograph(seen: Radiograph, prediction: Prediction, header: Dataset, least: int = SIDE) -> RGBArray:
    """Draw a radiograph with the first map of a prediction over it.

    Returns
    -------
    numpy.ndarray
        ``[side, side, 3]`` uint8; the image in true proportions in the middle.
    """
    frame = Frame.of(geometry(seen), least)
    size = (frame.width, frame.height)
    drawn = Image.fromarray(grey(seen.array)).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    for item in prediction.maps[:1]:
        overlay = Image.fromarray(heat(item.array[0])).resize(size, Image.Resampling.BILINEAR)
        drawn = Image.alpha_composite(drawn.convert("RGBA"), overlay).convert("RGB")
    _outline(drawn, prediction)
    picture = Image.new("RGB", (frame.side, frame.side))
    picture.paste(drawn, (frame.left, frame.top))
    _letter(picture, header)
    return np.asarray(picture)


def geometry(seen: Radiograph) -> Geometry:
    """Distances of pixels as a grid, square where the object does not state them; it lies nowhere."""
    rows, columns = seen.array.shape
    down, across = seen.spacing_mm or (1.0, 1.0)
    return Geometry(np.diag([1.0, down, across, 1.0]), (1, rows, columns))


def grey(array: FloatArray) -> npt.NDArray[np.uint8]:
    """Display values (0 to 1) to 8 bits; what is no number is black."""
    made: npt.NDArray[np.uint8] = np.rint(np.clip(np.nan_to_num(array, nan=0.0), 0, 1) * 255).astype(np.uint8)
    return made


def heat(array: FloatArray) -> npt.NDArray[np.uint8]:
    """Colours of a map, relative to its own maximum.

    Parameters
    ----------
    array
        ``[row, column]``; what is negative or no number is clear.

    Returns
    -------
    numpy.ndarray
        ``[row, column, 4]`` uint8, red, green, blue, opacity.
    """
    values = np.clip(np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0), 0, None)
    highest = float(values.max(initial=0.0))
    part = values / highest if highest > 0 else values
    colours = np.array(COLD)[None, None] * (1 - part[..., None]) + np.array(HOT)[None, None] * part[..., None]
    shown = OPACITY * np.clip((part - FLOOR) / (1 - FLOOR), 0, 1) ** 0.7  # no border where it begins
    made: npt.NDArray[np.uint8] = np.concatenate([colours, 255 * shown[..., None]], axis=-1).round().astype(np.uint8)
    return made


def of_maps(prediction: Prediction) -> tuple[ScalarMap, ...]:
    """Maps that have something to show."""
    return tuple(item for item in prediction.maps if np.nan_to_num(item.array, nan=0.0).max(initial=0.0) > 0)


def _outline(drawn: Image.Image, prediction: Prediction) -> None:
    labels = prediction.labels
    if labels is None:
        return
    for spec in prediction.segments:
        mask = Image.fromarray((labels[0] == spec.label).astype(np.uint8) * 255)
        area = mask.resize(drawn.size, Image.Resampling.NEAREST)
        if (box := area.getbbox()) is not None:
            drawn.paste(spec.rgb, box, border(area.crop(box)))


def _letter(picture: Image.Image, header: Dataset) -> None:
    """Which side of the patient is at the edges, where the object says it by Patient Orientation."""
    given = header.get("PatientOrientation")
    first = str(given[0])[:1] if isinstance(given, MultiValue | list) and len(given) == 2 else ""
    if first not in LETTERS or not is_biped(header):
        return
    side, pen = picture.width, ImageDraw.Draw(picture)
    margin, size = side // 96, max(24, side // 28)
    for text, place, anchor in (
        (LETTERS[first], (margin, side // 2), "lm"),
        (first, (side - margin, side // 2), "rm"),
    ):
        pen.text(place, text, (255, 255, 255), font(size), anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))
