"""Fitting the heads of the late fusion, and judging them by cross-validation over patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.imaging.chest_xray.heads import Heads
from models.imaging.chest_xray.labs import LABS, as_logs
from models.training.chest_xray_severity.logistic import decide, fit_logistic
from models.training.framework.division import folds

Floats = npt.NDArray[np.float64]

#: Priors of the weights: the hundreds of features of the image together, and the few values of the laboratory each, may
#: move the log-odds by about 1. That of the image was chosen of 0.3, 0.1 and 0.03 by cross-validation.
IMAGE_PRIOR = 0.03
LABS_PRIOR = 1.0
FUSION_PRIOR = 1.0

FOLDS = 5

#: Divisions into folds over which a case's log-odds are averaged: those of one alone hang on chance.
REPEATS = 5

#: Narrowest spread that a laboratory value's logarithm is divided by.
LEAST_SPREAD = 0.1


@dataclass(frozen=True, eq=False)
class Table:
    """Cases as numbers.

    Parameters
    ----------
    patients
        ``[n]``, by which cases are divided and resampled.
    features
        ``[n, channel]`` of the trunks.
    labs
        Of each case, by key.
    truth
        ``[n]`` 0 or 1.
    """

    patients: tuple[str, ...]
    features: Floats
    labs: tuple[Mapping[str, float], ...]
    truth: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Give the number of cases."""
        return len(self.patients)

    def picked(self, places: Sequence[int] | npt.NDArray[Any]) -> Table:
        """Those at some places; one may come twice."""
        where = np.asarray(places, dtype=np.int64)
        some = (tuple(self.patients[i] for i in where), self.features[where], tuple(self.labs[i] for i in where))
        return Table(*some, self.truth[where])


@dataclass(frozen=True, eq=False)
class Fit:
    """Heads as numbers: weights, the intercept last, over features as they are and standardised logarithms."""

    image: Floats
    labs: Floats
    both: Floats
    alone: Floats
    lone_labs: Floats

    def logits(self, table: Table, usual: Floats, spread: Floats) -> dict[str, Floats]:
        """Calibrated log-odds by what they rest on; ``both`` is of the image alone where there is no value."""
        labs = standard_labs(table, usual, spread)
        image, record = decide(table.features, self.image), decide(labs, self.labs)
        known = has_labs(table)
        alone = decide(image[:, None], self.alone)
        both = decide(np.column_stack([image, record]), self.both)
        return {
            "image": alone,
            "labs": decide(record[:, None], self.lone_labs),
            "both": np.where(known, both, alone),
        }


def usual_labs(table: Table) -> tuple[Floats, Floats]:
    """Median and standard deviation of the logarithm of each laboratory value over the cases that have it."""
    logs = [np.log1p([values[lab.key] for values in table.labs if lab.key in values]) for lab in LABS]
    usual = np.array([np.median(one) if one.size else 0.0 for one in logs])
    spread = np.array([max(float(one.std()), LEAST_SPREAD) if one.size > 1 else 1.0 for one in logs])
    return usual, spread


def has_labs(table: Table) -> npt.NDArray[np.bool_]:
    """Whether each case has any laboratory value, ``[n]``."""
    return np.array([bool(values) for values in table.labs])


def standard_labs(table: Table, usual: Floats, spread: Floats) -> Floats:
    """``[n, lab]``, 0 where missing."""
    rows = [as_logs(values, usual.tolist(), spread.tolist()) for values in table.labs]
    return np.array(rows, dtype=np.float64).reshape(len(table), len(LABS))


def fit(table: Table, usual: Floats, spread: Floats, seed: int, image_prior: float = IMAGE_PRIOR) -> Fit:
    """Fit both heads on all cases, and the lines over them on what each says of patients that it was not fitted on.

    As in :func:`out_of_fold`, what each says is freed of how frequent the outcome is among the cases of its fit.
    """
    inner_image, inner_labs = np.zeros(len(table)), np.zeros(len(table))
    known = has_labs(table)
    every, every_known = base_rate(table.truth), base_rate(table.truth[known])
    for train, test in by_patient(table, seed):
        some, others = table.picked(train), table.picked(test)
        image, labs = _heads(some, usual, spread, image_prior)
        inner_image[test] = decide(others.features, image) - base_rate(some.truth) + every
        inner_labs[test] = decide(standard_labs(others, usual, spread), labs)
        inner_labs[test] += every_known - base_rate(some.truth[has_labs(some)])
    image, labs = _heads(table, usual, spread, image_prior)
    together = np.column_stack([inner_image, inner_labs])
    return Fit(
        image=image,
        labs=labs,
        both=_line(together[known], table.truth[known]),
        alone=_line(inner_image[:, None], table.truth),
        lone_labs=_line(inner_labs[known][:, None], table.truth[known]),
    )


