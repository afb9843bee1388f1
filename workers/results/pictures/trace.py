"""A waveform as a picture: ECG paper or the strips of a phonocardiogram, with what mattered shaded over time.

An ECG is drawn at 25 mm/s and 10 mm/mV, as on paper: a small square is 0.04 s and 0.1 mV. Twelve leads stand as three
rows of four, each for a quarter of the time, with lead II below in full; fewer leads as strips of ten seconds. Sound is
drawn as strips of four seconds, as high as it is loud.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from models.contracts import FloatArray, Prediction, Trace, Waveform
from workers.results.pictures.drawing import RGBArray, font

#: Pixels for a millimetre of paper.
PER_MM = 4

#: Speed and gain of ECG paper.
MM_PER_S, MM_PER_MV = 25.0, 10.0

#: Millimetres of one row, and of the margins around them.
ROW_MM, MARGIN_MM = 25, 6

#: Seconds of a strip: of an ECG, and of sound.
STRIP_S, SOUND_STRIP_S = 10.0, 4.0

#: Most strips of a long recording: those that mattered most.
STRIPS = 6

#: The order of twelve leads on paper, by columns of a quarter of the time.
ROWS = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
RHYTHM = "II"

PAPER, FINE, COARSE = (255, 252, 250), (250, 225, 220), (238, 190, 182)
INK, SOFT, SHADE = (20, 20, 30), (95, 95, 110), (255, 140, 0)

#: Share of the paper that the most important time hides.
SHADING = 0.5

Pixels = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Strip:
    """Some time of one channel, and its place on the paper: its row, and its left edge in pixels."""

    channel: int
    row: int
    left: int
    start_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Scale:
    """Pixels for a second and for a unit of the channel; ``paper`` where both are those of ECG paper."""

    per_s: float
    per_unit: float
    paper: bool


def waveform(seen: Waveform, prediction: Prediction) -> RGBArray:
    """Draw a waveform, ``[row, column, 3]`` uint8."""
    scale = _scale(seen)
    strips = layout(seen, prediction, scale)
    margin, high = MARGIN_MM * PER_MM, ROW_MM * PER_MM
    right = max((strip.left + round(strip.seconds * scale.per_s) for strip in strips), default=high)
    rows = 1 + max((strip.row for strip in strips), default=0)
    width, height = right + 2 * margin, rows * high + 2 * margin
    ground = Image.new("RGB", (width, height), PAPER)
    _grid(ImageDraw.Draw(ground), ground.size, scale)
    paper = np.asarray(ground).astype(np.float64)
    for strip in strips:
        _shade(paper, prediction, strip, scale)
    picture = Image.fromarray(paper.round().astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for strip in strips:
        _draw(pen, seen, strip, scale)
    pen.text((margin, height - PER_MM), said(seen, strips, scale), SOFT, font(14), anchor="ls")
    return np.asarray(picture)


def said(seen: Waveform, strips: Sequence[Strip], scale: Scale) -> str:
    """Say the scale, and how much of the recording is drawn."""
    speed = "25 mm/s, 10 mm/mV" if scale.paper else "height relative to the loudest"
    shown = sum({(strip.start_s, strip.row): strip.seconds for strip in strips if strip.channel == 0}.values())
    rest = f"; {shown:.0f} s of {seen.seconds:.0f} s" if len(seen.channels) < 12 and shown < seen.seconds - 1 else ""
    return f"{speed}{rest}"


def layout(seen: Waveform, prediction: Prediction, scale: Scale) -> list[Strip]:
    """Place the channels on the paper."""
    names = [channel.name for channel in seen.channels]
    if {name for row in ROWS for name in row} <= set(names) and seen.seconds >= 4.0:
        return _twelve(names, min(seen.seconds, STRIP_S), scale)
    seconds = min(seen.seconds, STRIP_S if scale.paper else SOUND_STRIP_S)
    channels = range(min(len(names), 12))
    count = max(1, STRIPS // len(channels))
    starts = _starts(seen, prediction, seconds, count)
    margin = MARGIN_MM * PER_MM
    places = [(start, channel) for start in starts for channel in channels]
    return [Strip(channel, row, margin, start, seconds) for row, (start, channel) in enumerate(places)]


def _twelve(names: Sequence[str], seconds: float, scale: Scale) -> list[Strip]:
    margin, quarter = MARGIN_MM * PER_MM, seconds / 4
    step = round(quarter * scale.per_s)
    strips = [
        Strip(names.index(name), row, margin + column * step, column * quarter, quarter)
        for row, leads in enumerate(ROWS)
        for column, name in enumerate(leads)
    ]
    return [*strips, Strip(names.index(RHYTHM), len(ROWS), margin, 0.0, seconds)]


def _starts(seen: Waveform, prediction: Prediction, seconds: float, count: int) -> list[float]:
    """Begin of the strips that are drawn: all where they fit, else those of the highest importance, in time's order."""
    every = [float(start) for start in np.arange(0.0, max(seen.seconds - seconds / 2, seconds / 2), seconds)]
    if len(every) <= count:
        return every
    weights = [float(importance(prediction, None, start + np.linspace(0, seconds, 50)).sum()) for start in every]
    chosen = sorted(range(len(every)), key=lambda at: (-weights[at], at))[:count]
    return [every[at] for at in sorted(chosen)]


