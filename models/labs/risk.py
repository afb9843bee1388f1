"""Risk of death in hospital from the last 48 hours of laboratory values and vital signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit
from scipy.stats import t as student

from models.checks import check_record
from models.codes import NO_UNITS, PROBABILITY
from models.contracts import (
    Finding,
    InputDeclined,
    Measurement,
    ModelCard,
    Prediction,
    Record,
    Source,
    WeightsError,
    expect,
)
from models.labs.explain import changes, contributions
from models.labs.networks import RiskNetwork
from models.labs.tensors import tensors_of
from models.labs.terms import DEATH_RISK, LABEL, MIN_VALUES, MIN_VARIABLES, YOUNGEST_YEARS
from models.labs.variables import VARIABLES
from models.labs.window import HOURS, Window, read_record
from models.shipped import ShippedBatch, restore

BATCH = 64
CONFIDENCE = 0.95
METHOD = "delete-a-group jackknife over the networks of the ensemble"
_NEEDED = ("slope", "intercept", "threshold", "surprise_warned", "surprise_declined")

#: With fewer variables than this part of all the answer rests on little; nine of ten training records have more.
FEW_VARIABLES = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """Calibrated probability, its interval, and how surprising the values are."""

    probability: float
    lower: float
    upper: float
    surprise: float


def interval(logits: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of the members' logits and the interval that the choice of the training patients leaves open.

    Each member was trained without one group of the patients: the delete-a-group jackknife, its variance
    ``(k - 1) / k`` times the squared distances from the mean, with the t distribution of ``k - 1`` degrees of freedom
    (Kott, J Off Stat 2001;17:521). The members' random numbers widen it.

    Parameters
    ----------
    logits
        ``[members]``, calibrated.
    """
    count, middle = logits.size, float(logits.mean())
    if count < 2:
        return middle, middle, middle
    error = float(np.sqrt((count - 1) / count * ((logits - middle) ** 2).sum()))
    half = float(student.ppf((1 + CONFIDENCE) / 2, count - 1)) * error
    return middle, middle - half, middle + half


