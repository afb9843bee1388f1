"""The shipped weights on the real stays: the figures of the card, and answers that a person can follow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models import catalog
from models.labs.networks import RiskNetwork
from models.labs.risk import RiskModel
from models.labs.tensors import tensors_of
from models.training.framework.metrics import auc
from models.training.labs_risk.data import Stay, read_stays, split_stays

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def stays(real_data: Callable[[str], Path]) -> dict[str, Stay]:
    return read_stays(real_data("labs-icu-physionet2012"))


def test_nearly_all_real_values_can_be_read(stays: dict[str, Stay]) -> None:
    windows = [stay.window for stay in stays.values()]

    assert len(stays) == 3013
    assert sum(window.unread for window in windows) < 0.01 * sum(window.value.size for window in windows)


def test_the_division_is_the_one_that_ships(stays: dict[str, Stay]) -> None:
    shipped = json.loads((catalog.weights_folder("labs-risk") / "split.json").read_text(encoding="utf-8"))

    assert split_stays(stays).as_dict() == shipped


def test_the_shipped_weights_reach_the_figures_of_their_card(stays: dict[str, Stay]) -> None:
    model = catalog.load("labs-risk", "cpu")
    assert isinstance(model, RiskModel)
    held_out = [stays[case] for case in split_stays(stays).held_out]
    network: RiskNetwork = model._network

    with torch.inference_mode():
        logits = network(tensors_of([stay.window for stay in held_out])).mean(dim=1).numpy()

    found = auc([stay.died for stay in held_out], np.asarray(logits))
    assert found == pytest.approx(model.card.metrics["held_out"]["auc"]["value"], abs=0.002)
    assert found > 0.85
