"""Lung nodules in chest CT: found, told from vessels by a network, drawn, measured and stated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from models import geometry
from models.checks import check_body_part
from models.codes import NO_UNITS, PROBABILITY
from models.contracts import (
    Finding,
    FloatArray,
    LabelArray,
    ModelCard,
    Prediction,
    ScalarMap,
    Side,
    Source,
    Volume,
    expect,
)
from models.imaging.checks import check_requirements
from models.imaging.lung import findings
from models.imaging.lung.candidates import find_candidates
from models.imaging.lung.classifier import Scored, apart, score
from models.imaging.lung.findings import Certainty, Place, settings_of
from models.imaging.lung.grid import Working, resampled
from models.imaging.lung.measuring import Measured, measure
from models.imaging.lung.network import NoduleNetwork, channels_last
from models.imaging.lung.segmentation import Lungs, bounding_box, find_lungs
from models.imaging.lung.terms import LABEL, MOST_DRAWN, MOST_REPORTED, SEGMENTS, THICK_MM
from models.shipped import Shipped, restore

#: Larger images get no map of probabilities: it would be as large as the image.
LARGEST_MAP = 30_000_000

#: Candidates less probable than this are not in the map.
LEAST_MAPPED = 0.02

#: Share of the lungs that is dense, and that is emptier than lung, from which on a warning is given.
DENSE_HU, DENSE_SHARE = -600.0, 0.25
EMPTY_HU, EMPTY_SHARE = -950.0, 0.25


@dataclass(frozen=True, eq=False)
class Detection:
    """A candidate that is a finding, with where it lies and what was drawn there."""

    scored: Scored
    place: Place
    at: tuple[float, float, float]
    measured: Measured | None


class LungNoduleModel(Shipped):
    """The model of the catalogue; made by :func:`load`.

    Parameters
    ----------
    network
        With its weights, on ``device``.
    card
        Its metrics hold ``calibration``, ``operating_threshold`` and ``interval_factor``.
    device
        Where the network runs.
    """

    def __init__(self, network: torch.nn.Module, card: ModelCard, device: torch.device) -> None:
        self._network = network.eval()
        super().__init__(card, device)
        self._settings = settings_of(card.metrics)

    def check(self, source: Source) -> None:
        """Raise :class:`~models.contracts.InputDeclined` with the reason if ``source`` is unsuitable."""
        volume = expect(source, Volume)
        check_body_part(volume.attributes, self._card.requirements)
        check_requirements(volume, self._card.requirements)

    def predict(self, source: Source) -> Prediction:
        """Find, draw and measure nodules.

        Returns
        -------
        Prediction
            A finding for each nodule, the most probable first, or one that is not present; labels 1 to 10 of the first
            ten; a map of probabilities, unless the image is very large.

        Raises
        ------
        InputDeclined
            If :meth:`check` does, or the image does not show two air-filled lungs.
        """
        self.check(source)
        volume = expect(source, Volume)
        working = resampled(volume)
        lungs = find_lungs(working)
        found = score(self._network, working, find_candidates(working, lungs.both), self._device)
        scored = apart(found, working)
        detections = self._detections(volume, working, lungs, scored)
        stated, labels = self._stated(volume, detections)
        highest = self._certainty(scored[0]) if scored else Certainty(0.0, 0.0, 0.0)
        dense, warnings = _unlike(volume, working, lungs)
        return Prediction(
            findings=stated or (findings.nothing_found(highest),),
            labels=labels,
            segments=SEGMENTS[: min(len(stated), MOST_DRAWN)],
            warnings=tuple(warnings),
            maps=self._maps(volume, working, scored),
            scores={"probability": highest.value, "out_of_scope": dense, "nodules": float(len(stated))},
        )

    def _certainty(self, scored: Scored) -> Certainty:
        value, low, high = (self._settings.probability(scored.logit + sign * 2 * scored.spread) for sign in (0, -1, 1))
        return Certainty(value, low, high)

    def _detections(self, volume: Volume, working: Working, lungs: Lungs, scored: Sequence[Scored]) -> list[Detection]:
        """Measure what is probable enough; what lies in a nodule that is drawn already is the same."""
        kept: list[Detection] = []
        for item in scored:
            if self._settings.probability(item.logit) < self._settings.threshold or len(kept) == MOST_REPORTED:
                break
            place = working.to_patient(item.candidate.index)
            measured = measure(volume, working, lungs.both, place, item.candidate.diameter)
            if measured is None or not any(_same(measured, other.measured) for other in kept):
                x, y, z = (float(v) for v in place)
                kept.append(Detection(item, _place(lungs, item.candidate.index), (x, y, z), measured))
        return kept

    def _stated(self, volume: Volume, detections: Sequence[Detection]) -> tuple[tuple[Finding, ...], LabelArray]:
        """Findings and labels on the grid of the volume."""
        orientation = geometry.canonical_orientation(volume.geometry.affine)
        canonical = np.zeros(geometry.to_canonical(volume.array, orientation).shape, np.uint8)
        names: list[str] = []
        stated = []
        for number, item in enumerate(detections, start=1):
            same = sum(name == f"{item.place.side}-{item.place.name}" for name in names)
            names.append(f"{item.place.side}-{item.place.name}")
            drawn = number <= MOST_DRAWN and item.measured is not None
            if drawn and item.measured is not None:
                _paint(canonical, item.measured, number)
            stated.append(
                findings.finding(
                    item.measured,
                    item.place,
                    self._certainty(item.scored),
                    item.at,
                    self._settings,
                    lesion=item.place.name + (f"-{same + 1}" if same else ""),
                    segment=number if drawn and bool((canonical == number).any()) else None,
                )
            )
        return tuple(stated), np.ascontiguousarray(geometry.from_canonical(canonical, orientation))

    def _maps(self, volume: Volume, working: Working, scored: Sequence[Scored]) -> tuple[ScalarMap, ...]:
        """Probability around each candidate, which falls off like the blob that it is."""
        if volume.array.size > LARGEST_MAP:
            return ()
        orientation = geometry.canonical_orientation(volume.geometry.affine)
        canonical = np.zeros(geometry.to_canonical(volume.array, orientation).shape, np.float32)
        affine = geometry.canonical_affine(volume.geometry.affine, volume.geometry.shape, orientation)
        for item in scored:
            probability = self._settings.probability(item.logit)
            if probability >= LEAST_MAPPED:
                place = np.linalg.inv(affine)[:3] @ [*working.to_patient(item.candidate.index), 1.0]
                _glow(canonical, place, np.linalg.norm(affine[:3, :3], axis=0), item.candidate.scale, probability)
        array = np.ascontiguousarray(geometry.from_canonical(canonical, orientation))
        return (ScalarMap(LABEL, "Probability of a lung nodule", PROBABILITY, NO_UNITS, array),)


def _same(measured: Measured, other: Measured | None) -> bool:
    """Whether two drawings overlap by more than a third of the smaller one."""
    if other is None:
        return False
    first, second = (
        {tuple(int(v) for v in point) for point in np.argwhere(item.mask) + np.array(item.start)}
        for item in (measured, other)
    )
    return len(first & second) > min(len(first), len(second)) / 3


def _place(lungs: Lungs, index: tuple[int, int, int]) -> Place:
    """Place of a voxel of the working grid in its lung."""
    side = Side.RIGHT if lungs.right[index] else Side.LEFT
    box = bounding_box(lungs.right if side is Side.RIGHT else lungs.left, 0)
    height, depth, width = (
        float(np.clip((at - part.start) / max(part.stop - part.start - 1, 1), 0, 1))
        for at, part in zip(index, box, strict=True)
    )
    return Place(side, height, depth, width)


def _paint(labels: LabelArray, measured: Measured, number: int) -> None:
    """Draw one nodule; voxels that another one has stay its own."""
    part = tuple(slice(at, at + size) for at, size in zip(measured.start, measured.mask.shape, strict=True))
    region = labels[part]
    region[measured.mask & (region == 0)] = number


def _glow(array: FloatArray, place: FloatArray, spacing: FloatArray, scale: float, probability: float) -> None:
    """Raise a map to a probability at a place, falling off like a Gaussian of the candidate's scale."""
    reach = 3 * scale / spacing
    low = np.maximum(np.floor(place - reach).astype(int), 0)
    high = np.minimum(np.ceil(place + reach).astype(int) + 1, array.shape)
    if (low >= high).any():
        return
    axes = [((np.arange(a, b) - at) * step) ** 2 for a, b, at, step in zip(low, high, place, spacing, strict=True)]
    squared = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]
    part = array[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
    np.maximum(part, probability * np.exp(-squared / (2 * scale**2)), out=part, casting="same_kind")


def _unlike(volume: Volume, working: Working, lungs: Lungs) -> tuple[float, list[str]]:
    """Share of the lungs that is dense, and sentences on what the model was not made for."""
    values = working.array[lungs.both]
    dense, empty = float((values > DENSE_HU).mean()), float((values < EMPTY_HU).mean())
    step = max(volume.geometry.spacing)
    warnings = []
    if step > THICK_MM:
        warnings.append(f"The slices are {step:.1f} mm apart: small nodules may be missed, and sizes are less certain.")
    if dense > DENSE_SHARE:
        warnings.append(f"{dense:.0%} of the lungs is dense: nodules in consolidation or fibrosis are not looked for.")
    if empty > EMPTY_SHARE:
        warnings.append(f"{empty:.0%} of the lungs is emptier than {EMPTY_HU:.0f} HU: the model knows no emphysema.")
    return dense, warnings


def load(folder: Path, device: str = "auto") -> LungNoduleModel:
    """Load the model from a folder of weights, as :func:`models.shipped.restore` does; the catalogue's factory."""
    network, card, chosen = restore(channels_last(NoduleNetwork()), folder, device)
    return LungNoduleModel(network.eval(), card, chosen)
