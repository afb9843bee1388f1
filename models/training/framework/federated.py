"""Federated averaging: sites train on what they have, and only weights travel. All sites are in one process here.

McMahan B et al. Communication-efficient learning of deep networks from decentralized data. AISTATS 2017. This says what
averaging costs in quality before anybody sets up a network between hospitals, and it is the arithmetic of that network,
which is in :mod:`models.training.framework.flower`. Weights alone do not keep what they were trained on secret.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from models.runtime import load_into, named_tensors
from models.training.framework.fit import (
    SEED_STEP,
    Batch,
    FitSettings,
    TrainingError,
    TrainingSet,
    batches,
    plain_forward,
    train_mode,
)

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Federation:
    """How often weights travel: rounds, and epochs that a site trains in each."""

    rounds: int
    local_epochs: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """What all sites do alike.

    Parameters
    ----------
    loss
        Takes the network's output and the batch; gives a number.
    settings
        Batch, learning rate, weight decay, ``largest_gradient``, ``balanced`` (within a site) and seed are used.
    federation
        Rounds, and epochs in each.
    forward
        Gives the network's output for a batch; the default is ``network(batch["input"])``.
    """

    loss: Callable[[Any, Batch], Tensor]
    settings: FitSettings
    federation: Federation
    forward: Callable[[torch.nn.Module, Batch], Any] = plain_forward


def fit_federated(
    network: torch.nn.Module,
    sites: Sequence[TrainingSet],
    recipe: Recipe,
    device: torch.device,
    *,
    validate: Callable[[torch.nn.Module], Mapping[str, float]] | None = None,
) -> list[dict[str, float]]:
    """Train a network in place by federated averaging.

    In each round every site starts from the common weights, trains on its own cases with an optimiser of its own, and
    gives its weights back; the common ones become their mean, each site weighing as many cases as it has.

    Parameters
    ----------
    validate
        Called with the common network after each round.

    Returns
    -------
    list
        Of each round its number, and what ``validate`` gives.

    Raises
    ------
    TrainingError
        If a site has no cases, or weights stop being numbers.
    """
    if not sites:
        raise TrainingError("a federation needs sites")
    network.to(device)
    history = []
    for number in range(1, recipe.federation.rounds + 1):
        trained = []
        for place, cases in enumerate(sites):
            local = copy.deepcopy(network)
            train_site(local, cases, recipe, (place, len(sites)), number, device)
            trained.append(named_tensors(local))
        load_into(network, averaged(trained, [len(cases) for cases in sites]))
        history.append(judged(network, number, validate))
    network.eval()
    return history


def train_site(
    network: torch.nn.Module,
    cases: TrainingSet,
    recipe: Recipe,
    place: tuple[int, int],
    number: int,
    device: torch.device,
) -> None:
    """Train a network, which is on the device, in place as one site does in one round.

    Parameters
    ----------
    place
        Which of how many sites this is, from 0: with the recipe's seed and the round it settles all random numbers.
    number
        Of the round, from 1.

    Raises
    ------
    TrainingError
        If the site has no cases.
    """
    if not len(cases):
        raise TrainingError("every site needs cases to train on")
    index, count = place
    settings, epochs = (
        replace(recipe.settings, seed=recipe.settings.seed * count + index),
        recipe.federation.local_epochs,
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    torch.manual_seed(settings.seed * SEED_STEP + number)
    train_mode(network)
    first = (number - 1) * epochs
    for epoch in range(first + 1, first + epochs + 1):
        for batch in batches(cases, settings, epoch, device):
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(recipe.loss(recipe.forward(network, batch), batch))
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings.largest_gradient)
            optimiser.step()


def averaged(parts: Sequence[Mapping[str, Tensor]], sizes: Sequence[int]) -> dict[str, Tensor]:
    """Give the mean of weights by name, each part weighing by its size; of counters the largest.

    Raises
    ------
    TrainingError
        If a mean is not a number.
    """
    total, mean = sum(sizes), {}
    for name in parts[0]:
        stack = torch.stack([part[name].detach() for part in parts])
        if not stack.is_floating_point():
            mean[name] = stack.amax(dim=0)
            continue
        shares = torch.tensor(sizes, dtype=stack.dtype, device=stack.device) / total
        mean[name] = (stack * shares.view(-1, *[1] * (stack.ndim - 1))).sum(dim=0)
        if not torch.isfinite(mean[name]).all():
            raise TrainingError("the weights of a site are not numbers any more: lower the learning rate")
    return mean


def judged(
    network: torch.nn.Module, number: int, validate: Callable[[torch.nn.Module], Mapping[str, float]] | None
) -> dict[str, float]:
    """Give a round's number, and what ``validate`` says of the network after it."""
    if validate is None:
        return {"round": float(number)}
    with torch.no_grad():
        return {"round": float(number), **validate(network.eval())}
