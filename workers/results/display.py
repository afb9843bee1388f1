"""How a presentation state shows its images: their Modality LUT, and a window for each (PS3.3 C.11.1, C.11.8).

A presentation state has one Modality LUT for all its images. Where slope and intercept change from slice to slice
(PET), it has none, and windows are given in stored values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from highdicom import ModalityLUTTransformation, ReferencedImageSequence
from highdicom.enum import VOILUTFunctionValues
from highdicom.pr import SoftcopyVOILUTTransformation
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from workers.reading.pixels import rescale
from workers.results.common import ResultInput

#: Part of the pixels, in percent, that a window made from the pixels leaves below and above it.
CLIPPED_PERCENT = 1.0

#: Part of a source's window that its pixels must span: below, the window is one of another image (a crop keeps that of
#: the whole head) and would show them as one grey.
SPANNED = 0.25

FUNCTIONS = frozenset(value.value for value in VOILUTFunctionValues)


@dataclass(frozen=True, slots=True)
class Window:
    """Window Center, Window Width and VOI LUT Function."""

    center: float
    width: float
    function: str = VOILUTFunctionValues.LINEAR.value

    def stored(self, slope: float, intercept: float) -> Window:
        """Same window for the stored values of which these are ``slope * stored + intercept``."""
        return Window((self.center - intercept) / slope, self.width / abs(slope), self.function)

    def shows(self, pixels: Window) -> bool:
        """Whether the window, if chosen for pixels of which another one shows nearly all, shows their differences."""
        apart = abs(self.center - pixels.center) >= (self.width + pixels.width) / 2
        return not apart and pixels.width >= SPANNED * self.width


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slice is: its image and, of a multi-frame image, the number of its frame."""

    image: Dataset
    frame: int | None


def transformations(
    inp: ResultInput, order: Sequence[int], places: Mapping[int, Place]
) -> tuple[ModalityLUTTransformation | None, list[SoftcopyVOILUTTransformation] | None]:
    """Modality LUT and VOI LUTs of a presentation state.

    Parameters
    ----------
    inp
        Sources and, for a window where they name none that fits, pixels of key slices.
    order
        For each slice the index of its plane in the sources.
    places
        The slices that are shown, by index.
    """
    multi_frame = len(inp.sources) == 1
    rescales = {k: rescale(*((inp.image, order[k]) if multi_frame else (inp.sources[k], 0))) for k in places}
    uniform = len(set(rescales.values())) == 1
    windows = {}
    for k in places:
        if (window := window_of(inp, order, k)) is not None:
            windows[k] = window if uniform else window.stored(*rescales[k])
    modality_lut = _modality_lut(inp, next(iter(rescales.values()))) if uniform else None
    return modality_lut, _voi_luts(windows, places) or None


def window_of(inp: ResultInput, order: Sequence[int], k: int) -> Window | None:
    """Window of slice ``k``: the source's, or, where that shows nothing of the key slices, one over their pixels."""
    own = _window(_holders(inp.image, order[k]) if len(inp.sources) == 1 else (inp.sources[k],))
    pixels = _of_pixels(inp)
    return pixels if own is None or (pixels is not None and not own.shows(pixels)) else own


def _modality_lut(inp: ResultInput, slope_intercept: tuple[float, float]) -> ModalityLUTTransformation | None:
    slope, intercept = slope_intercept
    if (slope, intercept) == (1.0, 0.0):
        return None
    default = "HU" if inp.image.Modality == "CT" else "US"
    kind = str(inp.image.get("RescaleType") or default)
    return ModalityLUTTransformation(rescale_intercept=intercept, rescale_slope=slope, rescale_type=kind[:16])


def _holders(image: Dataset, frame: int) -> Iterator[Dataset]:
    """Data sets of a multi-frame image that may have the window of a frame."""
    groups = (*image.PerFrameFunctionalGroupsSequence[frame : frame + 1],
              *(image.get("SharedFunctionalGroupsSequence") or []))  # fmt: skip
    for group in groups:
        yield from group.get("FrameVOILUTSequence") or []


def _window(holders: Sequence[Dataset] | Iterator[Dataset]) -> Window | None:
    """First window that the source names, if it is one."""
    for ds in holders:
        try:
            center, width = (float(_first(ds.get(keyword))) for keyword in ("WindowCenter", "WindowWidth"))
        except (TypeError, ValueError):
            continue
        function = str(ds.get("VOILUTFunction") or "LINEAR")
        # PS3.3 C.11.2.1.2: the width of LINEAR is at least 1, that of the others above 0.
        if np.isfinite((center, width)).all() and width > 0 and function in FUNCTIONS:
            return Window(center, width, function if width >= 1 else _exact(function))
    return None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, MultiValue) and value else value


def _exact(function: str) -> str:
    return "LINEAR_EXACT" if function == "LINEAR" else function


def _of_pixels(inp: ResultInput) -> Window | None:
    """Window over what the key slices show, where their pixels are known."""
    if not inp.key_slices:
        return None
    values = np.concatenate([item.array.ravel() for item in inp.key_slices])
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    low, high = (float(v) for v in np.percentile(values, (CLIPPED_PERCENT, 100 - CLIPPED_PERCENT)))
    width = high - low
    return Window((low + high) / 2, width, "LINEAR" if width >= 1 else "LINEAR_EXACT") if width > 0 else None


def _voi_luts(windows: Mapping[int, Window], places: Mapping[int, Place]) -> list[SoftcopyVOILUTTransformation]:
    """One item for each window, with the images that it is for unless it is for all."""
    slices: dict[Window, list[int]] = {}
    for k, window in windows.items():
        slices.setdefault(window, []).append(k)
    for_all = len(slices) == 1 and len(windows) == len(places)
    return [
        SoftcopyVOILUTTransformation(
            window_center=window.center,
            window_width=window.width,
            voi_lut_function=None if window.function == "LINEAR" else window.function,
            referenced_images=None if for_all else _references([places[k] for k in indices]),
        )
        for window, indices in slices.items()
    ]


def _references(places: Sequence[Place]) -> ReferencedImageSequence:
    frames = [place.frame for place in places if place.frame is not None]
    if frames:
        return ReferencedImageSequence([places[0].image], referenced_frame_number=frames)
    return ReferencedImageSequence([place.image for place in places])
