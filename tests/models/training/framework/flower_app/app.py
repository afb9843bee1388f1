"""Sites learn together to tell points of the plane apart: a whole Flower app on the framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from models.training.framework.federated import Federation, Recipe, fit_federated
from models.training.framework.fit import FitSettings
from models.training.framework.flower import client_app, server_app
from tests.models.training.framework.toys import Points, auc_on, loss, network

RECIPE = Recipe(loss, FitSettings(epochs=1, batch=16, learning_rate=2e-2, seed=3), Federation(rounds=2, local_epochs=2))
VALIDATION = Points(200, 9)
COUNTS = (60, 40)
"""Cases of the two sites."""


def cases(context: Any) -> Points:
    """Give the points of a site, which names them with ``--node-config 'site=0 count=60'``."""
    return Points(int(context.node_config["count"]), int(context.node_config["site"]) + 1)


def validate(common: torch.nn.Module) -> Mapping[str, float]:
    return auc_on(VALIDATION, common)


client = client_app(RECIPE, network, cases, device="cpu")
server = server_app(RECIPE, network, sites=len(COUNTS), validate=validate)


def in_one_process() -> tuple[torch.nn.Module, list[dict[str, float]]]:
    """Give network and history of the same training without Flower."""
    common, sites = network(), [Points(count, site + 1) for site, count in enumerate(COUNTS)]
    return common, fit_federated(common, sites, RECIPE, torch.device("cpu"), validate=validate)
