"""From stored values to what a viewer shows first: Modality LUT, VOI LUT or window, polarity (PS3.3 C.11, PS3.4 N)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import ExplicitVRBigEndian

from models.contracts import FloatArray
from workers.errors import SeriesRefused
from workers.reading.pixels import Stored, rescale
from workers.reading.radiograph.luts import read_lut

Mask = npt.NDArray[np.bool_]

NO_WINDOW = "The image gives no window: its smallest and largest values are shown as black and white."
BAD_WINDOW = "The image's window is unusable: its smallest and largest values are shown as black and white."


@dataclass(frozen=True, eq=False)
class Grey:
    """A picture: ``[row, column]`` float32, 0 (black) to 1 (white), and sentences on how it came about."""

    array: FloatArray
    warnings: tuple[str, ...] = ()


def displayed(ds: Dataset, stored: Stored) -> Grey:
    """Give the first view that the object asks for.

    The VOI LUT goes before the window where there are both, and the first of several is taken: PS3.3 C.11.2 leaves
    the choice to the application. Padding is black.

    Parameters
    ----------
    ds
        The header.
    stored
        ``[row, column]`` integers, as :func:`workers.reading.pixels.stored_values` gives them.

    Raises
    ------
    SeriesRefused
        If a table is broken.
    """
    padding = padding_of(ds, stored)
    values, signed = _modality(ds, stored)
    array, warning = _voi(ds, values, padding, signed=signed)
    if is_inverted(ds):
        np.subtract(1.0, array, out=array)
    if padding is not None:
        array[padding] = 0.0
    return Grey(array, (warning,) if warning else ())


def is_inverted(ds: Dataset) -> bool:
    """Whether the smallest value is white.

    Presentation LUT Shape says how the image of a DX object is to be shown (PS3.3 C.8.11.3.1.2) and repeats what
    Photometric Interpretation says; where only one of them is there, or both agree, that holds. Where they contradict
    each other, Photometric Interpretation does: it belongs to the pixels.
    """
    return str(ds.get("PhotometricInterpretation", "")) == "MONOCHROME1"


def padding_of(ds: Dataset, stored: Stored) -> Mask | None:
    """Say which pixels are padding: Pixel Padding Value, or from it to its Range Limit (PS3.3 C.7.5.1.1.2)."""
    first = _whole(ds, "PixelPaddingValue")
    if first is None:
        return None
    limit = _whole(ds, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if limit is None else limit))
    mask: Mask = (stored >= low) & (stored <= high)
    return mask if mask.any() and not mask.all() else None


def _whole(ds: Dataset, keyword: str) -> int | None:
    """Read an attribute that is US or SS by Pixel Representation; implicit VR leaves its bytes as they are."""
    value = ds.get(keyword)
    if isinstance(value, bytes) and len(value) == 2:
        return int.from_bytes(value, "little", signed=ds.get("PixelRepresentation") == 1)
    if not isinstance(value, int):
        return None
    return value - (1 << 16) if ds.get("PixelRepresentation") == 1 and value >= 1 << 15 else value


def _modality(ds: Dataset, stored: Stored) -> tuple[FloatArray, bool]:
    """Give modality values, and whether they may be negative (PS3.3 C.11.1)."""
    if ds.get("ModalityLUTSequence"):
        lut = read_lut(ds.ModalityLUTSequence[0], signed=stored.dtype.kind == "i", big_endian=_is_big_endian(ds))
        return lut.apply(stored), False
    slope, intercept = rescale(ds, 0)
    values = stored.astype(np.float32)
    if slope != 1.0:
        values *= np.float32(slope)
    if intercept != 0.0:
        values += np.float32(intercept)
    return values, stored.dtype.kind == "i" or slope < 0 or intercept < 0


def _voi(ds: Dataset, values: FloatArray, padding: Mask | None, *, signed: bool) -> tuple[FloatArray, str]:
    items = ds.get("VOILUTSequence")
    if items:
        lut = read_lut(items[0], signed=signed, big_endian=_is_big_endian(ds))
        array = lut.apply(values)
        array /= np.float32(lut.top)
        return array, ""
    centre, width = _first(ds, "WindowCenter"), _first(ds, "WindowWidth")
    if centre is None or width is None:
        return _whole_range(values, padding), NO_WINDOW
    function = str(ds.get("VOILUTFunction") or "LINEAR").strip().upper()
    if not (np.isfinite([centre, width]).all() and width >= _LEAST_WIDTH.get(function, 0.0) and width > 0):
        return _whole_range(values, padding), BAD_WINDOW
    if function not in WINDOWS:
        raise SeriesRefused("VOI LUT Function is none of LINEAR, LINEAR_EXACT and SIGMOID (PS3.3 C.11.2.1.3)")
    return WINDOWS[function](values, centre, width), ""


def _first(ds: Dataset, keyword: str) -> float | None:
    value = ds.get(keyword)
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    try:
        return None if value in (None, "") else float(value)
    except (TypeError, ValueError) as exc:
        raise SeriesRefused(f"{keyword} is not a number") from exc


def _linear(values: FloatArray, centre: float, width: float) -> FloatArray:
    """PS3.3 C.11.2.1.2.1; a width of 1 is a threshold."""
    if width == 1:
        return (values > centre - 0.5).astype(np.float32)
    return _ramp(values, centre - 0.5, width - 1)


def _linear_exact(values: FloatArray, centre: float, width: float) -> FloatArray:
    """PS3.3 C.11.2.1.3.2."""
    return _ramp(values, centre, width)


def _sigmoid(values: FloatArray, centre: float, width: float) -> FloatArray:
    """PS3.3 C.11.2.1.3.1."""
    exponent = np.clip(-4.0 * (values - np.float32(centre)) / np.float32(width), -80.0, 80.0)
    array: FloatArray = (1.0 / (1.0 + np.exp(exponent))).astype(np.float32)
    return array


def _ramp(values: FloatArray, centre: float, width: float) -> FloatArray:
    array = (values - np.float32(centre)) / np.float32(width)
    array += np.float32(0.5)
    return np.clip(array, 0.0, 1.0, out=array)


WINDOWS: Mapping[str, Callable[[FloatArray, float, float], FloatArray]] = MappingProxyType(
    {"LINEAR": _linear, "LINEAR_EXACT": _linear_exact, "SIGMOID": _sigmoid}
)
"""Window functions by VOI LUT Function: values, centre, width → 0 to 1."""

_LEAST_WIDTH = MappingProxyType({"LINEAR": 1.0})


def _whole_range(values: FloatArray, padding: Mask | None) -> FloatArray:
    shown = values if padding is None else values[~padding]
    low, high = float(shown.min()), float(shown.max())
    if high <= low:
        return np.zeros_like(values)
    return _ramp(values, (low + high) / 2, high - low)


def _is_big_endian(ds: Dataset) -> bool:
    return bool(ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian)
