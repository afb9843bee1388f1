"""How good probabilities are, each figure with an interval by a bootstrap over patients.

Everything here is numpy; a case is called positive where its probability is at least the threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Array = npt.NDArray[Any]
Numbers = Sequence[float] | Array
Measure = Callable[[npt.NDArray[np.int64]], float]
"""Takes indices of cases, some of which may come twice, and gives a figure; not a number where it is not defined."""

DIGITS = 5


def _floats(values: Numbers) -> npt.NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _flags(truth: Numbers) -> npt.NDArray[np.bool_]:
    return np.asarray(truth).astype(bool)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def auc(truth: Numbers, score: Numbers) -> float:
    """Area under the receiver operating characteristic: Mann and Whitney's U by ranks, ties count a half.

    Not a number where there is one class only.
    """
    positive, ranks = _flags(truth), rankdata(_floats(score))
    n_positive = int(positive.sum())
    n_negative = positive.size - n_positive
    rank_sum = float(ranks[positive].sum())
    return _share(rank_sum - n_positive * (n_positive + 1) / 2, n_positive * n_negative)


def average_precision(truth: Numbers, score: Numbers) -> float:
    """Area under precision over recall as the sum of steps, without interpolation; not a number without positives."""
    positive, values = _flags(truth), _floats(score)
    order = np.argsort(-values, kind="stable")
    hits, ordered = np.cumsum(positive[order]), values[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), values.size - 1)
    precision, recalled = hits[last] / (last + 1), hits[last]
    return _share(float((precision * np.diff(recalled, prepend=0)).sum()), float(positive.sum()))


def ece(truth: Numbers, probability: Numbers, bins: int = 10) -> float:
    """Expected calibration error: mean distance of the observed share from the mean probability over bins.

    Bins are of equal width and weigh what they hold (Naeini et al., AAAI 2015; Guo et al., ICML 2017).
    """
    positive, values = _flags(truth), _floats(probability)
    index = np.minimum((values * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(index, weights=positive - values, minlength=bins)
    return float(np.abs(gaps).sum() / values.size)


def _confusion(truth: Array, called: Array) -> tuple[int, int, int, int]:
    """Give true negatives, false positives, false negatives and true positives."""
    tp = int(np.count_nonzero(truth & called))
    fp, fn = int(np.count_nonzero(called)) - tp, int(np.count_nonzero(truth)) - tp
    return truth.size - tp - fp - fn, fp, fn, tp


def _binary_figures(truth: Array, probability: Array, threshold: float) -> dict[str, float]:
    tn, fp, fn, tp = _confusion(truth, probability >= threshold)
    return {
        "auc": auc(truth, probability),
        "average_precision": average_precision(truth, probability),
        "accuracy": _share(tp + tn, truth.size),
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "specificity": _share(tn, tn + fp),
        "f1": _share(2 * tp, 2 * tp + fp + fn),
        "brier": float(np.mean((probability - truth) ** 2)),
        "ece": ece(truth, probability),
    }


def binary_report(
    truth: Numbers,
    probability: Numbers,
    threshold: float,
    *,
    groups: Sequence[object] | Array | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Report probabilities of one class.

    Parameters
    ----------
    truth
        ``[n]`` 0 or 1.
    probability
        ``[n]`` 0 to 1.
    threshold
        From where on a case is called positive; chosen elsewhere, never on these cases.
    groups
        ``[n]`` patient of each case; None where each case is a patient.

    Returns
    -------
    dict
        ``n``, ``positives``, ``threshold``, ``confusion`` (``[[tn, fp], [fn, tp]]``), and with ``value``, ``ci_low``
        and ``ci_high``: ``auc``, ``average_precision``, ``accuracy``, ``precision``, ``recall``, ``specificity``,
        ``f1``, ``brier`` and ``ece``.
    """
    positive, values = _flags(truth), _floats(probability)
    tn, fp, fn, tp = _confusion(positive, values >= threshold)
    figures = bootstrap_all(
        lambda index: _binary_figures(positive[index], values[index], threshold),
        np.arange(positive.size) if groups is None else groups,
        seed,
        resamples,
    )
    return {
        "n": int(positive.size),
        "positives": int(positive.sum()),
        "threshold": round(float(threshold), DIGITS),
        **figures,
        "confusion": [[tn, fp], [fn, tp]],
    }


def _class_figures(truth: Array, probabilities: Array, names: Sequence[str]) -> dict[str, float]:
    called = probabilities.argmax(axis=1)
    figures: dict[str, float] = {"accuracy": float(np.mean(truth == called))}
    for number, name in enumerate(names):
        _, fp, fn, tp = _confusion(truth == number, called == number)
        figures[f"{name}/precision"] = _share(tp, tp + fp)
        figures[f"{name}/recall"] = _share(tp, tp + fn)
        figures[f"{name}/f1"] = _share(2 * tp, 2 * tp + fp + fn)
        figures[f"{name}/auc"] = auc(truth == number, probabilities[:, number])
    scores = np.array([figures[f"{name}/f1"] for name in names])
    known = scores[np.isfinite(scores)]
    figures["macro_f1"] = float(known.mean()) if known.size else float("nan")
    return figures