def _scale(seen: Waveform) -> Scale:
    if seen.modality == "ECG" or all(channel.unit == "mV" for channel in seen.channels):
        return Scale(MM_PER_S * PER_MM, MM_PER_MV * PER_MM, paper=True)
    finite = np.abs(seen.array[np.isfinite(seen.array)])
    loudest = float(np.percentile(finite, 99.9)) if finite.size else 1.0
    return Scale(STRIP_S * MM_PER_S * PER_MM / SOUND_STRIP_S, 0.45 * ROW_MM * PER_MM / (loudest or 1.0), paper=False)


def importance(prediction: Prediction, channel: int | None, times: Pixels) -> Pixels:
    """Importance of a channel at times in seconds: its own trace, or that of all channels together; 0 without one."""
    found: Pixels = np.zeros(times.shape)
    for trace in prediction.traces:
        if trace.channel is None or trace.channel == channel:
            found = np.maximum(found, _at(trace, times))
    return found


def _at(trace: Trace, times: Pixels) -> Pixels:
    values = np.clip(np.nan_to_num(np.asarray(trace.values, dtype=np.float64), nan=0.0), 0, 1)
    if not values.size or trace.step_s <= 0:
        return np.zeros(times.shape)
    own = trace.start_s + np.arange(values.size) * trace.step_s
    at: Pixels = np.interp(times, own, values, left=0.0, right=0.0)
    return at


def _shade(paper: Pixels, prediction: Prediction, strip: Strip, scale: Scale) -> None:
    high, margin = ROW_MM * PER_MM, MARGIN_MM * PER_MM
    columns = np.arange(round(strip.seconds * scale.per_s))
    weight = SHADING * importance(prediction, strip.channel, strip.start_s + columns / scale.per_s)[None, :, None]
    top = margin + strip.row * high
    area = paper[top : top + high, strip.left : strip.left + columns.size]
    area += (np.array(SHADE)[None, None] - area) * weight


def _grid(pen: ImageDraw.ImageDraw, size: tuple[int, int], scale: Scale) -> None:
    """Millimetre paper for an ECG; a line a second for sound."""
    width, height = size
    if not scale.paper:
        for second in range(round(SOUND_STRIP_S) + 1):
            x = MARGIN_MM * PER_MM + round(second * scale.per_s)
            pen.line((x, 0, x, height), COARSE)
        return
    for step, colour in ((PER_MM, FINE), (5 * PER_MM, COARSE)):
        for x in range(MARGIN_MM * PER_MM % step, width, step):
            pen.line((x, 0, x, height), colour)
        for y in range(MARGIN_MM * PER_MM % step, height, step):
            pen.line((0, y, width, y), colour)


def _draw(pen: ImageDraw.ImageDraw, seen: Waveform, strip: Strip, scale: Scale) -> None:
    high, margin = ROW_MM * PER_MM, MARGIN_MM * PER_MM
    middle = margin + strip.row * high + high / 2
    first = round(strip.start_s * seen.rate_hz)
    samples = seen.array[strip.channel, first : first + round(strip.seconds * seen.rate_hz)]
    for line in _lines(samples, seen.rate_hz, scale, strip.left, middle, high):
        pen.line(line, INK, 1)
    name = seen.channels[strip.channel].name
    when = f"  {strip.start_s:.0f} s" if strip.start_s and len(seen.channels) < 12 else ""
    pen.text(
        (strip.left + 4, margin + strip.row * high + 2),
        f"{name}{when}",
        INK,
        font(15),
        stroke_width=3,
        stroke_fill=PAPER,
    )


def _lines(
    samples: FloatArray, rate: float, scale: Scale, left: int, middle: float, high: int
) -> Iterator[list[tuple[float, float]]]:
    """Lines through samples, broken where there is none; of many samples in one column the lowest and highest."""
    if not samples.size:
        return
    x = left + np.arange(samples.size) * scale.per_s / rate
    base = float(np.nanmedian(samples)) if np.isfinite(samples).any() else 0.0
    y = middle - np.clip((samples.astype(np.float64) - base) * scale.per_unit, -high / 2, high / 2)
    dense = rate / scale.per_s > 2
    points = _envelope(x, y) if dense else list(zip(x.tolist(), y.tolist(), strict=True))
    line: list[tuple[float, float]] = []
    for point in points:
        if np.isfinite(point[1]):
            line.append(point)
        elif line:
            yield line
            line = []
    if len(line) > 1:
        yield line


def _envelope(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> list[tuple[float, float]]:
    column = np.floor(x).astype(int)
    starts = np.flatnonzero(np.diff(column, prepend=column[0] - 1))
    points = []
    for at, values in zip(column[starts].tolist(), np.split(y, starts[1:]), strict=True):
        finite = values[np.isfinite(values)]
        if finite.size:
            points += [(float(at), float(finite.max())), (float(at), float(finite.min()))]
        else:
            points.append((float(at), float("nan")))
    return points
