"""Hippocampus of brain MR: anterior and posterior part drawn and measured, in a crop around one hippocampus."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models import geometry
from models.codes import NO_UNITS
from models.contracts import (
    Code,
    Finding,
    LabelArray,
    ModelCard,
    Prediction,
    ScalarMap,
    Side,
    Source,
    Volume,
    WeightsError,
    expect,
)
from models.imaging import quantify
from models.imaging.checks import check_requirements
from models.imaging.hippocampus_parts import HIPPOCAMPUS, PARTS, SEGMENTS, SINGLE_PARTS, SPACING_MM, Part
from models.imaging.inference import class_probabilities
from models.imaging.networks import UNetShape, build_unet
from models.imaging.preprocessing import prepare
from models.laterality import SideVerdict, tell_side
from models.shipped import Shipped, restore

NETWORK = UNetShape(classes=1 + len(SEGMENTS))

#: Grids turned further than this from the patient's axes are beyond what training covered, and are warned of.
TRAINED_OBLIQUITY_DEG = 15.0

#: What the maps' values are (CID 7180).
PROBABILITY = Code("110854", "DCM", "Fractional Probabilistic Segmentation")


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Labels and class probabilities on the grid of the input.

    Parameters
    ----------
    labels
        ``[slice, row, column]`` uint8.
    probabilities
        ``[class, slice, row, column]`` float32.
    resampled
        Whether the network worked on another grid.
    """

    labels: LabelArray
    probabilities: npt.NDArray[np.float32]
    resampled: bool


def segment(network: torch.nn.Module, volume: Volume, device: torch.device) -> Segmentation:
    """Segment a volume of any orientation; training, evaluation and the model use this one path.

    The probabilities, not the labels, are resampled back where the network's grid differs.
    """
    image = prepare(volume, SPACING_MM)
    found = class_probabilities(network, image.array, NETWORK.multiple, device)
    if image.resampled:
        found = geometry.resample(found, image.native_shape)
    back = [geometry.from_canonical(channel, image.orientation) for channel in found]
    probabilities = np.ascontiguousarray(np.stack(back))
    return Segmentation(probabilities.argmax(axis=0).astype(np.uint8), probabilities, image.resampled)


class HippocampusModel(Shipped):
    """The model of the catalogue; made by :func:`load`.

    Parameters
    ----------
    network
        With its weights, on ``device``.
    card
        Names the requirements, and in ``metrics["interval_factor"]`` the calibration of the intervals.
    device
        Where the network runs.
    """

    def __init__(self, network: torch.nn.Module, card: ModelCard, device: torch.device) -> None:
        self._network = network.eval()
        super().__init__(card, device)
        self._factors = quantify.interval_factors(card.metrics)
        if self._factors.keys() != set(SINGLE_PARTS):
            raise WeightsError(f"the model card must give an interval factor for each of {', '.join(SINGLE_PARTS)}")

    def check(self, source: Source) -> None:
        """Raise :class:`~models.contracts.InputDeclined` with the reason if ``source`` is unsuitable."""
        check_requirements(expect(source, Volume), self._card.requirements)

    def predict(self, source: Source) -> Prediction:
        """Draw and measure the hippocampus.

        Returns
        -------
        Prediction
            Labels 1 (anterior) and 2 (posterior) on the grid of the volume; findings of the whole and of each part
            that was found, with the volume in ml and its 95 % interval; the probability of each part at each voxel,
            unless none was found.

        Raises
        ------
        InputDeclined
            If :meth:`check` does.
        """
        self.check(source)
        volume = expect(source, Volume)
        result = segment(self._network, volume, self._device)
        warnings = input_warnings(volume, resampled=result.resampled)
        if not result.labels.any():
            warnings.append("No hippocampus was found in this field of view.")
            return Prediction((), result.labels, SEGMENTS, tuple(warnings))
        verdict = side_of(result.labels, volume)
        if verdict.side is None:
            warnings.append(verdict.reason)
        warnings += result_warnings(result.labels)
        findings = self._findings(result, verdict, volume.geometry.voxel_ml)
        warnings += self._unusual(findings)
        return Prediction(findings, result.labels, SEGMENTS, tuple(warnings), probability_maps(result.probabilities))

    def _unusual(self, findings: tuple[Finding, ...]) -> list[str]:
        """Sentences on volumes that no training case had."""
        ranges = self._card.metrics.get("training_volume_ml", {})
        by_label = {part.label: ranges.get(part.key) for part in PARTS}
        return [
            f"{finding.text.split(':')[0]}: the volume lies outside what the training cases had "
            f"({by_label[finding.label][0]:.2f} to {by_label[finding.label][1]:.2f} ml); check the drawing."
            for finding in findings
            if quantify.outside_range(finding.measurements[0].value, by_label[finding.label])
        ]

    def _findings(self, result: Segmentation, verdict: SideVerdict, voxel_ml: float) -> tuple[Finding, ...]:
        """Findings of all parts that were drawn."""
        measured = {
            part.key: quantify.part_volume(result.probabilities, result.labels, part.segments, voxel_ml)
            for part in PARTS
        }
        half_widths = quantify.half_widths_ml(measured, self._factors)
        return tuple(
            make_finding(part, measured[part.key], half_widths[part.key], verdict.side)
            for part in PARTS
            if measured[part.key].value_ml > 0
        )


