"""Pneumonia in frontal chest radiographs of young children: a small ensemble that sees 28 x 28 pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from models import calibrated
from models.calibrated import Operating
from models.codes import NO_UNITS, PROBABILITY
from models.contracts import (
    Finding,
    FloatArray,
    InputDeclined,
    Measurement,
    ModelCard,
    Prediction,
    Radiograph,
    Source,
)
from models.imaging.chest_xray.network import WIDTHS, Ensemble
from models.imaging.chest_xray.picture import Picture
from models.imaging.chest_xray.reading import Batch, activation, activation_map, read
from models.imaging.chest_xray.scope import Limits, Scope, read_limits, reason
from models.imaging.chest_xray.terms import ADULT_YEARS, PNEUMONIA, TRAINED_YEARS
from models.shipped import ShippedBatch, restore

MEMBERS = 5
BATCH = 16
INTERVAL = "range of the networks of the ensemble, calibrated as their mean is"

Tensor = torch.Tensor


class PneumoniaNetwork(nn.Module):
    """The members that answer, and the scope that says whether they should."""

    def __init__(self, members: int = MEMBERS, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.ensemble = Ensemble(members, widths)
        self.scope = Scope(widths)


def read_operating(metrics: Mapping[str, Any]) -> Operating:
    """Calibration and threshold that a card names; :class:`~models.contracts.WeightsError` where it does not."""
    return calibrated.read_operating({**metrics.get("calibration", {}), "threshold": metrics.get("threshold")})


class PneumoniaModel(ShippedBatch):
    """The model of the catalogue; made by :func:`load`.

    Parameters
    ----------
    network
        With its weights, on ``device``.
    card
        Names requirements, and in ``metrics`` ``calibration``, ``threshold`` and ``scope_limits``.
    """

    batch = BATCH

    def __init__(self, network: PneumoniaNetwork, card: ModelCard, device: torch.device) -> None:
        self._network = network.eval()
        super().__init__(card, device)
        self._operating = read_operating(card.metrics)
        self._limits: Limits = read_limits(card.metrics)

    def check(self, source: Source) -> None:
        """Raise :class:`~models.contracts.InputDeclined`, with the reason, for what is unsuitable or out of scope."""
        self._within([source])

    def predict_many(self, sources: Sequence[Source]) -> list[Prediction]:
        """Answer several radiographs at once.

        Returns
        -------
        list of Prediction
            One finding, ``present`` at or above the threshold, with the calibrated probability and the range of the
            members; a map of where they looked; scores ``probability``, ``spread`` (width of the range) and
            ``out_of_scope`` (share of the limit, 1 at most).

        Raises
        ------
        InputDeclined
            If :meth:`check` does for one of them.
        """
        if not sources:
            return []
        batch, shares = self._within(sources)
        with torch.inference_mode():
            logits = self._network.ensemble(batch.tensor).float().cpu().numpy()
        looked = activation(self._network.ensemble, batch.tensor)
        return [
            self._prediction(radiograph, picture, row, where, float(share))
            for radiograph, picture, row, where, share in zip(
                batch.radiographs, batch.pictures, logits, looked, shares, strict=True
            )
        ]

    def _within(self, sources: Sequence[Source]) -> tuple[Batch, Tensor]:
        """Pictures of the sources, and the largest share of a limit of each; or the reason why not."""
        batch = read(sources, self._card, self._device)
        for radiograph in batch.radiographs:
            decline_adults(radiograph)
        with torch.inference_mode():
            shares = self._limits.ratio(self._network.scope(batch.tensor)).cpu()
        for row in shares:
            if (why := reason(row)) is not None:
                raise InputDeclined(why)
        return batch, shares.amax(1)

    def _prediction(
        self, radiograph: Radiograph, picture: Picture, logits: FloatArray, looked: Tensor, share: float
    ) -> Prediction:  # fmt: skip
        low, middle, high = (
            float(self._operating.probability(float(x))) for x in (logits.min(), logits.mean(), logits.max())
        )
        return Prediction(
            findings=(make_finding(middle, (low, high), self._operating.threshold, len(logits)),),
            warnings=tuple(age_warnings(radiograph)),
            maps=activation_map("gradcam-pneumonia", "Where the networks looked for pneumonia", looked, picture),
            scores={"probability": middle, "spread": high - low, "out_of_scope": share},
        )


def make_finding(probability: float, limits: tuple[float, float], threshold: float, members: int) -> Finding:
    """State the answer with its probability."""
    present = probability >= threshold
    low, high = limits
    measured = Measurement(PROBABILITY, probability, NO_UNITS, lower=low, upper=high, method=INTERVAL)
    return Finding(
        label="pneumonia",
        code=PNEUMONIA,
        measurements=(measured,),
        confidence=probability,
        text=f"Pneumonia: probability {probability:.2f} ({members} networks: {low:.2f} to {high:.2f}), "
        f"{'at or above' if present else 'below'} the operating point of {threshold:.2f}.",
        present=present,
    )


def decline_adults(radiograph: Radiograph) -> None:
    """Raise :class:`~models.contracts.InputDeclined` where the record says that the patient is an adult."""
    age = radiograph.record.age_years
    if age is not None and age >= ADULT_YEARS:
        raise InputDeclined(
            f"The patient is an adult; this model was trained on children of {TRAINED_YEARS[0]} to {TRAINED_YEARS[1]} "
            "years only."
        )


def age_warnings(radiograph: Radiograph) -> list[str]:
    """Sentences on an age that the training set did not have, or that is not known."""
    age, (youngest, oldest) = radiograph.record.age_years, TRAINED_YEARS
    if age is None:
        return [
            f"The age of the patient is not known; the model was trained on children of {youngest} to {oldest} years."
        ]
    if youngest <= age < oldest + 1:
        return []
    return [f"The patient is not of the age that the model was trained on ({youngest} to {oldest} years)."]


def load(folder: Path, device: str = "auto") -> PneumoniaModel:
    """Load the model from a folder of weights, as :func:`models.shipped.restore` does; the catalogue's factory."""
    network, card, chosen = restore(PneumoniaNetwork(), folder, device)
    return PneumoniaModel(network, card, chosen)
