"""Figures of the heart sound model on labelled sounds, over all and by sub-database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.calibrated import Operating
from models.signals.filters import Array
from models.training.framework.calibration import fit_calibration
from models.training.framework.metrics import auc, best_threshold, binary_report, bootstrap
from models.training.heart_sound.fitting import Seen, macc


def truth_of(items: Sequence[Seen]) -> npt.NDArray[np.bool_]:
    """Whether each sound is abnormal."""
    return np.array([item.abnormal for item in items])


def fit_operating(logits: Array, items: Sequence[Seen]) -> Operating:
    """Calibrate on sounds that the networks had not heard, ``[sound]``; the threshold has the highest MAcc there."""
    truth = truth_of(items)
    line = fit_calibration(logits, truth)
    return Operating(line.slope, line.intercept, best_threshold(truth, line.apply(logits), "youden"))


def report(logits: Array, items: Sequence[Seen], operating: Operating) -> dict[str, Any]:
    """Report sounds: MAcc with its interval, the usual figures, and each sub-database by itself."""
    truth, probability = truth_of(items), operating.probability(logits)
    called = probability >= operating.threshold
    score = bootstrap(lambda index: macc(truth[index], called[index]), [item.case for item in items])
    return {
        "macc": score,
        **binary_report(truth, probability, operating.threshold),
        "by_database": by_database(logits, items, called),
    }


#: The sub-database whose recordings are mostly normal.
MOSTLY_NORMAL = "e"


def database_alone(items: Sequence[Seen]) -> dict[str, float | None]:
    """MAcc of a rule that hears nothing and looks at the sub-database: abnormal unless :data:`MOSTLY_NORMAL`."""
    truth, called = truth_of(items), np.array([item.database != MOSTLY_NORMAL for item in items])
    return bootstrap(lambda index: macc(truth[index], called[index]), [item.case for item in items])


def by_database(logits: Array, items: Sequence[Seen], called: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Numbers of sounds, sensitivity, specificity and AUC in each sub-database; None where they are not defined."""
    truth, databases = truth_of(items), np.array([item.database for item in items])
    found = {}
    for name in sorted(set(databases)):
        inside = databases == name
        sick, well = inside & truth, inside & ~truth
        both = bool(sick.any() and well.any())
        found[str(name)] = {
            "abnormal": int(sick.sum()),
            "normal": int(well.sum()),
            "sensitivity": round(float(called[sick].mean()), 4) if sick.any() else None,
            "specificity": round(float((~called[well]).mean()), 4) if well.any() else None,
            "auc": round(auc(truth[inside], logits[inside]), 4) if both else None,
        }
    return found