class RiskModel(ShippedBatch):
    """The model of the catalogue; made by :func:`load`.

    Parameters
    ----------
    network
        With its weights, on ``device``.
    card
        Names in ``metrics`` the calibration (``slope``, ``intercept``), the ``threshold``, and the limits of surprise.
    """

    batch = BATCH

    def __init__(self, network: RiskNetwork, card: ModelCard, device: torch.device) -> None:
        missing = [name for name in _NEEDED if name not in card.metrics]
        if missing:
            raise WeightsError(f"the model card must give {', '.join(missing)} in its metrics")
        super().__init__(card, device)
        self._network = network.eval()

    def check(self, source: Source) -> None:
        """Raise :class:`~models.contracts.InputDeclined`, with the reason, for a record that is unsuitable.

        Too young a patient, too few values, or values that do not go together as those of the training patients do.
        """
        window = self._window(source)
        self._fits(self._answers([window])[0])

    def predict_many(self, sources: Sequence[Source]) -> list[Prediction]:
        """Answer several records at once.

        Returns
        -------
        list of Prediction
            One finding, ``present`` at or above the threshold, with the probability and its interval; the contributions
            of the values; scores ``probability``, ``out_of_scope`` (surprise as a part of the limit) and ``variables``.
        """
        windows = [self._window(source) for source in sources]
        answers = self._answers(windows) if windows else []
        for answer in answers:
            self._fits(answer)
        return [self._prediction(window, answer) for window, answer in zip(windows, answers, strict=True)]

    def _window(self, source: Source) -> Window:
        record = expect(source, Record)
        window = read_record(check_record(record, self._card.requirements))
        if window.age_years < YOUNGEST_YEARS:
            raise InputDeclined(
                f"The patient is {window.age_years:.0f} years old; this model was made for patients from "
                f"{YOUNGEST_YEARS:.0f} years on."
            )
        kinds = np.unique(window.variable).size
        if window.value.size < MIN_VALUES or kinds < MIN_VARIABLES:
            raise InputDeclined(
                f"The record has {window.value.size} readable values of {kinds} kinds from the last {HOURS:.0f} hours "
                f"({window.unread} have an unknown unit or an impossible number); this model needs at least "
                f"{MIN_VALUES} of {MIN_VARIABLES} kinds."
            )
        return window

    def _answers(self, windows: Sequence[Window]) -> list[Answer]:
        metrics = self._card.metrics
        batch = tensors_of(windows, self._device)
        with torch.inference_mode():
            raw = self._network(batch).double().cpu().numpy()
            surprise = self._network.surprise(batch).cpu().tolist()
        logits = float(metrics["slope"]) * raw + float(metrics["intercept"])
        rows = [[float(x) for x in expit(interval(row))] for row in logits]
        return [Answer(row[0], row[1], row[2], value) for row, value in zip(rows, surprise, strict=True)]

    def _fits(self, answer: Answer) -> None:
        if answer.surprise > float(self._card.metrics["surprise_declined"]):
            raise InputDeclined(
                "The values of the record do not go together as those of the patients that this model was trained on: "
                "units or codes may be mistaken."
            )

    def _prediction(self, window: Window, answer: Answer) -> Prediction:
        metrics: Any = self._card.metrics
        with torch.inference_mode():
            moved = changes(self._network, tensors_of([window], self._device)).cpu().numpy()
        return Prediction(
            findings=(make_finding(answer, window, float(metrics["threshold"])),),
            warnings=tuple(warnings(answer, window, float(metrics["surprise_warned"]))),
            contributions=contributions(window, (float(metrics["slope"]) * moved).tolist()),
            scores={
                "probability": answer.probability,
                "out_of_scope": answer.surprise / float(metrics["surprise_declined"]),
                "variables": float(np.unique(window.variable).size),
            },
        )


def make_finding(answer: Answer, window: Window, threshold: float) -> Finding:
    """Make the finding: present where the probability is at least the threshold."""
    present = answer.probability >= threshold
    side = "at or above" if present else "below"
    kinds = np.unique(window.variable).size
    text = (
        f"Risk of death in this hospital stay {answer.probability:.0%} ({CONFIDENCE:.0%} interval {answer.lower:.0%} "
        f"to {answer.upper:.0%}), {side} the threshold of {threshold:.0%}; from {window.value.size} values of {kinds} "
        f"kinds of the last {HOURS:.0f} hours."
    )
    measurement = Measurement(PROBABILITY, answer.probability, NO_UNITS, answer.lower, answer.upper, CONFIDENCE, METHOD)
    return Finding(LABEL, DEATH_RISK, (measurement,), confidence=answer.probability, text=text, present=present)


def warnings(answer: Answer, window: Window, surprise_warned: float) -> list[str]:
    """Say what limits this one answer."""
    found = [
        "The model was trained on patients in intensive care; for others its probability is too uncertain to rely on."
    ]
    kinds = np.unique(window.variable).size
    if kinds < FEW_VARIABLES * len(VARIABLES):
        found.append(f"The record has {kinds} of the {len(VARIABLES)} kinds of values that the model reads.")
    if not np.isfinite(window.age_years):
        found.append("The patient's age is not known; the model took the usual one.")
    if window.unread:
        found.append(f"{window.unread} values have an unknown unit or an impossible number and were not read.")
    if answer.surprise > surprise_warned:
        found.append("The values go together less well than those of 99 of 100 patients of the training set.")
    return found


def load(folder: Path, device: str = "auto") -> RiskModel:
    """Load the model from a folder of weights, as :func:`models.shipped.restore` does; the catalogue's factory."""
    network, card, chosen = restore(RiskNetwork(), folder, device)
    return RiskModel(network, card, chosen)
