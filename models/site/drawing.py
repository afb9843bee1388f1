"""From class probabilities, or a label map, to labels on the grid of the input and findings with volumes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from models.codes import MILLILITRE, NO_UNITS, PROBABILITY, VOLUME
from models.contracts import Finding, FloatArray, LabelArray, Measurement, Prediction, UnusableOutput
from models.site.answers import activated
from models.site.card import SiteCard
from models.site.coding import Meaning
from models.site.working import Working, back, labels_back

#: A voxel belongs to a class of its own probability from here on (AsDiscrete's usual threshold).
HALF = 0.5

#: A sum of half-precision numbers may pass 1 by this much.
ROUNDING = 1e-2


def drawn(numbers: FloatArray, image: Working, card: SiteCard, known: tuple[Meaning, ...]) -> Prediction:
    """Draw the classes of raw outputs ``[class, axis...]`` on the prepared grid.

    Probabilities are brought back to the input's grid one class at a time, so that a hundred classes need no more
    memory than two; with ``nearest``, labels are.
    """
    if tuple(numbers.shape[1:]) != image.size:
        raise UnusableOutput(f"the model drew on {numbers.shape[1:]} voxels; it was given {image.size}")
    wanted = 1 + max(item.channel for item in known)
    if numbers.shape[0] < wanted:
        raise UnusableOutput(f"the model gave {numbers.shape[0]} channels; its card names channel {wanted - 1}")
    if not np.isfinite(numbers).all():
        raise UnusableOutput("the model gave numbers that are none")
    if card.engine.activation == "none" and (numbers.min() < -ROUNDING or numbers.max() > 1 + ROUNDING):
        raise UnusableOutput(
            "the model's numbers are no probabilities: give the card the model's activation (softmax or sigmoid)"
        )
    found = activated(numbers, card.engine.activation)
    exclusive = card.engine.activation != "sigmoid"
    if card.engine.nearest:
        flat = _winner((channel for channel in found), known, exclusive=exclusive)
        labels, certainty = labels_back(flat[0], image), None
    else:
        channels = (
            back(channel, image, outside=1.0 if exclusive and place == 0 else 0.0)
            for place, channel in enumerate(found)
        )
        labels, certainty = _winner(channels, known, exclusive=exclusive)
    return described(labels, image, card, known, certainty)


def _winner(
    channels: Iterator[FloatArray], known: tuple[Meaning, ...], *, exclusive: bool
) -> tuple[LabelArray, FloatArray]:
    """Give labels, and the probability of the label at each voxel.

    Exclusive classes: the most likely one, background included. Others: the most likely of those at
    :data:`HALF` or more.
    """
    by_channel = {item.channel: item.segment.label for item in known}
    labels: LabelArray | None = None
    for place, channel in enumerate(channels):
        if labels is None:
            labels = np.zeros(channel.shape, dtype=np.uint8)
            best = (
                channel.copy() if exclusive else np.full(channel.shape, np.nextafter(np.float32(HALF), np.float32(0)))
            )
            if exclusive:
                labels[:] = by_channel.get(place, 0)
                continue
        higher = channel > best
        labels[higher] = by_channel.get(place, 0)
        best[higher] = channel[higher]
    if labels is None:
        raise UnusableOutput("the model gave no channel")
    return labels, best


def described(
    labels: npt.NDArray[np.uint8],
    image: Working,
    card: SiteCard,
    known: tuple[Meaning, ...],
    certainty: FloatArray | None = None,
) -> Prediction:
    """State what was drawn: each label with its volume; ``labels`` lie on the grid of the input.

    Parameters
    ----------
    certainty
        Probability of the label at each voxel, where there is one.
    """
    shaped = labels if labels.ndim == 3 else labels[None]
    if card.engine.largest_part:
        shaped = _largest(shaped, known)
    counts = sum((np.bincount(plane.reshape(-1), minlength=256) for plane in shaped), np.zeros(256, dtype=np.int64))
    voxel_ml = abs(float(np.linalg.det(image.affine[:3, :3]))) / 1000.0 if image.affine is not None else None
    sure = _certainties(shaped, certainty)
    findings = [_stated(item, int(counts[item.segment.label]), voxel_ml, sure) for item in known]
    kept = [one for one in findings if one is not None]
    missing = [item.name for item in known if not counts[item.segment.label] and not item.output.report_absent]
    missing = [] if card.engine.class_map else missing  # of a hundred structures most lie outside the field of view
    warnings = (f"Not drawn in this image: {_listed(missing)}.",) if missing else ()
    scores = {item.output.label: float(counts[item.segment.label]) * (voxel_ml or 1.0) for item in known}
    segments = tuple(item.segment for item in known)
    ordered = tuple(sorted(kept, key=lambda one: not one.present))
    return Prediction(ordered, np.ascontiguousarray(shaped), segments, warnings, scores=scores)


def _stated(item: Meaning, voxels: int, voxel_ml: float | None, sure: npt.NDArray[np.float64] | None) -> Finding | None:
    if not voxels:
        absent = Finding(item.output.label, item.code, side=item.side, text=f"{item.name}: none found.", present=False)
        return absent if item.output.report_absent else None
    measurements: tuple[Measurement, ...] = ()
    text = f"{item.name} was drawn."
    if voxel_ml is not None:
        measurements = (Measurement(VOLUME, voxels * voxel_ml, MILLILITRE, method="counted voxels"),)
        text = f"{item.name}: {voxels * voxel_ml:.4g} ml."
    confidence = float(np.clip(sure[item.segment.label] / voxels, 0, 1)) if sure is not None else None
    if confidence is not None:
        measurements += (Measurement(PROBABILITY, confidence, NO_UNITS, method="mean over the drawn voxels"),)
    return Finding(
        item.output.label,
        item.code,
        measurements,
        side=item.side,
        segment=item.segment.label,
        confidence=confidence,
        text=text,
    )


def _certainties(labels: LabelArray, certainty: FloatArray | None) -> npt.NDArray[np.float64] | None:
    """Sum of the probabilities at each label's voxels."""
    if certainty is None:
        return None
    sums = np.zeros(256)
    for plane, weights in zip(labels, certainty.reshape(labels.shape), strict=True):
        sums += np.bincount(plane.reshape(-1), weights=weights.reshape(-1), minlength=256)
    return sums


def _largest(labels: LabelArray, known: tuple[Meaning, ...]) -> LabelArray:
    """Keep the largest connected part of each label (KeepLargestConnectedComponent)."""
    from scipy import ndimage

    kept = np.zeros_like(labels)
    for item in known:
        parts, count = ndimage.label(labels == item.segment.label)
        if count:
            sizes = np.bincount(parts.reshape(-1))[1:]
            kept[parts == 1 + int(sizes.argmax())] = item.segment.label
    return kept


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