def by_patient(table: Table, seed: int) -> list[tuple[list[int], list[int]]]:
    """Places of the cases to fit on and to judge by, of each fold; no patient is in both."""
    names = [f"{place:04d}" for place in range(len(table))]
    patient = dict(zip(names, table.patients, strict=True))
    outcome = dict(zip(names, table.truth.tolist(), strict=True))
    divided = folds(names, patient.__getitem__, seed, FOLDS, stratum_of=lambda name: str(outcome[name]))
    return [([int(name) for name in train], [int(name) for name in test]) for train, test in divided if test]


def out_of_fold(table: Table, seed: int, image_prior: float = IMAGE_PRIOR) -> dict[str, Floats]:
    """Log-odds of each case by fits that saw no picture of its patient; everything is fitted anew in each fold.

    The mean of :data:`REPEATS` divisions into folds. What a fit takes from how frequent the outcome is among its own
    cases is replaced by its frequency among all: leaving out a severe case makes the rest less severe, so that cases of
    different folds, put together, would look as if they were told the wrong way round.
    """
    every = base_rate(table.truth)
    found: dict[str, Floats] = {name: np.zeros(len(table)) for name in ("image", "labs", "both")}
    for repeat in range(REPEATS):
        for train, test in by_patient(table, seed + repeat):
            some = table.picked(train)
            usual, spread = usual_labs(some)
            fitted = fit(some, usual, spread, seed + repeat + REPEATS, image_prior)
            said = fitted.logits(table.picked(test), usual, spread)
            for name, values in said.items():
                found[name][test] += (values - base_rate(some.truth) + every) / REPEATS
    return found


def base_rate(truth: npt.NDArray[np.int64]) -> float:
    """Log-odds of the outcome among some cases, with half a case added to both sides."""
    severe = float(truth.sum())
    return float(np.log((severe + 0.5) / (len(truth) - severe + 0.5)))


def resampled(table: Table, seed: int, count: int) -> list[Table]:
    """Draw as many patients as there are, with replacement; drawings that lack an outcome are drawn again."""
    rng = np.random.default_rng(seed)
    names = sorted(set(table.patients))
    places = {name: [i for i, patient in enumerate(table.patients) if patient == name] for name in names}
    found: list[Table] = []
    while len(found) < count:
        drawn = [place for i in rng.integers(0, len(names), len(names)) for place in places[names[i]]]
        some = table.picked(drawn)
        known = has_labs(some)
        if min(np.bincount(some.truth[known], minlength=2)) >= 2:
            found.append(some)
    return found


def fill(heads: Heads, fits: Sequence[Fit], usual: Floats, spread: Floats) -> None:
    """Put fits into the network: the first is the answer."""
    with torch.no_grad():
        heads.usual.copy_(torch.from_numpy(usual))
        heads.spread.copy_(torch.from_numpy(spread))
        for name in ("image", "labs", "both", "alone"):
            getattr(heads, name).copy_(torch.from_numpy(np.stack([getattr(one, name) for one in fits])))


def _heads(table: Table, usual: Floats, spread: Floats, image_prior: float) -> tuple[Floats, Floats]:
    """Heads of the image and of the laboratory values; the image's is fitted on standardised features."""
    mean, width = table.features.mean(0), table.features.std(0) + 1e-3
    raw = fit_logistic((table.features - mean) / width, table.truth, image_prior)
    image = np.append(raw[:-1] / width, raw[-1] - np.sum(raw[:-1] * mean / width))
    known = has_labs(table)
    labs = fit_logistic(standard_labs(table, usual, spread)[known], table.truth[known], LABS_PRIOR)
    return image, labs


def _line(logits: Floats, truth: npt.NDArray[np.int64]) -> Floats:
    return fit_logistic(logits, truth, FUSION_PRIOR, rising=True)
