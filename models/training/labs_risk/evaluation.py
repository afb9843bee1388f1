"""The report of a part of the stays: the model, its parts, the baselines, and records with fewer values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit

from models.labs.networks import RiskNetwork
from models.labs.risk import interval
from models.labs.tensors import tensors_of
from models.labs.variables import VARIABLES
from models.labs.window import Window
from models.training.framework.calibration import Calibration
from models.training.framework.metrics import binary_report, bootstrap
from models.training.labs_risk.data import Stay

Floats = npt.NDArray[np.float64]

#: Resamples of the bootstrap.
RESAMPLES = 1000

#: Variables that wards do not chart as intensive care does; the rest are what a laboratory reports.
BEDSIDE = frozenset(
    {
        "heart_rate",
        "systolic",
        "diastolic",
        "mean_pressure",
        "temperature",
        "respiratory_rate",
        "coma_scale",
        "urine",
        "inhaled_oxygen",
    }
)
_BEDSIDE = np.array([variable.key in BEDSIDE for variable in VARIABLES])


def laboratory_only(window: Window) -> Window:
    """Give the window without what is charted at the bedside."""
    return window.only(~_BEDSIDE[window.variable])


def without_intensive_care(window: Window) -> Window:
    """Give the window without coma scale, urine output and inhaled oxygen."""
    rare = {"coma_scale", "urine", "inhaled_oxygen"}
    return window.only(~np.array([variable.key in rare for variable in VARIABLES])[window.variable])


def thinned(window: Window, most: int = 8) -> Window:
    """Give the window with at most the last ``most`` values of each variable."""
    later = np.zeros(len(VARIABLES), dtype=np.int64)
    keep = np.zeros(window.variable.size, dtype=np.bool_)
    for index in range(window.variable.size - 1, -1, -1):
        number = window.variable[index]
        keep[index] = later[number] < most
        later[number] += 1
    return window.only(keep)


REDUCED: Mapping[str, Callable[[Window], Window]] = MappingProxyType(
    {
        "eight_values_each": thinned,
        "without_coma_scale_urine_oxygen": without_intensive_care,
        "laboratory_only": laboratory_only,
    }
)


def logits_of(network: RiskNetwork, windows: Sequence[Window]) -> dict[str, Floats]:
    """Give logits ``[n, members]`` of the ``whole`` members, and of their ``recurrent`` and ``linear`` parts."""
    batch = tensors_of(windows)
    with torch.inference_mode():
        recurrent = torch.stack([member.sequence(batch)["logit"] for member in network.each()], dim=1)
        linear = torch.stack(
            [member.summarist(batch["summaries"], batch["statics"]) for member in network.each()], dim=1
        )
    parts = {"whole": (recurrent + linear) / 2, "recurrent": recurrent, "linear": linear}
    return {name: np.asarray(value.double().numpy()) for name, value in parts.items()}


def challenge_score(truth: npt.NDArray[np.bool_], probability: Floats, threshold: float) -> dict[str, float | None]:
    """Least of sensitivity and precision at a threshold, event 1 of the challenge, with its interval."""

    def measure(index: npt.NDArray[np.int64]) -> float:
        called, true = probability[index] >= threshold, truth[index]
        hits = float((called & true).sum())
        return min(hits / max(1.0, float(true.sum())), hits / max(1.0, float(called.sum())))

    return bootstrap(measure, np.arange(truth.size), resamples=RESAMPLES)


def full_report(truth: npt.NDArray[np.bool_], probability: Floats, threshold: float) -> dict[str, Any]:
    """Figures of :func:`~models.training.framework.metrics.binary_report` with the challenge's score."""
    report = binary_report(truth, probability, threshold, resamples=RESAMPLES)
    return {**report, "min_se_ppv": challenge_score(truth, probability, threshold)}


def report_network(
    network: RiskNetwork, stays: Sequence[Stay], calibration: Calibration, threshold: float
) -> dict[str, Any]:
    """Report the ensemble on stays that no member was trained on.

    Returns
    -------
    dict
        The figures, and beside them ``parts`` (AUC of the recurrent and of the linear part alone), ``reduced`` (AUC and
        calibration of records with fewer values) and ``interval_width`` (mean of upper minus lower).
    """
    truth = np.array([stay.died for stay in stays])
    logits = logits_of(network, [stay.window for stay in stays])
    calibrated = calibration.logit(logits["whole"])
    bounds = expit(np.array([interval(row) for row in calibrated]))
    reduced = {}
    for name, reduce in REDUCED.items():
        fewer = calibration.apply(logits_of(network, [reduce(stay.window) for stay in stays])["whole"].mean(axis=1))
        found = binary_report(truth, fewer, threshold, resamples=RESAMPLES)
        reduced[name] = {key: found[key] for key in ("auc", "average_precision", "brier", "ece")}
    parts = {
        name: binary_report(truth, expit(logits[name].mean(axis=1)), 0.5, resamples=RESAMPLES)["auc"]
        for name in ("recurrent", "linear")
    }
    return {
        **full_report(truth, bounds[:, 0], threshold),
        "parts": parts,
        "reduced": reduced,
        "interval_width": round(float((bounds[:, 2] - bounds[:, 1]).mean()), 4),
    }
