"""Reading one source slice from the spool for display. The files are what a peer sent: nothing in them is trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array

from node.errors import InputError
from node.web.render import Grey, Pixels, Window, to_display

MAX_PIXELS = 1 << 26
"""Rows times columns that are drawn; above, an object is hostile or no slice."""


class SliceUnavailable(InputError):
    """A key slice cannot be drawn; the message says why, without patient data."""


@dataclass(frozen=True, slots=True)
class SourceSlice:
    """A slice as it is shown: ``[row, column]`` (or RGB) uint8, the size of a pixel, what lies left and on top."""

    display: Pixels
    pixel_mm: tuple[float, float]
    letters: tuple[str, str]


def inside(root: Path, relative: str) -> Path:
    """Return ``root / relative``, refusing what leads out of ``root``."""
    path = (root / relative).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        raise SliceUnavailable("a file of this study is not where the records say")
    return path


def read_slice(path: Path, frame: int = 1) -> SourceSlice:
    """Read a frame (counted from 1) of an instance and bring it to display values.

    Raises
    ------
    SliceUnavailable
        If the file is gone, not an image, too large, or its pixels cannot be decoded.
    """
    try:
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        _check_size(ds)
        raw = pixel_array(path, index=frame - 1)  # one frame only, colours as RGB
        display = _display(ds, raw, frame)
    except SliceUnavailable:
        raise
    except Exception as exc:
        raise SliceUnavailable(f"a source image cannot be read ({type(exc).__name__})") from exc
    return SourceSlice(display, _pixel_mm(ds, frame), _letters(ds, frame))


def _check_size(ds: pydicom.Dataset) -> None:
    if not 0 < int(ds.Rows) * int(ds.Columns) <= MAX_PIXELS:
        raise SliceUnavailable("a source image is too large to draw")


def _display(ds: pydicom.Dataset, raw: np.ndarray[Any, Any], frame: int) -> Pixels:
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        raw = apply_color_lut(raw, ds)
    if raw.ndim == 3:
        return raw if raw.dtype == np.uint8 else (raw >> 8 * (raw.dtype.itemsize - 1)).astype(np.uint8)
    transformation = functional_group(ds, frame, "PixelValueTransformationSequence")
    grey: Grey = np.asarray(apply_modality_lut(raw, transformation or ds), dtype=np.float32)
    window = _window(functional_group(ds, frame, "FrameVOILUTSequence") or ds)
    return to_display(grey, window, inverted=ds.PhotometricInterpretation == "MONOCHROME1")


def functional_group(ds: pydicom.Dataset, frame: int, keyword: str) -> pydicom.Dataset | None:
    """Return a frame's functional group macro (PS3.3 C.7.6.16), its own or the shared one; None for classic images."""
    per_frame = ds.get("PerFrameFunctionalGroupsSequence") or []
    groups = [*per_frame[frame - 1 : frame], *(ds.get("SharedFunctionalGroupsSequence") or [])]
    for group in groups:
        if items := group.get(keyword):
            return items[0]  # type: ignore[no-any-return]
    return None


def _window(ds: pydicom.Dataset) -> Window | None:
    """The first window of the image, None where there is none that makes sense."""
    centers, widths = _numbers(ds, "WindowCenter"), _numbers(ds, "WindowWidth")
    if not centers or not widths or widths[0] < 1e-6:
        return None
    return Window(centers[0], widths[0], str(ds.get("VOILUTFunction") or "LINEAR"))


def _numbers(ds: pydicom.Dataset, keyword: str) -> list[float]:
    value = ds.get(keyword)
    values = (
        [] if value is None or value == "" else value if isinstance(value, (list, tuple)) or _many(value) else [value]
    )
    numbers = [float(item) for item in values]
    return numbers if all(math.isfinite(number) for number in numbers) else []


def _many(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes))


def _pixel_mm(ds: pydicom.Dataset, frame: int) -> tuple[float, float]:
    """Pixel Spacing, else Imager Pixel Spacing, else Pixel Aspect Ratio (PS3.3 10.7.1.3, C.7.6.3.1.7), else square."""
    measures = functional_group(ds, frame, "PixelMeasuresSequence") or ds
    for source, keyword in ((measures, "PixelSpacing"), (ds, "ImagerPixelSpacing"), (ds, "PixelAspectRatio")):
        numbers = _numbers(source, keyword)
        if len(numbers) == 2 and min(numbers) > 0 and 1 / 50 < numbers[0] / numbers[1] < 50:
            return numbers[0], numbers[1]
    return 1.0, 1.0


def _letters(ds: pydicom.Dataset, frame: int) -> tuple[str, str]:
    orientation = functional_group(ds, frame, "PlaneOrientationSequence") or ds
    cosines = _numbers(orientation, "ImageOrientationPatient")
    if len(cosines) != 6:
        return "", ""
    return towards([-c for c in cosines[:3]]), towards([-c for c in cosines[3:]])


def towards(direction: list[float]) -> str:
    """Return the letter of the patient's side that an LPS direction points to most (PS3.3 C.7.6.1.1.1)."""
    axis = max(range(3), key=lambda index: abs(direction[index]))
    if abs(direction[axis]) < 1e-3:
        return ""
    return ("LPH" if direction[axis] > 0 else "RAF")[axis]
