"""A small generative adversarial network that makes more cases of a rare class, as vectors of features.

Goodfellow I et al. Generative adversarial nets. NIPS 2014; hinge losses and spectral normalisation of the critic as in
Miyato T et al. Spectral normalization for generative adversarial networks. ICLR 2018. Made cases go into the training
part only: they are made of its cases, and what they look like is no evidence of anything.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch.nn.utils.parametrizations import spectral_norm

from models.training.framework.fit import TrainingError, average

Tensor = torch.Tensor

#: Decay of the moving average of the generator's weights: the networks circle around a balance that it lies nearer to.
AVERAGING = 0.995

#: Fewer cases than this are repeated, not learned.
FEWEST = 20


@dataclass(frozen=True, slots=True)
class GanSettings:
    """Numbers of a training: steps, cases in each, sizes of noise and of hidden layers, learning rate, seed."""

    steps: int = 1500
    batch: int = 64
    noise: int = 16
    hidden: int = 64
    learning_rate: float = 5e-4
    seed: int = 0


class Generator(torch.nn.Module):
    """Makes cases of noise, in the units of the cases that it was trained on."""

    centre: Tensor
    spread: Tensor

    def __init__(self, features: int, settings: GanSettings) -> None:
        super().__init__()
        self.noise = settings.noise
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.layers = _layers(settings.noise, settings.hidden, features)

    def forward(self, noise: Tensor) -> Tensor:
        """``[n, noise]`` to standardised cases ``[n, features]``."""
        cases: Tensor = self.layers(noise)
        return cases

    def make(self, count: int, seed: int = 0) -> Tensor:
        """Make ``count`` cases ``[count, features]``."""
        noise = torch.randn(count, self.noise, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            cases: Tensor = self(noise.to(self.centre.device)) * self.spread + self.centre
        return cases


def _layers(inputs: int, hidden: int, outputs: int) -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, hidden),
        torch.nn.LeakyReLU(0.2),
        torch.nn.Linear(hidden, hidden),
        torch.nn.LeakyReLU(0.2),
        torch.nn.Linear(hidden, outputs),
    )


def _critic(features: int, settings: GanSettings) -> torch.nn.Sequential:
    layers = _layers(features, settings.hidden, 1)
    for layer in layers:
        if isinstance(layer, torch.nn.Linear):
            spectral_norm(layer)
    return layers


def fit_generator(cases: Tensor, settings: GanSettings | None = None) -> Generator:
    """Learn to make cases like some; on their device.

    Parameters
    ----------
    cases
        ``[n, features]`` of the rare class, of the training part alone.

    Raises
    ------
    TrainingError
        If there are fewer than :data:`FEWEST`.
    """
    if cases.shape[0] < FEWEST:
        raise TrainingError(f"{cases.shape[0]} cases are too few to learn from; at least {FEWEST} are needed")
    numbers = settings or GanSettings()
    torch.manual_seed(numbers.seed)
    generator = Generator(cases.shape[1], numbers).to(cases.device)
    generator.centre.copy_(cases.mean(dim=0))
    generator.spread.copy_(cases.std(dim=0).clamp(min=1e-6))
    critic = _critic(cases.shape[1], numbers).to(cases.device)
    real = (cases - generator.centre) / generator.spread
    adam = [
        torch.optim.Adam(net.parameters(), lr=numbers.learning_rate, betas=(0.5, 0.9)) for net in (generator, critic)
    ]
    kept = copy.deepcopy(generator)
    for step in range(numbers.steps):
        drawn = real[torch.randint(0, real.shape[0], (numbers.batch,))]
        _step(critic, adam[1], _critic_loss(critic, drawn, generator(_noise(numbers, cases.device)).detach()))
        _step(generator, adam[0], -critic(generator(_noise(numbers, cases.device))).mean())
        average(kept, generator, min(AVERAGING, (1 + step) / (10 + step)))
    return kept.eval()


def _noise(settings: GanSettings, device: torch.device) -> Tensor:
    return torch.randn(settings.batch, settings.noise, device=device)


def _critic_loss(critic: torch.nn.Module, real: Tensor, made: Tensor) -> Tensor:
    """Hinge loss: real cases are to score above one, made ones below minus one."""
    loss: Tensor = torch.relu(1 - critic(real)).mean() + torch.relu(1 + critic(made)).mean()
    return loss


def _step(network: torch.nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    network.zero_grad(set_to_none=True)
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimiser.step()


def enlarge(
    inputs: Tensor, labels: Tensor, rare: int, count: int, settings: GanSettings | None = None
) -> tuple[Tensor, Tensor]:
    """Add made cases of a rare class to a training part.

    Parameters
    ----------
    inputs, labels
        ``[n, features]`` and ``[n]``.
    rare
        Label of the class.
    count
        How many to add.

    Returns
    -------
    tuple
        Inputs and labels, the made cases last.
    """
    made = fit_generator(inputs[labels == rare], settings).make(count)
    return torch.cat([inputs, made]), torch.cat([labels, torch.full((count,), rare, dtype=labels.dtype)])
