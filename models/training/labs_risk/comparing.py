"""Logistic regressions on summaries of stays, compared in the folds of the training part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.labs import networks
from models.labs.networks import KNEE, LARGEST_Z, LEVELS, Summarist
from models.labs.variables import VARIABLES
from models.labs.window import statics, summaries
from models.training.framework.comparing import each, judged_cases, out_of_fold
from models.training.framework.metrics import auc, bootstrap
from models.training.labs_risk.card import NAME
from models.training.labs_risk.data import Stay, in_folds, read_stays, split_stays
from models.training.labs_risk.members import LINEAR_C, logistic_regression
from models.training.labs_risk.stays import standardise_summaries

Tensor = torch.Tensor
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a regression reads, and how strongly its weights are held to 0.

    Parameters
    ----------
    cut
        Whether values are cut at :data:`~models.labs.networks.LARGEST_Z` standard deviations.
    bends
        Whether each level has an additional slope to either side of the median.
    counts
        Whether the logarithm of how often each variable was measured is read too.
    inverse_penalty
        C of scikit-learn.
    """

    cut: bool = True
    bends: bool = True
    counts: bool = False
    inverse_penalty: float = LINEAR_C


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "as_shipped": Recipe(),
        "plain": Recipe(cut=False, bends=False),
        "cut": Recipe(bends=False),
        "with_counts": Recipe(counts=True),
        "C=0.0003": Recipe(inverse_penalty=0.0003),
        "C=0.001": Recipe(inverse_penalty=0.001),
        "C=0.01": Recipe(inverse_penalty=0.01),
    }
)


@dataclass(frozen=True, eq=False)
class Row:
    """A stay as numbers: summaries ``[summary, variable]``, statics ``[3]``, counts ``[variable]``."""

    case: str
    summaries: npt.NDArray[np.float32]
    statics: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int64]
    died: bool


def row_of(stay: Stay) -> Row:
    """Summarise a stay."""
    window = stay.window
    counts = np.bincount(window.variable, minlength=len(VARIABLES))
    return Row(stay.case, summaries(window), statics(window), counts, stay.died)


def columns(recipe: Recipe, summarist: Summarist, rows: Sequence[Row]) -> Tensor:
    """``[n, columns]``; with the default recipe those of :meth:`models.labs.networks.Summarist.features`."""
    found = torch.from_numpy(np.stack([row.summaries for row in rows]))
    largest, there = LARGEST_Z if recipe.cut else float("inf"), found[:, -1]
    levels = ((found[:, :LEVELS] - summarist.centre) / summarist.spread).clamp(-largest, largest) * there[:, None]
    parts = [levels.flatten(1)]
    if recipe.bends:
        parts += [torch.relu(sign * levels - KNEE).flatten(1) for sign in (1, -1)]
    parts += [(found[:, LEVELS] / summarist.trend_spread).clamp(-largest, largest), there]
    if recipe.counts:
        parts.append(torch.from_numpy(np.log1p(np.stack([row.counts for row in rows]))).float())
    return torch.cat([*parts, torch.from_numpy(np.stack([row.statics for row in rows]))], dim=1)


def probabilities(recipe: Recipe, fit_on: Sequence[Row], judge_on: Sequence[Row]) -> Floats:
    """Fit a regression on some rows and give the probabilities of others."""
    summarist = Summarist()
    standardise_summaries(summarist, torch.from_numpy(np.stack([row.summaries for row in fit_on])))
    method = logistic_regression(
        columns(recipe, summarist, fit_on).numpy(), [row.died for row in fit_on], recipe.inverse_penalty
    )
    return np.asarray(method.predict_proba(columns(recipe, summarist, judge_on).numpy())[:, 1], dtype=np.float64)


def compare(
    data: Path, *, seed: int = 0, epochs: int | None = None, device: str = "auto", progress: bool = True
) -> dict[str, Any]:
    """Compare :data:`RECIPES` in the folds that the members are trained in.

    Parameters
    ----------
    data
        As for :func:`models.training.labs_risk.train`.
    seed
        Of the bootstrap; folds and regressions have nothing random.
    epochs, device
        Taken for the sake of the interface: nothing is trained by epochs here.
    """
    stays = read_stays(data)
    train = split_stays(stays).train
    rows = {case: row_of(stays[case]) for case in train}
    rounds = [
        ([rows[stay.case] for stay in fit_on], [rows[stay.case] for stay in judge_on])
        for fit_on, judge_on in in_folds(stays, train, networks.SHAPE.members)
    ]
    truth = np.array([row.died for row in judged_cases(rounds)])

    def measured(recipe: Recipe) -> dict[str, float | None]:
        found = out_of_fold(rounds, partial(probabilities, recipe))
        return bootstrap(lambda index: auc(truth[index], found[index]), np.arange(truth.size), seed)

    ways = {name: partial(measured, recipe) for name, recipe in RECIPES.items()}
    return {
        "model": NAME,
        "n": int(truth.size),
        "positives": int(truth.sum()),
        "folds": len(rounds),
        "auc": each(ways, progress=progress),
    }
