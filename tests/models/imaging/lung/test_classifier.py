"""Cubes around candidates, their scores, and what is the same place."""

from __future__ import annotations

import numpy as np
import torch

from models.imaging.lung.candidates import Candidate
from models.imaging.lung.classifier import LOOKED_AT_TWICE, Scored, apart, score
from models.imaging.lung.grid import Working
from models.imaging.lung.network import EXTRA, PATCH, NoduleNetwork, channels_last
from models.imaging.lung.patches import describe, extract

AFFINE = np.diag([1.25, 1.25, 1.25, 1.0])


def working() -> Working:
    array = np.full((40, 50, 60), -1000, np.float32)
    array[20, 25, 30] = 400
    return Working(array, AFFINE)


def candidate(*index: int, scale: float = 2.2) -> Candidate:
    z, y, x = index
    return Candidate((z, y, x), scale, 50.0)


def test_a_cube_has_its_candidate_in_the_middle() -> None:
    near, wide = extract(working(), [candidate(20, 25, 30)])[0]
    assert near.shape == wide.shape == (PATCH, PATCH, PATCH)
    assert near[PATCH // 2, PATCH // 2, PATCH // 2] == 1
    peak = np.unravel_index(int(wide.argmax()), wide.shape)
    assert np.abs(np.subtract(peak, PATCH // 2)).max() <= 1  # a wide voxel is two near ones


def test_a_cube_at_the_border_repeats_the_border() -> None:
    cubes = extract(working(), [candidate(0, 0, 0), candidate(39, 49, 59)])
    assert np.isfinite(cubes).all()
    assert cubes.max() == 0


def test_numbers_of_candidates_are_about_one_in_size() -> None:
    numbers = describe([candidate(0, 0, 0, scale=scale) for scale in (1.4, 7.6)])
    assert numbers.shape == (2, EXTRA)
    assert np.abs(numbers).max() < 2


def test_no_candidate_gives_no_score() -> None:
    assert score(NoduleNetwork(), working(), [], torch.device("cpu")) == []
    assert apart([], working()) == []


def test_scores_come_surest_first_and_each_once() -> None:
    torch.manual_seed(0)
    network = channels_last(NoduleNetwork((4, 4, 4))).eval()
    rng = np.random.default_rng(1)
    noisy = Working(rng.uniform(-1000, 400, (40, 50, 60)).astype(np.float32), AFFINE)
    candidates = [candidate(*(int(v) for v in rng.integers(0, 40, 3))) for _ in range(LOOKED_AT_TWICE + 15)]
    found = score(network, noisy, candidates, torch.device("cpu"))
    logits = [item.logit for item in found]
    assert logits == sorted(logits, reverse=True)
    assert sorted(id(item.candidate) for item in found) == sorted(id(item) for item in candidates)


def test_a_mirrored_image_gets_the_same_scores() -> None:
    torch.manual_seed(0)
    network = NoduleNetwork((4, 4, 4)).eval()
    rng = np.random.default_rng(1)
    array = rng.uniform(-1000, 400, (24, 24, 24)).astype(np.float32)
    (plain,) = score(network, Working(array, AFFINE), [candidate(12, 12, 12)], torch.device("cpu"))
    assert plain.spread > 0
    mirrored = np.ascontiguousarray(np.roll(array[:, :, ::-1], 1, axis=2))
    (turned,) = score(network, Working(mirrored, AFFINE), [candidate(12, 12, 12)], torch.device("cpu"))
    assert abs(turned.logit - plain.logit) < 0.1


def test_candidates_of_one_place_are_one_detection() -> None:
    places = [candidate(20, 20, 20), candidate(20, 20, 23), candidate(20, 20, 40), candidate(20, 20, 46, scale=7.6)]
    found = apart([Scored(item, 1.0 - number) for number, item in enumerate(places)], working())
    assert [item.candidate for item in found] == [places[0], places[2], places[3]]


def test_a_large_sure_candidate_takes_the_small_ones_in_it() -> None:
    large, small = candidate(20, 20, 20, scale=7.6), candidate(20, 20, 28, scale=1.4)
    assert [item.candidate for item in apart([Scored(large, 2.0), Scored(small, 1.0)], working())] == [large]
