"""Figures of the rhythm model on labelled strips, from the logits of its networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models.calibrated import Operating
from models.signals.ecg.network import FIBRILLATION
from models.signals.ecg.reading import fibrillation_logit
from models.signals.filters import Array
from models.training.ecg_af.data import NOISE, Strip
from models.training.ecg_af.fitting import challenge_f1, probabilities
from models.training.framework.calibration import fit_calibration
from models.training.framework.metrics import best_threshold, binary_report, bootstrap, multiclass_report

CLASS_NAMES = ("normal", "fibrillation", "other", "noise")

#: A strip is declined as noise from this probability on.
NOISE_THRESHOLD = 0.5


def readable(strips: Sequence[Strip]) -> npt.NDArray[np.intp]:
    """Places of the strips that are not noise."""
    return np.flatnonzero([strip.label != NOISE for strip in strips])


def fit_operating(logits: Array, strips: Sequence[Strip]) -> Operating:
    """Calibrate on strips that the networks had not seen; the threshold has the highest F1 there.

    Parameters
    ----------
    logits
        ``[strip, 4]``.
    """
    kept = readable(strips)
    logit = fibrillation_logit(logits[kept])
    truth = np.array([strips[at].label == FIBRILLATION for at in kept])
    line = fit_calibration(logit, truth)
    return Operating(line.slope, line.intercept, best_threshold(truth, line.apply(logit), "f1"))


def fibrillation_report(logits: Array, strips: Sequence[Strip], operating: Operating) -> dict[str, Any]:
    """Report fibrillation against everything else that can be read; ``[strip, 4]``, intervals over patients."""
    kept = readable(strips)
    probability = operating.probability(fibrillation_logit(logits[kept]))
    truth = [int(strips[at].label == FIBRILLATION) for at in kept]
    groups = [strips[at].group for at in kept]
    return binary_report(truth, probability, operating.threshold, groups=groups)


def rhythm_report(logits: Array, strips: Sequence[Strip]) -> dict[str, Any]:
    """Report the four classes of CinC 2017, and the challenge's score: mean F1 of normal, fibrillation and other."""
    found = probabilities(logits)
    truth = np.array([strip.label for strip in strips])
    called = found.argmax(axis=1)
    score = bootstrap(lambda index: challenge_f1(truth[index], called[index]), [strip.group for strip in strips])
    return {"challenge_f1": score, **multiclass_report(truth, found, CLASS_NAMES)}
