"""Federated averaging: sites train on what they have, and only weights travel. All sites are in one process here.

McMahan B et al. Communication-efficient learning of deep networks from decentralized data. AISTATS 2017. This says what
averaging costs in quality before anybody sets up a network between hospitals; it is no such network, and weights alone
do not keep what they were trained on secret. (Flower, which would be one, cannot be installed beside the versions of
other packages that the project pins.)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from models.runtime import named_tensors
from models.training.framework.fit import SEED_STEP, Batch, FitSettings, TrainingError, TrainingSet, batches, train_mode

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Federation:
    """How often weights travel: rounds, and epochs that a site trains in each."""

    rounds: int
    local_epochs: int = 1


def fit_federated(
    network: torch.nn.Module,
    sites: Sequence[TrainingSet],
    loss: Callable[[Any, Batch], Tensor],
    settings: FitSettings,
    federation: Federation,
    device: torch.device,
    *,
    forward: Callable[[torch.nn.Module, Batch], Any] | None = None,
    validate: Callable[[torch.nn.Module], Mapping[str, float]] | None = None,
) -> list[dict[str, float]]:
    """Train a network in place by federated averaging.

    In each round every site starts from the common weights, trains on its own cases with an optimiser of its own, and
    gives its weights back; the common ones become their mean, each site weighing as many cases as it has.

    Parameters
    ----------
    settings
        Batch, learning rate, weight decay, ``balanced`` (within a site) and seed are used.
    validate
        Called with the common network after each round.

    Returns
    -------
    list
        Of each round its number, and what ``validate`` gives.
    """
    if not sites or not all(len(site) for site in sites):
        raise TrainingError("every site needs cases to train on")
    run = forward or (lambda net, batch: net(batch["input"]))
    network.to(device)
    history = []
    for number in range(1, federation.rounds + 1):
        trained = []
        for place, site in enumerate(sites):
            local = copy.deepcopy(network)
            own = replace(settings, seed=settings.seed * len(sites) + place)
            _train_site(local, site, loss, own, federation, number, device, run)
            trained.append(local)
        average_weights(network, trained, [len(site) for site in sites])
        figures = {}
        if validate is not None:
            with torch.no_grad():
                figures = dict(validate(network.eval()))
        history.append({"round": float(number), **figures})
    network.eval()
    return history


def _train_site(
    network: torch.nn.Module,
    site: TrainingSet,
    loss: Callable[[Any, Batch], Tensor],
    settings: FitSettings,
    federation: Federation,
    number: int,
    device: torch.device,
    forward: Callable[[torch.nn.Module, Batch], Any],
) -> None:
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    torch.manual_seed(settings.seed * SEED_STEP + number)
    train_mode(network)
    first = (number - 1) * federation.local_epochs
    for epoch in range(first + 1, first + federation.local_epochs + 1):
        for batch in batches(site, settings, epoch, device):
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss(forward(network, batch), batch))
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings.largest_gradient)
            optimiser.step()


def average_weights(network: torch.nn.Module, trained: Sequence[torch.nn.Module], sizes: Sequence[int]) -> None:
    """Put the mean of networks' weights into ``network``, each weighing by its size; of counters the largest."""
    total, parts = sum(sizes), [named_tensors(one) for one in trained]
    with torch.no_grad():
        for name, value in named_tensors(network).items():
            stack = torch.stack([part[name] for part in parts])
            if not value.is_floating_point():
                value.copy_(stack.amax(dim=0))
                continue
            shares = torch.tensor(sizes, dtype=stack.dtype, device=stack.device) / total
            value.copy_((stack * shares.view(-1, *[1] * value.ndim)).sum(dim=0))
