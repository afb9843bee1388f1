"""Trees as tensors, and the member that joins them to a network."""

from __future__ import annotations

import math

import pytest
import torch

from models.signals.ecg.forest import NUMBERS, Forest, RhythmMember, log_probabilities


def stump(left: list[float], right: list[float], at: float) -> Forest:
    """One tree that asks for number 1, another one that is a leaf."""
    forest = Forest(2, 3, 4)
    with torch.no_grad():
        forest.get_buffer("feature")[0, 0] = 1
        forest.get_buffer("threshold")[0, 0] = at
        forest.get_buffer("left")[0] = torch.tensor([1.0, 1.0, 2.0])
        forest.get_buffer("right")[0] = torch.tensor([2.0, 1.0, 2.0])
        forest.get_buffer("value")[0, 1:] = torch.tensor([left, right])
        forest.get_buffer("value")[1, 0] = torch.tensor([0.0, 0.0, 0.0, 10.0])
    return forest


def test_a_tree_goes_left_up_to_its_threshold_and_trees_add_up() -> None:
    forest = stump([1, 0, 0, 0], [0, 2, 0, 0], 0.5)

    found = forest(torch.tensor([[9.0, 0.5], [9.0, 0.6]]))

    assert found.tolist() == [[1, 0, 0, 10], [0, 2, 0, 10]]


def test_log_probabilities_are_those_of_classes_that_exclude_each_other() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [5.0, -5.0, 0.0, -3.0]])

    found = log_probabilities(logits).exp()

    assert found.sum(dim=1).tolist() == pytest.approx([1, 1])
    assert found[0].tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_a_member_answers_with_the_mean_of_the_log_probabilities_of_its_three_parts() -> None:
    torch.manual_seed(0)
    member = RhythmMember().eval()
    with torch.no_grad():
        member.averaged.get_buffer("value")[0, 0] = torch.tensor([0.7, 0.1, 0.1, 0.1])
        member.boosted.get_buffer("value")[0, 0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    signal, numbers, length = torch.randn(2, 1, 1600), torch.randn(2, NUMBERS), torch.tensor([1600, 1200])

    with torch.inference_mode():
        found = log_probabilities(member(signal, numbers, length))
        network = log_probabilities(member.network(signal, numbers, length))

    boosted = torch.tensor([1.0, 0.0, 0.0, 0.0]).log_softmax(dim=0)
    joined = (network + torch.tensor([0.7, 0.1, 0.1, 0.1]).log() + boosted) / 3
    wanted = joined.log_softmax(dim=1)
    assert found.flatten().tolist() == pytest.approx(wanted.flatten().tolist(), abs=1e-5)


def test_no_part_alone_can_rule_a_class_out() -> None:
    member = RhythmMember().eval()
    with torch.no_grad():
        member.averaged.get_buffer("value")[0, 0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
        member.boosted.get_buffer("value")[0, 0] = torch.tensor([0.0, 100.0, 100.0, 100.0])

    with torch.inference_mode():
        found = member(torch.zeros(1, 1, 1600), torch.zeros(1, NUMBERS), torch.tensor([1600]))

    assert found.isfinite().all()
    assert found.abs().max() < 3 * -math.log(1e-3)
