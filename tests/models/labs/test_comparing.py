"""Regressions on summaries, compared in the folds of the training part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from models.labs.networks import Summarist
from models.labs.tensors import tensors_of
from models.training import labs_risk
from models.training.labs_risk.comparing import RECIPES, Recipe, columns, row_of
from models.training.labs_risk.data import in_folds, read_stays, split_stays
from models.training.labs_risk.stays import standardise_summaries

Trained = tuple[Path, Path, dict[str, Any]]


def test_the_shipped_recipe_reads_what_the_linear_part_reads(trained: Trained) -> None:
    stays = list(read_stays(trained[0]).values())
    tensors, summarist = tensors_of([stay.window for stay in stays]), Summarist()
    standardise_summaries(summarist, tensors["summaries"])

    found = columns(Recipe(), summarist, [row_of(stay) for stay in stays])

    assert torch.equal(found, summarist.features(tensors["summaries"], tensors["statics"]))


def test_recipes_read_fewer_or_more_columns() -> None:
    assert Recipe(bends=False) in RECIPES.values()
    assert len(set(RECIPES.values())) == len(RECIPES)


def test_values_that_are_not_cut_go_beyond_four_deviations(trained: Trained) -> None:
    rows = [row_of(stay) for stay in read_stays(trained[0]).values()]
    summarist = Summarist()
    standardise_summaries(summarist, torch.stack([torch.from_numpy(row.summaries) for row in rows]))
    summarist.spread /= 10

    cut, whole, counted = (
        columns(recipe, summarist, rows)
        for recipe in (Recipe(bends=False), Recipe(cut=False, bends=False), Recipe(bends=False, counts=True))
    )

    assert float(cut.abs().max()) == 4
    assert float(whole.abs().max()) > 4
    assert counted.shape[1] == cut.shape[1] + rows[0].counts.size


def test_no_stay_is_trained_on_and_judged_in_one_fold_and_none_is_held_out(trained: Trained) -> None:
    stays = read_stays(trained[0])
    split = split_stays(stays)

    rounds = in_folds(stays, split.train, 5)

    judged = [stay.case for _, judge_on in rounds for stay in judge_on]
    assert sorted(judged) == sorted(split.train)
    assert not set(judged) & set(split.held_out)
    for fit_on, judge_on in rounds:
        assert not {stay.case for stay in fit_on} & {stay.case for stay in judge_on}


def test_every_recipe_has_a_figure_with_its_interval_and_the_same_one_again(trained: Trained) -> None:
    data = trained[0]

    first, again = (labs_risk.compare(data, progress=False) for _ in range(2))

    assert first["auc"].keys() == RECIPES.keys()
    assert first["n"] == 64
    assert all(figure["ci_low"] <= figure["value"] <= figure["ci_high"] for figure in first["auc"].values())
    assert first["auc"]["as_shipped"]["value"] > 0.9
    assert again == first
    json.dumps(first, allow_nan=False)
