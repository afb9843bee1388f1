"""How one case is drawn with its explanation, by the kind of its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from models import geometry
from models.contracts import LabelArray, Prediction, Radiograph, Record, Source, Volume, Waveform

#: What is shown of a volume around what is drawn in it, in mm.
MARGIN_MM = 25.0

#: Lowest and highest value that is shown of a volume, by modality (lung window, HU); of others by what is there.
GREY: Mapping[str, tuple[float, float]] = MappingProxyType({"CT": (-1350.0, 150.0)})

#: Channels of a waveform that are shown.
CHANNELS = 3

#: Contributions that are shown of a record.
CONTRIBUTIONS = 6


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of one case on a page, and how many stand side by side."""

    columns: int
    width_inches: float
    height_inches: float


SHAPES: Mapping[type, Shape] = MappingProxyType(
    {
        Radiograph: Shape(4, 3.2, 2.1),
        Volume: Shape(4, 2.6, 2.8),
        Waveform: Shape(1, 11.0, 1.5),
        Record: Shape(2, 5.6, 1.9),
    }
)


def draw(cell: Any, source: Source, prediction: Prediction, reference: LabelArray | None) -> None:
    """Draw a case into a (sub)figure of matplotlib.

    Parameters
    ----------
    reference
        ``[slice, row, column]`` of a volume: what should have been drawn.
    """
    if isinstance(source, Volume):
        _volume(cell, source, prediction, reference)
    else:
        _PLAIN[type(source)](cell, source, prediction)


def _radiograph(cell: Any, source: Radiograph, prediction: Prediction) -> None:
    panels = cell.subplots(1, 2)
    for axes in panels:
        axes.imshow(source.array, cmap="gray", vmin=0, vmax=1)
        axes.set_axis_off()
    for heat in prediction.maps[:1]:
        panels[1].imshow(heat.array[0], cmap="inferno", alpha=0.5)


def _volume(cell: Any, source: Volume, prediction: Prediction, reference: LabelArray | None) -> None:
    orientation = geometry.canonical_orientation(source.geometry.affine)
    spacing = [source.geometry.spacing[axis] for axis in orientation.axes]
    image = geometry.to_canonical(source.array, orientation)
    found, true = (
        np.zeros(image.shape, dtype=np.uint8) if labels is None else geometry.to_canonical(labels, orientation)
        for labels in (prediction.labels, reference)
    )
    number, window = _window(true if true.any() else found, spacing)
    shown = image[number][window]
    low, high = GREY.get(source.modality) or np.percentile(shown, (0.5, 99.5))
    axes = cell.subplots()
    axes.imshow(shown, cmap="gray", vmin=low, vmax=high, aspect=spacing[1] / spacing[2])
    for spec in prediction.segments:
        _outline(axes, found[number][window] == spec.label, tuple(part / 255 for part in spec.rgb), "solid")
    for label in np.unique(true[true > 0]):
        _outline(axes, true[number][window] == label, "white", "dashed")
    axes.set_axis_off()


def _window(mask: LabelArray, spacing: list[float]) -> tuple[int, tuple[slice, slice]]:
    """Slice of a canonical mask that has most of it, and rows and columns around that; the middle of an empty one."""
    number = int((mask > 0).sum(axis=(1, 2)).argmax()) if mask.any() else mask.shape[0] // 2
    part = mask[number] > 0
    sides = []
    for axis in (0, 1):
        places = np.flatnonzero(part.any(axis=1 - axis)) if part.any() else np.arange(part.shape[axis])
        margin = round(MARGIN_MM / spacing[1 + axis])
        sides.append(slice(max(0, int(places[0]) - margin), int(places[-1]) + margin + 1))
    return number, (sides[0], sides[1])


def _outline(axes: Any, mask: npt.NDArray[np.bool_], colour: Any, style: str) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=[colour], linestyles=style, linewidths=1.1)


def _waveform(cell: Any, source: Waveform, prediction: Prediction) -> None:
    axes = cell.subplots()
    array = source.array[:CHANNELS]
    step = float(np.nanpercentile(array, 99.5) - np.nanpercentile(array, 0.5)) or 1.0
    times = np.arange(array.shape[1]) / source.rate_hz
    for number, samples in enumerate(array):
        axes.plot(times, samples - number * step, linewidth=0.5, color="black")
        axes.text(times[-1], -number * step, f" {source.channels[number].name}", fontsize=7)
    low, high = axes.get_ylim()
    for trace in prediction.traces[:1]:
        first = trace.start_s - trace.step_s / 2
        extent = (first, first + trace.step_s * trace.values.size, low, high)
        axes.imshow(trace.values[None], extent=extent, aspect="auto", cmap="Oranges", vmin=0, vmax=1.5, zorder=0)
    axes.set(xlim=(0, times[-1]), ylim=(low, high), yticks=[])
    axes.tick_params(labelsize=7)


def _record(cell: Any, source: Record, prediction: Prediction) -> None:
    axes = cell.subplots()
    shown = prediction.contributions[:CONTRIBUTIONS]
    weights = [item.weight for item in shown]
    axes.barh(range(len(shown)), weights, color=["firebrick" if weight > 0 else "steelblue" for weight in weights])
    axes.set_yticks(
        range(len(shown)), [item.text.rpartition(":")[0] or item.name.meaning for item in shown], fontsize=7
    )
    axes.invert_yaxis()
    axes.axvline(0, color="grey", linewidth=0.8)
    age = "unknown" if source.age_years is None else f"{source.age_years:.0f}"
    axes.set_xlabel(f"change of the log-odds; age {age}, {len(source.values)} values", fontsize=7)
    axes.tick_params(axis="x", labelsize=7)


_PLAIN: Mapping[type, Callable[[Any, Any, Prediction], None]] = MappingProxyType(
    {Radiograph: _radiograph, Waveform: _waveform, Record: _record}
)
