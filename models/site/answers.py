"""From a network's numbers to findings: probabilities, values, boxes. Drawings are in :mod:`models.site.drawing`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.codes import LONG_AXIS, MILLIMETRE, NO_UNITS, PROBABILITY
from models.contracts import Finding, FloatArray, Measurement, Prediction, Region, RegionKind, UnusableOutput
from models.site.card import SiteCard
from models.site.coding import Meaning, first_channel
from models.site.working import HALF_VOXEL, Working

Numbers = npt.NDArray[np.float64]

#: Boxes that a network may give before the best are taken.
MAX_BOXES = 100_000

#: Channels without a name that a refusal lists.
SHOWN_CHANNELS = 8


@dataclass(frozen=True, eq=False)
class Boxes:
    """What a detector found.

    Parameters
    ----------
    corners
        ``[n, 6]``: the lowest and the highest index along each axis of the prepared image; a whole number is the centre
        of a voxel, as in MONAI's AffineBoxToWorldCoordinate.
    labels
        ``[n]`` class of each, from 0.
    scores
        ``[n]`` 0 to 1.
    """

    corners: Numbers
    labels: npt.NDArray[np.int64]
    scores: Numbers


def activated(numbers: FloatArray, activation: str) -> FloatArray:
    """Class probabilities of raw outputs ``[class, ...]``."""
    if activation == "none":
        return np.asarray(numbers, dtype=np.float32)
    if activation == "sigmoid":
        held = np.clip(numbers, -80, 80)
        return np.asarray(1.0 / (1.0 + np.exp(-held)), dtype=np.float32)
    shifted = np.exp(numbers - numbers.max(axis=0, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=0, keepdims=True), dtype=np.float32)


def flat(numbers: FloatArray, count: int) -> FloatArray:
    """The answer as one number a class; :class:`UnusableOutput` where it is of another shape or no number."""
    if any(length != 1 for length in numbers.shape[1:]):
        raise UnusableOutput(
            f"the model gave an image of {' x '.join(map(str, numbers.shape))} numbers where one number a class is "
            "expected: compare the card's task with the model"
        )
    found = np.asarray(numbers, dtype=np.float32).reshape(-1)
    if found.size <= count - 1:
        raise UnusableOutput(f"the model gave {found.size} numbers; its card names channel {count - 1}")
    if not np.isfinite(found).all():
        raise UnusableOutput("the model gave numbers that are none")
    return found


def check_named(count: int, card: SiteCard, known: tuple[Meaning, ...]) -> None:
    """Refuse an answer of ``count`` channels of which some are no output of the card, unless the card ignores them.

    A class that nobody named would be dropped without a word. The background of a segmentation needs no name.

    Raises
    ------
    UnusableOutput
        With the channels.
    """
    if card.engine.unnamed_channels == "ignore":
        return
    named = {item.channel for item in known} | set(range(first_channel(card)))
    if spare := [channel for channel in range(count) if channel not in named]:
        shown = ", ".join(map(str, spare[:SHOWN_CHANNELS])) + (" and more" if len(spare) > SHOWN_CHANNELS else "")
        raise UnusableOutput(
            f"the model gives {count} channels, and its card names no output for channel {shown}: name them in "
            '[[outputs]], or say unnamed_channels = "ignore" under [engine]'
        )


def classified(numbers: FloatArray, card: SiteCard, known: tuple[Meaning, ...]) -> Prediction:
    """Findings of a classification: one an output, present where its probability reaches its threshold.

    With ``exclusive`` the most likely class alone is present.
    """
    values = activated(flat(numbers, 1 + max(item.channel for item in known)), card.engine.activation)
    if values.min() < 0 or values.max() > 1:
        raise UnusableOutput("the model's numbers are no probabilities: the card's activation is not that of the model")
    best = max(known, key=lambda item: float(values[item.channel]))
    scores = {item.output.label: float(values[item.channel]) for item in known}
    findings = []
    for item in known:
        value, point = float(values[item.channel]), item.output.threshold
        if card.engine.exclusive:
            present, why = item is best, f"{'' if item is best else 'not '}the most likely class"
        else:
            present = value >= point
            why = f"{'at or above' if present else 'below'} the operating point of {100 * point:.3g} %"
            scores[f"threshold.{item.output.label}"] = point
        findings.append(probable(item, value, why, present=present))
    return Prediction(tuple(sorted(findings, key=lambda one: not one.present)), scores=scores)


def probable(item: Meaning, value: float, why: str, *, present: bool) -> Finding:
    """A finding with its probability, and why it is reported as present or not."""
    return Finding(
        item.output.label,
        item.code,
        (Measurement(PROBABILITY, value, NO_UNITS),),
        side=item.side,
        confidence=value,
        text=f"{item.name}: probability {_percent(value)}, {why}.",
        present=present,
    )


def _percent(value: float) -> str:
    """A probability for people; a small one, or one that is nearly sure, does not read as none or as certain."""
    if 0 < value < 0.001:
        return "below 0.1 %"
    return f"{100 * value:.0f} %" if 0.1 <= value < 0.995 else f"{100 * value:.3g} %"


def measured(numbers: FloatArray, known: tuple[Meaning, ...]) -> Prediction:
    """Findings of a regression: one number an output, in its unit."""
    values = flat(numbers, 1 + max(item.channel for item in known))
    findings = []
    for item in known:
        value, unit = float(values[item.channel]), item.unit or NO_UNITS
        text = f"{item.name}: {value:.4g}{'' if unit == NO_UNITS else f' {unit.meaning}'}."
        findings.append(
            Finding(item.output.label, item.code, (Measurement(item.code, value, unit),), side=item.side, text=text)
        )
    return Prediction(tuple(findings), scores={item.output.label: float(values[item.channel]) for item in known})


def detected(boxes: Boxes, image: Working, card: SiteCard, known: tuple[Meaning, ...]) -> Prediction:
    """Findings of a detection: one a box that scores enough, the best first; classes without any are absent.

    A box is reported as the ellipsoid that it holds (PS3.3 C.18.9.1.2, ELLIPSOID: the ends of its three axes), with its
    longest edge as long axis.
    """
    by_channel = {item.channel: item for item in known}
    findings: list[Finding] = []
    scores = {item.output.label: 0.0 for item in known}
    for place in _best(boxes, card):
        if (item := by_channel.get(int(boxes.labels[place]))) is None:
            raise UnusableOutput(f"the model found the class {int(boxes.labels[place])}, which its card does not name")
        score = float(boxes.scores[place])
        scores[item.output.label] = max(scores[item.output.label], score)
        findings.append(_box(item, boxes.corners[place], score, image, 1 + len(findings)))
    silent = [item for item in known if not any(one.label == item.output.label for one in findings)]
    absent = [Finding(item.output.label, item.code, text=f"{item.name}: none found.", present=False) for item in silent]
    return Prediction((*findings, *absent), scores=scores)


def _best(boxes: Boxes, card: SiteCard) -> list[int]:
    """Boxes to report, by score."""
    count = len(boxes.scores)
    if boxes.corners.shape != (count, 6) or len(boxes.labels) != count or count > MAX_BOXES:
        raise UnusableOutput("the model's boxes, labels and scores do not belong together")
    if not (np.isfinite(boxes.corners).all() and np.isfinite(boxes.scores).all()):
        raise UnusableOutput("the model gave boxes that are nowhere")
    if count and (boxes.scores.min() < 0 or boxes.scores.max() > 1):
        raise UnusableOutput("the model's scores are no probabilities from 0 to 1")
    order = np.argsort(-boxes.scores, kind="stable")
    kept = [int(place) for place in order if boxes.scores[place] >= card.engine.score_threshold]
    return kept[: card.engine.max_detections]


def _box(item: Meaning, corners: Numbers, score: float, image: Working, number: int) -> Finding:
    low, high = corners[:3], corners[3:]
    if (high <= low).any():
        raise UnusableOutput("the model gave a box without extent")
    centre = (low + high) / 2
    if (centre < -HALF_VOXEL).any() or (centre > np.array(image.size) - HALF_VOXEL).any():
        raise UnusableOutput(
            "the model gave a box outside the image that it was given: corners are indices of its axes, not millimetres"
        )
    ends = [centre.copy() for _ in range(6)]
    for axis in range(3):
        ends[2 * axis][axis], ends[2 * axis + 1][axis] = low[axis], high[axis]
    points = image.points(np.array(ends))
    longest = max(float(np.linalg.norm(points[2 * axis + 1] - points[2 * axis])) for axis in range(3))
    x, y, z = (float(value) for value in image.points(centre[None])[0])
    return Finding(
        item.output.label,
        item.code,
        (
            Measurement(LONG_AXIS, longest, MILLIMETRE, method="edge of the box"),
            Measurement(PROBABILITY, score, NO_UNITS),
        ),
        confidence=score,
        text=f"{item.name} {number}: {longest:.0f} mm, probability {100 * score:.0f} %.",
        regions=(Region(RegionKind.ELLIPSOID, tuple((float(a), float(b), float(c)) for a, b, c in points)),),
        lesion=f"{x:.0f},{y:.0f},{z:.0f}",
    )
