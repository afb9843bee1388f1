"""The forests of a member: grown with scikit-learn, kept as tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.contracts import ModelError
from models.signals.ecg import forest
from models.signals.ecg.reading import Window, windows_of
from models.training.ecg_af.data import Strip

Numbers = npt.NDArray[Any]

#: Trees whose probabilities are averaged (Geurts P et al., Extremely randomized trees, Mach Learn 2006;63:3-42).
AVERAGED: dict[str, Any] = {"min_samples_leaf": 2, "max_features": 0.25}

#: Trees that correct each other (Friedman JH, Stochastic gradient boosting, Comput Stat Data Anal 2002;38:367-378).
_BOOSTED: dict[str, Any] = {
    "learning_rate": 0.05, "max_leaf_nodes": 8, "min_samples_leaf": 10, "max_features": 0.15, "subsample": 0.7,
}  # fmt: skip


def grow(member: forest.RhythmMember, strips: Sequence[Strip], window: int, seed: int) -> None:
    """Grow both forests of a member on labelled single leads; what they were is overwritten.

    Raises
    ------
    ModelError
        If scikit-learn is not there, or a strip's label is none of the four classes.
    """
    windows = [(one, strip.label, count) for strip in strips for one, count in windows_with_count(strip, window)]
    numbers = np.stack([one.described for one, _, _ in windows])
    labels = np.array([label for _, label, _ in windows])
    weights = np.array([1.0 / count for _, _, count in windows])
    if set(labels.tolist()) != set(range(forest.CLASSES)):
        raise ModelError(f"the forests need strips of all {forest.CLASSES} classes and of no other")
    averaged, boosted = _fitted(numbers, labels, weights, seed)
    fill(member.averaged, ((tree.tree_, np.eye(forest.CLASSES) / len(averaged)) for tree in averaged))
    fill(
        member.boosted,
        (
            (tree.tree_, _BOOSTED["learning_rate"] * np.eye(forest.CLASSES)[[number]])
            for row in boosted
            for number, tree in enumerate(row)
        ),
    )


def windows_with_count(strip: Strip, window: int) -> list[tuple[Window, int]]:
    """Windows of a strip, each with how many there are."""
    found = windows_of(strip.samples, strip.beats, window)
    return [(one, len(found)) for one in found]


def _fitted(numbers: Numbers, labels: Numbers, weights: Numbers, seed: int) -> tuple[Any, Any]:
    """Trees of both forests, ``[tree]`` and ``[round, class]``."""
    try:
        from sklearn.ensemble import (  # type: ignore[import-untyped,unused-ignore]
            ExtraTreesClassifier,
            GradientBoostingClassifier,
        )
    except ImportError as error:
        raise ModelError("growing the forests needs scikit-learn: pip install 'overread[train]'") from error
    averaged = ExtraTreesClassifier(
        forest.AVERAGED_TREES, max_depth=forest.AVERAGED_DEPTH, max_leaf_nodes=(forest.AVERAGED_NODES + 1) // 2,
        random_state=seed, **AVERAGED,
    ).fit(numbers, labels, weights)  # fmt: skip
    boosted = GradientBoostingClassifier(
        n_estimators=forest.BOOSTED_ROUNDS, max_depth=forest.BOOSTED_DEPTH, init="zero", random_state=seed, **_BOOSTED
    ).fit(numbers, labels, weights)
    return averaged.estimators_, boosted.estimators_


def fill(target: forest.Forest, trees: Iterable[tuple[Any, Numbers]]) -> None:
    """Write scikit-learn's trees into the tensors.

    Parameters
    ----------
    trees
        Each tree, and the matrix ``[value of the tree, class]`` that brings its leaves' values to the classes.
    """
    with torch.no_grad():
        for buffer in target.buffers():
            buffer.zero_()
        for number, (tree, classes) in enumerate(trees):
            count, places = tree.node_count, np.arange(tree.node_count)
            leaf = tree.children_left < 0
            for name, values in (
                ("feature", np.where(leaf, 0, tree.feature)),
                ("threshold", np.where(leaf, 0.0, tree.threshold)),
                ("left", np.where(leaf, places, tree.children_left)),
                ("right", np.where(leaf, places, tree.children_right)),
                ("value", tree.value[:, 0, :] @ classes),
            ):
                target.get_buffer(name)[number, :count] = torch.from_numpy(values.astype(np.float32))
