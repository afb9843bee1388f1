"""What explains a model's answer: the picture that it saw, layers over it, and values of the record. Tolerant reading.

Workers write these files beside a prediction (``workers.results.view``). One that is missing, too large or of another
form shows as nothing, never as an error: the findings stand in the records.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.web import findings
from node.web.evidence import mapping, maps, number, texts
from node.web.source import SliceUnavailable, inside

FORMAT = 1
"""The form that this page reads."""
MAX_BYTES = 1 << 20
"""Largest file of numbers that is read."""
MAX_PICTURE = 16 << 20
"""Largest picture that is sent."""
MAX_OVERLAYS = 3
MAX_VALUES = 30
"""Values of the record that are shown, the strongest first."""
KINDS = {
    "radiograph": "The radiograph as the model saw it",
    "waveform": "The waveform as the model saw it",
    "record": "Values of the record that the answer rests on",
    "volume": "Values that the answer rests on",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture: its size, what a person who does not see it is told, and the names of the layers over it."""

    width: int
    height: int
    text: str
    overlays: Sequence[str]


@dataclass(frozen=True, slots=True)
class ValueRow:
    """A value of the record with how far it moved the answer; ``left`` and ``width`` place its bar, 0 to 100."""

    name: str
    code: str
    value: str
    text: str
    weight: str
    raises: bool
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Gauge:
    """A probability between 0 and 1 with the operating point, as percentages along a scale.

    ``bar`` says what lies between ``low`` and ``high``: an interval, or a range of which nobody says how sure it is.
    """

    title: str
    value: str
    at: float
    low: float | None
    high: float | None
    threshold: float | None
    threshold_said: str
    bar: str
    above: bool | None


@dataclass(frozen=True, slots=True)
class Explained:
    """What explains the answer of one job; ``digest`` changes with it."""

    title: str
    picture: Picture | None
    values: Sequence[ValueRow]
    more: int
    gauges: Sequence[Gauge]
    digest: str


def explained(root: Path, prediction: str, found: Sequence[Any]) -> Explained | None:
    """Read what explains a job's answer; None where there is nothing.

    Parameters
    ----------
    root
        The node's root.
    prediction
        The job's prediction, relative to it; "" for a job that has none.
    found
        The job's stored findings, whose probabilities are drawn.
    """
    raw = _read(root, prediction)
    said = _loaded(raw)
    if not said:
        return None
    given = maps(said.get("contributions"))
    threshold = number(said.get("threshold"))
    return Explained(
        title=KINDS.get(str(said.get("kind")), ""),
        picture=_picture(mapping(said.get("image")), texts(said.get("overlays"))),
        values=_values(given),
        more=max(0, len(given) - MAX_VALUES),
        gauges=[gauge for item in maps(list(found)) if (gauge := _gauge(item, threshold)) is not None],
        digest=hashlib.sha256(raw).hexdigest()[:12],
    )


def picture(root: Path, prediction: str, name: str) -> bytes:
    """Return a picture as PNG.

    Parameters
    ----------
    name
        ``"image"`` or ``"over-<n>"``.

    Raises
    ------
    SliceUnavailable
        If there is none of this name.
    """
    names = {"image", *(f"over-{at}" for at in range(MAX_OVERLAYS))}
    if not prediction or name not in names:
        raise SliceUnavailable("there is no such picture")
    path = inside(root, f"{prediction}.{name}.png")
    try:
        if path.stat().st_size > MAX_PICTURE:
            raise SliceUnavailable("the picture is too large")
        return path.read_bytes()
    except OSError as exc:
        raise SliceUnavailable("a file of this study is not where the records say") from exc


def _read(root: Path, prediction: str) -> bytes:
    if not prediction:
        return b""
    try:
        with inside(root, f"{prediction}.view.json").open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (SliceUnavailable, OSError):
        return b""


def _loaded(raw: bytes) -> Mapping[str, Any]:
    if not raw or len(raw) > MAX_BYTES:
        return {}
    try:
        said = mapping(json.loads(raw))
    except (ValueError, RecursionError):
        return {}
    return said if said.get("format") == FORMAT else {}


def _picture(image: Mapping[str, Any], overlays: Sequence[str]) -> Picture | None:
    width, height = number(image.get("width")), number(image.get("height"))
    if not width or not height or not 0 < width < 1e5 or not 0 < height < 1e5:
        return None
    return Picture(int(width), int(height), str(image.get("text") or "Picture"), list(overlays[:MAX_OVERLAYS]))


def _values(given: Sequence[Mapping[str, Any]]) -> list[ValueRow]:
    weights = [abs(number(item.get("weight")) or 0.0) for item in given[:MAX_VALUES]]
    strongest = max(weights, default=0.0) or 1.0
    return [_value(item, strongest) for item in given[:MAX_VALUES]]


def _value(item: Mapping[str, Any], strongest: float) -> ValueRow:
    code, weight = mapping(item.get("name")), number(item.get("weight")) or 0.0
    value = number(item.get("value"))
    shown = "not in the record" if value is None else f"{findings.number(value)} {_unit(item.get('unit'))}".strip()
    width = round(50 * min(1.0, abs(weight) / strongest), 1)
    return ValueRow(
        name=str(code.get("meaning") or code.get("value") or "value"),
        code=" ".join(str(code[key]) for key in ("scheme", "value") if code.get(key)),
        value=shown,
        text=str(item.get("text") or ""),
        weight=f"{weight:+.2f}".replace("-", "\N{MINUS SIGN}"),
        raises=weight > 0,
        left=50.0 if weight > 0 else 50.0 - width,
        width=width,
    )


def _unit(code: Any) -> str:
    given = mapping(code)
    return findings.unit(given)


def _gauge(item: Mapping[str, Any], threshold: float | None) -> Gauge | None:
    """Draw a finding's probability with its own operating point, else the model's; None where it has none."""
    measure = next((one for one in maps(item.get("measurements")) if findings.is_probability(one)), None)
    value = number(measure.get("value")) if measure is not None else None
    if measure is None or value is None or not 0 <= value <= 1:
        return None
    low, high = (_share(measure.get(key)) for key in ("lower", "upper"))
    own = number(item.get("threshold"))
    point = threshold if own is None else own
    limit = point if point is not None and 0 <= point <= 1 else None
    return Gauge(
        title=findings.title(item),
        value=findings.percent(value),
        at=round(100 * value, 1),
        low=low,
        high=high,
        threshold=None if limit is None else round(100 * limit, 1),
        threshold_said="" if limit is None else findings.percent(limit),
        bar="interval" if number(measure.get("confidence")) is not None else findings.range_of(measure),
        above=None if limit is None else value >= limit,
    )


def _share(value: Any) -> float | None:
    given = number(value)
    return None if given is None else round(100 * min(1.0, max(0.0, given)), 1)
