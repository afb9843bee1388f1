"""Training with differential privacy, and by federated averaging."""

from __future__ import annotations

import pytest
import torch

from models.training.framework.federated import Federation, Recipe, averaged, fit_federated
from models.training.framework.fit import FitSettings, TrainingError
from models.training.framework.generative import GanSettings, enlarge, fit_generator
from models.training.framework.private import Privacy, fit_private
from tests.models.training.framework.toys import Points, auc_on, loss, network

VALIDATION = Points(200, 9)
SETTINGS = FitSettings(epochs=8, batch=32, learning_rate=5e-2)
TRUTH = torch.tensor(VALIDATION.labels, dtype=torch.float32)
CPU = torch.device("cpu")


def line() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Flatten(0))


def quality(net: torch.nn.Module) -> float:
    with torch.no_grad():
        return auc_on(VALIDATION, net)["auc"]


def test_a_private_training_learns_and_spends_no_more_than_its_budget() -> None:
    net = line()

    spent = fit_private(net, Points(300, 0), loss, SETTINGS, Privacy(epsilon=3.0, repeatable=True))

    assert 0 < spent.epsilon <= 3.0
    assert quality(net) > 0.85


def test_a_smaller_budget_needs_more_noise() -> None:
    settings, points = FitSettings(epochs=1, batch=32), Points(100, 0)

    tight, loose = (fit_private(line(), points, loss, settings, Privacy(epsilon)) for epsilon in (1.0, 10.0))

    assert tight.epsilon <= 1.0 < loose.epsilon <= 10.0
    assert tight.noise > 2 * loose.noise


def test_a_network_that_mixes_cases_cannot_be_trained_in_private() -> None:
    with pytest.raises(TrainingError, match="cannot be trained with differential privacy"):
        fit_private(network(), Points(50, 0), loss, SETTINGS, Privacy(3.0))


def test_sites_learn_together_what_none_of_them_could_alone() -> None:
    def fitted(*sites: Points) -> tuple[float, float]:
        net = line()
        recipe = Recipe(loss, FitSettings(epochs=1, batch=16, learning_rate=2e-2), Federation(10))
        history = fit_federated(net, sites, recipe, CPU, validate=lambda common: auc_on(VALIDATION, common))
        assert len(history) == 10
        with torch.no_grad():
            return history[-1]["auc"], float(loss(net(VALIDATION.inputs), {"target": TRUTH}))

    rare, frequent = Points(150, 1, share=0.05), Points(150, 2, share=0.95)

    alone = [fitted(site) for site in (rare, frequent)]
    together = fitted(rare, frequent)

    assert together[0] > 0.9
    assert together[1] < 0.7 * min(error for _, error in alone)


def test_the_same_seed_gives_the_same_federation() -> None:
    first, second = network(), network()
    for net in (first, second):
        fit_federated(net, [Points(60, 1), Points(40, 2)], Recipe(loss, SETTINGS, Federation(2, 2)), CPU)

    assert torch.equal(first(VALIDATION.inputs), second(VALIDATION.inputs))


def test_weights_are_averaged_by_the_number_of_cases_and_counters_are_not() -> None:
    parts = [{"weight": torch.full((2,), value), "seen": torch.tensor(int(value))} for value in (1.0, 5.0)]

    mean = averaged(parts, [3, 1])

    assert mean["weight"].tolist() == [2.0, 2.0]
    assert int(mean["seen"]) == 5


def test_weights_that_are_not_numbers_end_the_training() -> None:
    with pytest.raises(TrainingError, match="not numbers"):
        averaged([{"weight": torch.tensor([1.0])}, {"weight": torch.tensor([float("nan")])}], [1, 1])


@pytest.mark.parametrize("sites", [[], [Points(10, 1), Points(0, 2)]])
def test_a_federation_without_sites_or_of_a_site_without_cases_is_an_error(sites: list[Points]) -> None:
    with pytest.raises(TrainingError, match="needs"):
        fit_federated(line(), sites, Recipe(loss, SETTINGS, Federation(1)), CPU)


def test_made_cases_are_spread_as_the_real_ones_are() -> None:
    torch.manual_seed(3)
    mixing = torch.tensor([[2.0, 0.0, 0.0], [1.5, 0.5, 0.0], [0.0, 0.0, 0.1]])
    real = torch.randn(400, 3) @ mixing.T + torch.tensor([10.0, -5.0, 0.0])

    made = fit_generator(real, GanSettings(steps=600)).make(400)

    assert torch.allclose(made.mean(dim=0), real.mean(dim=0), atol=0.7)
    assert float(torch.corrcoef(made.T)[0, 1]) > 0.7
    assert ((made.std(dim=0) / real.std(dim=0)) > 0.4).all()
    assert ((made.std(dim=0) / real.std(dim=0)) < 2).all()


def test_made_cases_are_added_to_the_rare_class_only() -> None:
    torch.manual_seed(0)
    inputs, labels = torch.randn(100, 2), torch.tensor([1] * 25 + [0] * 75)

    more, more_labels = enlarge(inputs, labels, 1, 50, GanSettings(steps=5))

    assert torch.equal(more[:100], inputs)
    assert torch.equal(more_labels[:100], labels)
    assert more_labels[100:].tolist() == [1] * 50
    assert torch.isfinite(more).all()


def test_a_handful_of_cases_is_not_learned_from() -> None:
    with pytest.raises(TrainingError, match="too few"):
        fit_generator(torch.randn(5, 2))
