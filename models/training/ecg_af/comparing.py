"""Networks, trees and regressions on single leads, compared on the thirds of the training part.

The numbers that trees and regressions read are those of a whole strip here; the shipped forests read windows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track

from models import catalog
from models.shipped import restore
from models.signals.ecg.forest import CLASSES, LEAST_LIKELY
from models.signals.ecg.intervals import NAMES
from models.signals.ecg.model import RhythmEnsemble
from models.signals.ecg.network import FIBRILLATION
from models.signals.ecg.reading import WINDOW, fibrillation_logit, windows_of
from models.signals.filters import Array
from models.training.ecg_af.card import NAME
from models.training.ecg_af.data import NOISE, Strip
from models.training.ecg_af.fitting import challenge_f1, probabilities
from models.training.ecg_af.growing import AVERAGED
from models.training.ecg_af.training import Parts, in_folds, load_data, networks_of, out_of_fold
from models.training.framework import comparing
from models.training.framework.fit import TrainingError
from models.training.framework.metrics import auc, bootstrap


@dataclass(frozen=True, eq=False)
class Described:
    """A strip as the numbers of all of it: those that the networks get, then the details."""

    label: int
    numbers: npt.NDArray[np.float32]


def described(strip: Strip) -> Described:
    """Describe a strip as one window."""
    (window,) = windows_of(strip.samples, strip.beats, strip.samples.shape[-1])
    return Described(strip.label, window.described)


def _extra_trees(seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(200, random_state=seed, **AVERAGED)


def _boosted_trees(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=150,
        learning_rate=0.05,
        max_leaf_nodes=8,
        min_samples_leaf=10,
        max_features=0.15,
        random_state=seed,
    )


def _logistic_regression(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, random_state=seed))


@dataclass(frozen=True, slots=True)
class Method:
    """A classifier of scikit-learn, how many of the numbers it reads (None for all), and what its seed is moved by."""

    make: Callable[[int], Any]
    numbers: int | None = None
    seed: int = 0


_FEW = len(NAMES)
METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "extra_trees_few_numbers": Method(_extra_trees, _FEW),
        "boosted_trees_few_numbers": Method(_boosted_trees, _FEW),
        "logistic_regression_few_numbers": Method(_logistic_regression, _FEW),
        "extra_trees": Method(_extra_trees),
        "boosted_trees": Method(_boosted_trees),
        "logistic_regression": Method(_logistic_regression),
        "extra_trees_other_seed": Method(_extra_trees, seed=1),
        "boosted_trees_other_seed": Method(_boosted_trees, seed=1),
    }
)

#: Ways whose log probabilities are averaged.
TOGETHER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "networks_and_trees": ("networks", "extra_trees", "boosted_trees"),
        "networks_and_trees_other_seed": ("networks", "extra_trees_other_seed", "boosted_trees_other_seed"),
        "networks_trees_and_regression": ("networks", "extra_trees", "boosted_trees", "logistic_regression"),
    }
)


def log_probabilities(method: Method, seed: int, fit_on: Sequence[Described], judge_on: Sequence[Described]) -> Array:
    """Fit on some strips, which are of all classes, and answer others, ``[n, class]``."""
    try:
        made = method.make(seed + method.seed)
    except ImportError as error:
        raise TrainingError("comparing needs scikit-learn: pip install 'overread[train]'") from error
    made.fit(np.stack([one.numbers[: method.numbers] for one in fit_on]), [one.label for one in fit_on])
    if list(made.classes_) != list(range(CLASSES)):
        raise TrainingError(f"every part needs strips of all {CLASSES} classes and of no other")
    return as_logs(made.predict_proba(np.stack([one.numbers[: method.numbers] for one in judge_on])))


def as_logs(found: Array) -> Array:
    """Logarithms of probabilities, none of which is less likely than a member's part may say."""
    return np.log(np.maximum(found, LEAST_LIKELY))


def judged(truth: Array, logs: Array) -> dict[str, Any]:
    """Judge log probabilities ``[n, class]``.

    Returns
    -------
    dict
        ``challenge_f1``, with its interval; ``log_loss`` of the four classes; ``fibrillation_auc``, of fibrillation
        against the two other rhythms, over strips that are not noise.
    """
    likely = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    called, readable = likely.argmax(axis=1), truth != NOISE
    score = bootstrap(lambda index: challenge_f1(truth[index], called[index]), np.arange(truth.size))
    loss = -np.log(likely[np.arange(truth.size), truth]).mean()
    told = auc(truth[readable] == FIBRILLATION, fibrillation_logit(logs[readable]))
    return {"challenge_f1": score, "log_loss": round(float(loss), 4), "fibrillation_auc": round(told, 4)}


def compare(
    data: Path, *, seed: int = 0, epochs: int | None = None, device: str = "auto", progress: bool = True
) -> dict[str, Any]:
    """Compare :data:`METHODS`, the shipped networks and members, and means of them, by records that none had seen.

    Parameters
    ----------
    data
        As for :func:`models.training.ecg_af.train`.
    seed
        Added to the seeds of the trees.
    epochs
        Taken for the sake of the interface: the networks are those that ship.
    """
    strips = load_data(data).single
    parts = in_folds(strips)
    numbers = {strip.case: described(strip) for strip in track(strips, "strips", disable=not progress)}
    rounds = [
        ([numbers[one.case] for one in fit_on], [numbers[one.case] for one in judge_on]) for fit_on, judge_on in parts
    ]
    ways = {
        name: partial(comparing.out_of_fold, rounds, partial(log_probabilities, method, seed))
        for name, method in METHODS.items()
    }
    found = shipped(parts, device) | comparing.each(ways, progress=progress)
    found |= {name: np.mean([found[part] for part in some], axis=0) for name, some in TOGETHER.items()}
    truth = np.array([one.label for one in comparing.judged_cases(rounds)])
    return {"model": NAME, "n": int(truth.size), **{name: judged(truth, logs) for name, logs in found.items()}}


def shipped(parts: Parts, device: str) -> dict[str, Array]:
    """Log probabilities by the networks that ship, and by these with their forests, fold after fold."""
    ensemble, _, chosen = restore(RhythmEnsemble(), catalog.weights_folder(NAME), device)
    strips = comparing.judged_cases(parts)
    by = {"networks": networks_of(ensemble), "members_as_shipped": list(ensemble.single)}
    return {
        name: as_logs(probabilities(out_of_fold(networks, parts, strips, WINDOW, chosen)))
        for name, networks in by.items()
    }
