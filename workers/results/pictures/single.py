"""The one picture of a result that is not of a volume: the radiograph, the waveform, or what the record's values did.

A new kind of source is one function and one line in :data:`PICTURES`. Key slices of volumes are drawn by
:mod:`workers.results.pictures.drawing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.contracts import Finding, InputKind, Radiograph, Waveform
from workers.results.common import ResultInput
from workers.results.pictures import bars, heat, trace
from workers.results.pictures.drawing import SIDE, RGBArray
from workers.results.pictures.marks import Colour, colour_of
from workers.results.pictures.page import Beside
from workers.results.wording import number, operating_points

#: Shown in place of a picture, where there is nothing to draw.
NO_PICTURE = "There is no picture of this result."


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture and what is said beside it."""

    pixels: RGBArray
    beside: Beside


Draw = Callable[[ResultInput, bool, int], Picture | None]
"""Draws for paper or for a display, with the least side in pixels; None where there is nothing to draw."""


def picture_of(inp: ResultInput, *, paper: bool = False, least: int = SIDE) -> Picture | None:
    """Draw the picture of a result; None where its kind has none, or what it shows is not at hand.

    Parameters
    ----------
    paper
        For print: what has no pixels of its own is drawn on white.
    least
        Least side in pixels of what can be drawn at any size.
    """
    draw = PICTURES.get(inp.kind)
    return draw(inp, paper, least) if draw is not None else None


def _radiograph(inp: ResultInput, _paper: bool, least: int) -> Picture | None:
    if not isinstance(inp.seen, Radiograph):
        return None
    prediction = inp.prediction
    view = f"{inp.seen.view} view" if inp.seen.view else "View not given"
    shown = [spec.label for spec in prediction.segments if prediction.labels is not None]

    def swatch(finding: Finding) -> Colour | None:
        return colour_of(prediction, finding) if finding.segment in shown else None

    maps = heat.of_maps(prediction)[:1]
    legend = tuple((f"{item.name}: the redder, the more", heat.HOT) for item in maps)
    pixels = heat.radiograph(inp.seen, prediction, inp.image, least)
    return Picture(pixels, Beside(_with_threshold(inp, view), swatch, legend))


def _waveform(inp: ResultInput, _paper: bool, _least: int) -> Picture | None:
    if not isinstance(inp.seen, Waveform):
        return None
    channels = "1 channel" if len(inp.seen.channels) == 1 else f"{len(inp.seen.channels)} channels"
    place = f"{channels}, {inp.seen.seconds:.0f} s at {number(inp.seen.rate_hz)} Hz"
    legend = tuple((f"{item.name}: the darker, the more", trace.SHADE) for item in inp.prediction.traces[:1])
    pixels = trace.waveform(inp.seen, inp.prediction)
    return Picture(pixels, Beside(_with_threshold(inp, place), lambda _finding: None, legend))


def _record(inp: ResultInput, paper: bool, _least: int) -> Picture | None:
    found = inp.prediction.contributions
    if not found:
        return None
    place = _with_threshold(inp, f"{len(found)} values of the record")
    return Picture(bars.bars(found, light=paper), Beside(place, lambda _finding: None))


def _with_threshold(inp: ResultInput, place: str) -> str:
    said = operating_points(inp.prediction, inp.card)
    return f"{place}. {said[:1].upper()}{said[1:]}." if said else place


PICTURES: Mapping[InputKind, Draw] = MappingProxyType(
    {InputKind.RADIOGRAPH: _radiograph, InputKind.WAVEFORM: _waveform, InputKind.RECORD: _record}
)
