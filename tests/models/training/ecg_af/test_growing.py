"""Forests that are grown with scikit-learn and answer the same as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.contracts import ModelError
from models.signals.ecg.forest import CLASSES, Forest, RhythmMember
from models.signals.ecg.network import FIBRILLATION, NORMAL, OTHER
from models.signals.ecg.reading import WINDOW
from models.training.ecg_af import growing
from models.training.ecg_af.data import NOISE, Strip
from tests.models.training.ecg_af.test_training import strip


def numbers(seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(200, 6)).astype(np.float32)
    labels = (values[:, 0] > 0).astype(int) + 2 * (values[:, 1] > 0.3).astype(int)
    return values, labels


def test_trees_as_tensors_give_the_probabilities_that_scikit_learn_gives() -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    values, labels = numbers(0)
    grown = ensemble.ExtraTreesClassifier(9, max_depth=8, random_state=0).fit(values, labels)
    forest = Forest(9, 255, 8)

    growing.fill(forest, ((tree.tree_, np.eye(CLASSES) / 9) for tree in grown.estimators_))

    assert forest(torch.from_numpy(values)).numpy() == pytest.approx(grown.predict_proba(values), abs=1e-5)


def test_boosted_trees_as_tensors_give_the_logits_that_scikit_learn_gives() -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    values, labels = numbers(1)
    grown = ensemble.GradientBoostingClassifier(
        n_estimators=7, learning_rate=0.3, max_leaf_nodes=8, max_depth=7, init="zero", random_state=0
    ).fit(values, labels)
    forest = Forest(7 * CLASSES, 15, 7)

    growing.fill(
        forest,
        ((tree.tree_, 0.3 * np.eye(CLASSES)[[number]]) for row in grown.estimators_ for number, tree in enumerate(row)),
    )

    assert forest(torch.from_numpy(values)).numpy() == pytest.approx(grown.decision_function(values), abs=1e-4)


def labelled() -> list[Strip]:
    """Regular strips, irregular ones, ones with an early beat, and noise."""
    found = [strip(seed, FIBRILLATION if seed % 2 else NORMAL, seconds=12) for seed in range(16)]
    rng = np.random.default_rng(0)
    for seed in range(8):
        plain = strip(100 + seed, NORMAL, seconds=12)
        beats = plain.beats.copy()
        beats[4] -= 30
        found.append(Strip(plain.case, plain.group, "", plain.samples, beats, OTHER))
        found.append(Strip(f"n{seed}", "", "", rng.normal(size=plain.samples.shape), plain.beats, NOISE))
    return found


def test_forests_learn_the_four_classes_of_generated_strips_and_hang_on_the_seed_alone() -> None:
    pytest.importorskip("sklearn")
    strips = labelled()
    first, again = RhythmMember(), RhythmMember()

    growing.grow(first, strips, WINDOW, 3)
    growing.grow(again, strips, WINDOW, 3)

    read = torch.from_numpy(
        np.stack([one.described for each in strips for one, _ in growing.windows_with_count(each, WINDOW)])
    )
    called = first.averaged(read).argmax(dim=1)
    truth = torch.tensor([one.label for one in strips])
    assert float((called == truth).float().mean()) > 0.9
    for name, value in first.named_buffers():
        if name.startswith(("averaged", "boosted")):
            assert torch.equal(value, again.get_buffer(name))


def test_a_class_that_is_missing_is_said() -> None:
    with pytest.raises(ModelError, match="all 4 classes"):
        growing.grow(RhythmMember(), [strip(0, NORMAL, seconds=10), strip(1, FIBRILLATION, seconds=10)], WINDOW, 0)