def multiclass_report(
    truth: Numbers,
    probabilities: Array,
    names: Sequence[str],
    *,
    groups: Sequence[object] | Array | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Report probabilities of several classes that exclude each other.

    Parameters
    ----------
    truth
        ``[n]`` number of the class.
    probabilities
        ``[n, classes]``; the largest is what a case is called.
    names
        Of the classes.
    groups
        As for :func:`binary_report`.

    Returns
    -------
    dict
        ``n``, ``accuracy``, ``macro_f1`` (mean over classes), ``classes`` (by name: ``n``, ``precision``, ``recall``,
        ``f1``, and ``auc`` of the class against the rest) and ``confusion`` (row: truth, column: called).
    """
    true, values = np.asarray(truth).astype(np.int64), _floats(probabilities)
    if values.ndim != 2 or values.shape != (true.size, len(names)):
        raise ValueError(f"probabilities have the shape {values.shape}, {(true.size, len(names))} is expected")
    figures = bootstrap_all(
        lambda index: _class_figures(true[index], values[index], names),
        np.arange(true.size) if groups is None else groups,
        seed,
        resamples,
    )
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (true, values.argmax(axis=1)), 1)
    classes = {
        name: {
            "n": int(np.count_nonzero(true == number)),
            **{key: figures[f"{name}/{key}"] for key in ("precision", "recall", "f1", "auc")},
        }
        for number, name in enumerate(names)
    }
    return {
        "n": int(true.size),
        "accuracy": figures["accuracy"],
        "macro_f1": figures["macro_f1"],
        "classes": classes,
        "confusion": confusion.tolist(),
    }


def best_threshold(truth: Numbers, probability: Numbers, by: Literal["f1", "youden", "min_se_ppv"] = "f1") -> float:
    """Find the threshold with the highest F1, Youden's J, or least of sensitivity and precision.

    Midway between two neighbouring probabilities, so that it does not hang on one case; the lowest of equally good
    ones. Choose it on the validation part.

    Raises
    ------
    ValueError
        If there is one class only, or ``by`` is not known.
    """
    positive, values = _flags(truth), _floats(probability)
    total, negatives = int(positive.sum()), int((~positive).sum())
    if not total or not negatives:
        raise ValueError("a threshold cannot be chosen on cases of one class")
    steps, index = np.unique(values, return_inverse=True)
    tp = np.cumsum(np.bincount(index, weights=positive)[::-1])[::-1]
    fp = np.cumsum(np.bincount(index, weights=~positive)[::-1])[::-1]
    sensitivity, precision = tp / total, tp / (tp + fp)
    quality = {
        "f1": 2 * tp / (tp + fp + total),
        "youden": sensitivity - fp / negatives,
        "min_se_ppv": np.minimum(sensitivity, precision),
    }
    if by not in quality:
        raise ValueError(f"a threshold is chosen by {', '.join(quality)}, not by {by!r}")
    best = int(np.argmax(np.round(quality[by], 12)))
    return float(steps[best] if best == 0 else (steps[best - 1] + steps[best]) / 2)


def bootstrap(
    measure: Measure, groups: Sequence[object] | Array, seed: int = 0, resamples: int = 1000
) -> dict[str, float | None]:
    """Give a figure with its 95 % percentile bootstrap interval over groups.

    Parameters
    ----------
    measure
        See :data:`Measure`; called with all cases, and with those of as many groups as there are, drawn with
        replacement.
    groups
        ``[n]`` patient of each case.

    Returns
    -------
    dict
        ``value``, ``ci_low``, ``ci_high``; None where it is not defined.
    """
    return bootstrap_all(lambda index: {"it": measure(index)}, groups, seed, resamples)["it"]


def bootstrap_all(
    measures: Callable[[npt.NDArray[np.int64]], Mapping[str, float]],
    groups: Sequence[object] | Array,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, dict[str, float | None]]:
    """Give several figures of the same resamples with their intervals; see :func:`bootstrap`.

    Resamples in which a figure is not defined (no positive case was drawn) are left out of its interval.
    """
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    if number.size == 0:
        raise ValueError("there are no cases")
    order = np.argsort(number, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(number))[:-1])
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        chosen = rng.integers(0, len(members), len(members))
        drawn.append(measures(np.concatenate([members[i] for i in chosen])))
    values = measures(np.arange(number.size))
    return {name: _interval(value, [row[name] for row in drawn]) for name, value in values.items()}


def _interval(value: float, drawn: Sequence[float]) -> dict[str, float | None]:
    known = _floats(drawn)
    known = known[np.isfinite(known)]
    low, high = np.percentile(known, (2.5, 97.5)) if known.size else (np.nan, np.nan)
    named = {"value": value, "ci_low": low, "ci_high": high}
    return {name: round(float(x), DIGITS) if np.isfinite(x) else None for name, x in named.items()}
