from __future__ import annotations

import numpy as np
import pytest
import torch

from models.contracts import WeightsError
from models.imaging.chest_xray.picture import prepare
from models.imaging.chest_xray.reading import as_tensor
from models.imaging.chest_xray.scope import ARRANGEMENTS, Limits, Scope, arranged, read_limits, reason
from models.training.chest_xray_pneumonia import scoping
from tests.models.imaging.chest_xray.chests import chest

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scope() -> Scope:
    """A scope that learned of 60 generated chests with a network that learned nothing."""
    torch.manual_seed(0)
    found = Scope().eval()
    scoping.learn(found, np.stack([prepare(chest(84, seed=i)).pixels for i in range(60)]), CPU)
    return found


def others(count: int = 20) -> torch.Tensor:
    return as_tensor(np.stack([prepare(chest(84, seed=1000 + i)).pixels for i in range(count)]), CPU)


def test_the_eight_arrangements_are_all_different_and_the_first_is_as_it_was() -> None:
    picture = others(1)

    every = [arranged(picture, number) for number in range(ARRANGEMENTS)]

    assert torch.equal(every[0], picture)
    assert all(not torch.equal(every[i], every[j]) for i in range(ARRANGEMENTS) for j in range(i))
    assert torch.equal(-arranged(arranged(picture, 1), 3), arranged(picture, 4))


def test_other_chests_are_nearer_than_things_that_are_no_chests(scope: Scope) -> None:
    with torch.inference_mode():
        chests = scope(others())
        strange = {name: scope(as_tensor(pixels, CPU)) for name, pixels in scoping.generated(20, seed=1).items()}

    for name, numbers in strange.items():
        assert numbers[:, 2].median() > 1.5 * chests[:, 2].median(), name
        assert numbers[:, 1].median() > chests[:, 1].median(), name


def test_the_distance_is_one_in_each_direction_of_the_training_s_spread() -> None:
    features = torch.randn(5000, 64).double() @ torch.diag(torch.linspace(0.5, 3, 64).double())

    white = (features - features.mean(0)) @ scoping.whitening(features).T

    assert torch.allclose(torch.cov(white.T).diagonal(), torch.ones(64).double(), atol=0.65)
    assert white.norm(dim=1).mean() == pytest.approx(8, rel=0.1)


def test_limits_are_exceeded_by_a_hundredth_of_the_validation(scope: Scope) -> None:
    pixels = np.stack([prepare(chest(56, seed=2000 + i)).pixels for i in range(100)])

    limits = read_limits({"scope_limits": scoping.find_limits(scope, pixels, CPU)})

    assert scoping.declined(scope, limits, as_tensor(pixels, CPU)) <= 0.03
    assert scoping.declined(scope, Limits(1e-9, 1e-9, 1e-9), as_tensor(pixels, CPU)) == 1


def test_the_reason_names_what_is_furthest_beyond_its_limit() -> None:
    assert reason(torch.tensor([0.9, 1.0, 0.2])) is None
    assert "turned" in str(reason(torch.tensor([3.0, 2.0, 0.2])))
    assert "1.5 times" in str(reason(torch.tensor([0.1, 1.2, 1.5])))


@pytest.mark.parametrize(
    "found", [None, {}, {"arrangement": 1.0, "distance": 1.0}, {"arrangement": 1.0, "distance": 0.0, "residual": 1.0}]
)
def test_a_card_without_limits_is_refused(found: object) -> None:
    with pytest.raises(WeightsError, match="scope limit"):
        read_limits({"scope_limits": found})
