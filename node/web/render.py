"""Pure drawing: grey values and masks in, a PNG out.

Arrays are ``[row, column]``; row 0 is the top. ``pixel_mm`` is ``(between rows, between columns)`` in mm, as Pixel
Spacing (PS3.3 10.7.1.3) gives it, so that pixels that are not square are drawn with their true aspect.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Grey = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Rgb = tuple[int, int, int]
Pixels = npt.NDArray[np.uint8]

PALETTE: tuple[Rgb, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 200, 140),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (120, 150, 255),
)
"""After Okabe and Ito (2008): told apart with any colour vision, and against grey."""
LONG_SIDE = 640
"""Pixels of the drawing's longer side: small images are scaled up to it, large ones down."""
FILL_ALPHA = 0.22
"""How much of a segment's colour covers the image: enough to see, little enough to read the tissue under it."""
CONTOUR_PIXELS = 2
LETTER_SIZE = 32
"""Height of the orientation letters; still readable when the page shows the picture at half its size."""
FALLBACK_PERCENTILES = (1.0, 99.5)
"""Grey values shown as black and white where the image names no window that shows anything."""
DARK = 0.4
"""A picture whose brightest parts stay below this share of white is not readable on a dim monitor."""


@dataclass(frozen=True, slots=True)
class Window:
    """A VOI window (PS3.3 C.11.2.1.2): centre, width, function."""

    center: float
    width: float
    function: str = "LINEAR"


def to_display(grey: Grey, window: Window | None, *, inverted: bool = False) -> Pixels:
    """Return 8-bit display values; ``inverted`` for MONOCHROME1 (PS3.3 C.7.6.3.1.2)."""
    values = np.nan_to_num(grey.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    shown = None if window is None else _windowed(values, window)
    if shown is None or _useless(shown):
        shown = _percentile_stretch(values)
    if inverted:
        shown = 1.0 - shown
    return np.round(np.clip(shown, 0.0, 1.0) * 255).astype(np.uint8)


def _useless(shown: npt.NDArray[np.float64]) -> bool:
    """Whether a window leaves the picture nearly black or white, as one kept from before a crop or a filter does."""
    low, high = np.percentile(shown, FALLBACK_PERCENTILES)
    return bool(high < DARK or low > 1.0 - DARK)


def _windowed(values: npt.NDArray[np.float64], window: Window) -> npt.NDArray[np.float64]:
    """PS3.3 equations C.11-2a (LINEAR), C.11-3a (LINEAR_EXACT) and C.11-4 (SIGMOID), onto 0 to 1."""
    center, width = window.center, window.width
    if window.function == "SIGMOID":
        shown = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700, 700)))
    elif window.function == "LINEAR_EXACT":
        shown = (values - center) / width + 0.5
    else:
        shown = (values - (center - 0.5)) / max(width - 1.0, 1e-6) + 0.5
    return np.asarray(np.clip(shown, 0.0, 1.0), dtype=np.float64)


def _percentile_stretch(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    low, high = np.percentile(values, FALLBACK_PERCENTILES)
    if high <= low:
        low, high = float(values.min()), float(values.max())
    stretched = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.asarray(np.clip(stretched, 0.0, 1.0), dtype=np.float64)


def drawn_size(shape: tuple[int, int], pixel_mm: tuple[float, float], long_side: int = LONG_SIDE) -> tuple[int, int]:
    """Return ``(width, height)`` in screen pixels with the true aspect of ``shape = (rows, columns)``."""
    height_mm, width_mm = shape[0] * pixel_mm[0], shape[1] * pixel_mm[1]
    scale = long_side / max(height_mm, width_mm)
    return max(1, round(width_mm * scale)), max(1, round(height_mm * scale))


def contour(mask: Mask, width: int = CONTOUR_PIXELS) -> Mask:
    """Return the inner border of a mask, ``width`` pixels thick; the edge of the image counts as outside."""
    inner = mask
    for _ in range(width):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def overlay(
    display: Pixels,
    masks: Sequence[tuple[Mask, Rgb]],
    pixel_mm: tuple[float, float],
    letters: tuple[str, str] = ("", ""),
) -> bytes:
    """Return a PNG of an image with its segments drawn on.

    Parameters
    ----------
    display
        ``[row, column]`` grey or ``[row, column, 3]`` RGB, uint8.
    masks
        ``([row, column] bool, colour)`` on the grid of ``display``. Drawn voxel by voxel, not smoothed: what the model
        said is what is shown.
    letters
        What lies to the left and to the top of the picture (such as ``("R", "A")``), "" where it is not known.
    """
    size = drawn_size((display.shape[0], display.shape[1]), pixel_mm)
    picture = np.asarray(
        Image.fromarray(display).convert("RGB").resize(size, Image.Resampling.BICUBIC), dtype=np.float64
    )
    picture = picture.copy()
    for mask, colour in masks:
        scaled = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST)) > 0
        picture[scaled] = (1 - FILL_ALPHA) * picture[scaled] + FILL_ALPHA * np.array(colour)
        picture[contour(scaled)] = colour
    image = Image.fromarray(np.round(picture).astype(np.uint8))
    _write_letters(image, letters)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _write_letters(image: Image.Image, letters: tuple[str, str]) -> None:
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=LETTER_SIZE)
    left, top = letters
    for text, at, anchor in ((left, (10, image.height // 2), "lm"), (top, (image.width // 2, 10), "mt")):
        if text:
            draw.text(at, text, fill=(255, 255, 255), font=font, anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))
