"""Training with differential privacy: what one case adds to the weights is bounded and drowned in noise (Opacus).

Abadi M et al. Deep learning with differential privacy. CCS 2016. Networks with batch normalisation mix cases and cannot
be trained this way, and recurrent layers need Opacus' own; Opacus says so when it is given one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from models.training.framework.fit import Batch, FitSettings, TrainingError, TrainingSet, train_mode

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class Privacy:
    """How much a training may tell of one case.

    Parameters
    ----------
    epsilon, delta
        Of (epsilon, delta)-differential privacy of one case; delta well below one over the number of cases. A patient
        with several cases is protected less.
    largest_gradient
        Norm to which the gradient of each case is cut.
    repeatable
        Whether noise comes from the settings' seed. The guarantee then holds only against those who do not know it, so
        this is for tests.
    """

    epsilon: float
    delta: float = 1e-5
    largest_gradient: float = 1.0
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """What a training cost: the epsilon at the budget's delta, and the noise as a multiple of ``largest_gradient``."""

    epsilon: float
    noise: float


class _Cases(torch.utils.data.Dataset[Batch]):
    """A training set with its augmentation, as torch's loaders read it."""

    def __init__(self, data: TrainingSet, seed: int) -> None:
        self._data, self._generator = data, torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Batch:
        return self._data.item(index, self._generator)


def fit_private(
    network: torch.nn.Module,
    data: TrainingSet,
    loss: Callable[[Any, Batch], Tensor],
    settings: FitSettings,
    privacy: Privacy,
    forward: Callable[[torch.nn.Module, Batch], Any] | None = None,
) -> Spent:
    """Train a network in place, on the processor, within a privacy budget.

    There is no selection of an epoch: a choice on other cases of the same patients' hospital is not in the account.

    Parameters
    ----------
    data, loss, forward
        As for :func:`models.training.framework.fit.fit`; the loss is a mean over cases.
    settings
        Epochs, batch (the mean one: each case is drawn by chance), learning rate and seed are used.

    Returns
    -------
    Spent
        What it cost.

    Raises
    ------
    TrainingError
        If Opacus is not installed, or the network has a layer that it does not know.
    """
    engine, module, optimiser, loader = _prepared(network, data, settings, privacy)
    run = forward or (lambda net, batch: net(batch["input"]))
    train_mode(module)
    for _ in range(settings.epochs):
        for batch in loader:
            if not isinstance(batch, dict) or not next(iter(batch.values())).shape[0]:
                continue  # chance drew nobody
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss(run(module, batch), batch))
            optimiser.step()
    module.remove_hooks()
    network.eval()
    return Spent(float(engine.get_epsilon(privacy.delta)), float(optimiser.noise_multiplier))


def _prepared(network: torch.nn.Module, data: TrainingSet, settings: FitSettings, privacy: Privacy) -> Any:
    """Give Opacus' engine, and network, optimiser and loader as it wraps them."""
    try:
        from opacus import PrivacyEngine
        from opacus.validators import ModuleValidator
    except ImportError as error:
        raise TrainingError(
            "training with differential privacy needs Opacus: pip install 'overread[privacy]'"
        ) from error
    faults = ModuleValidator.validate(network, strict=False)
    if faults:
        raise TrainingError(f"the network cannot be trained with differential privacy: {faults[0]}")
    loader = torch.utils.data.DataLoader(
        _Cases(data, settings.seed),
        batch_size=settings.batch,
        generator=torch.Generator().manual_seed(settings.seed) if privacy.repeatable else _unpredictable(),
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    engine = PrivacyEngine(accountant="rdp")
    wrapped = engine.make_private_with_epsilon(
        module=network,
        optimizer=optimiser,
        data_loader=loader,
        target_epsilon=privacy.epsilon,
        target_delta=privacy.delta,
        epochs=settings.epochs,
        max_grad_norm=privacy.largest_gradient,
        noise_generator=torch.Generator().manual_seed(settings.seed) if privacy.repeatable else _unpredictable(),
    )
    return engine, *wrapped


def _unpredictable() -> torch.Generator:
    generator = torch.Generator()
    generator.seed()
    return generator