def make_finding(part: Part, measured: quantify.PartVolume, half_width: float, side: Side | None) -> Finding:
    """State one part with its volume and interval."""
    measurement = quantify.volume_measurement(measured, half_width)
    return Finding(
        label=part.label,
        code=HIPPOCAMPUS,
        measurements=(measurement,),
        side=side,
        segment=part.segments[0] if part.key in SINGLE_PARTS else None,
        confidence=measured.certainty,
        text=f"{part.title}{f' ({side})' if side else ''}: {measurement.value:.2f} ml "
        f"(95 % interval {measurement.lower:.2f} to {measurement.upper:.2f} ml).",
    )


def probability_maps(probabilities: npt.NDArray[np.float32]) -> tuple[ScalarMap, ...]:
    """Make one map of each part from ``[class, slice, row, column]``."""
    return tuple(
        ScalarMap(f"probability-{spec.label}", f"Probability of {spec.name}", PROBABILITY, NO_UNITS,
                  probabilities[spec.label], spec.label)
        for spec in SEGMENTS
    )  # fmt: skip


def input_warnings(volume: Volume, *, resampled: bool) -> list[str]:
    """Sentences on how the input differs from what the model was trained on."""
    warnings = []
    if resampled:
        spacing = " x ".join(f"{step:.2f}" for step in volume.geometry.spacing)
        warnings.append(
            f"The image of {spacing} mm was resampled to {SPACING_MM:g} mm for the network; "
            "the labels were brought back to the image's own grid."
        )
    angle = geometry.obliquity_deg(volume.geometry.affine)
    if angle > TRAINED_OBLIQUITY_DEG:
        warnings.append(
            f"The slices are turned by {angle:.0f} degrees from the patient's axes; "
            f"the model was trained with up to {TRAINED_OBLIQUITY_DEG:.0f}."
        )
    return warnings


def result_warnings(labels: LabelArray) -> list[str]:
    """Sentences on what was drawn: a missing part, a structure cut by the edge of the image."""
    warnings = [f"No voxel was found of: {spec.name}." for spec in SEGMENTS if not np.any(labels == spec.label)]
    edges = [labels.take(index, axis=axis) for axis in range(3) for index in (0, -1)]
    if any(edge.any() for edge in edges):
        warnings.append("The hippocampus reaches the edge of the image: it may be cut, and its volume too small.")
    return warnings


def side_of(labels: LabelArray, volume: Volume) -> SideVerdict:
    """Side by attribute or by the position of the drawn structure; see :mod:`models.laterality`."""
    k, r, c = (float(value) for value in np.argwhere(labels > 0).mean(axis=0))
    return tell_side(volume.attributes, volume.geometry, (k, r, c))


def load(folder: Path, device: str = "auto") -> HippocampusModel:
    """Load the model from a folder of weights, as :func:`models.shipped.restore` does; the catalogue's factory."""
    network, card, chosen = restore(build_unet(NETWORK), folder, device)
    return HippocampusModel(network, card, chosen)
