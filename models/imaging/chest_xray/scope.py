"""Whether a picture is of the kind that a chest network was trained on, asked in three ways.

* How unlikely it is that the picture stands upright and is not inverted, by a network that learned to tell how pictures
  of the training set were turned and inverted (Hendrycks D et al. Using self-supervised learning can improve model
  robustness and uncertainty. NeurIPS 2019).
* How far its features in that network lie from those of the training set (Mahalanobis distance; Lee K et al. A simple
  unified framework for detecting out-of-distribution samples. NeurIPS 2018).
* How much of it is not made of the patterns that training pictures are made of (what principal components leave over).

Each number is divided by its limit, which the validation part gives; the picture is out of scope where the largest of
the three exceeds 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from models.contracts import WeightsError
from models.imaging.chest_xray.network import WIDTHS, ChestNetwork
from models.imaging.chest_xray.picture import SIDE

Tensor = torch.Tensor

#: Turns by a quarter, each straight or inverted: what the network of the scope tells apart; 0 is as it should be.
ARRANGEMENTS = 8

#: Principal components that training pictures are compared with.
COMPONENTS = 40

#: The three questions, in the order of their numbers.
QUESTIONS = ("arrangement", "distance", "residual")


def arranged(pictures: Tensor, arrangement: int) -> Tensor:
    """Turn pictures ``[..., row, column]`` by quarters and invert them; ``arrangement`` 0 to 7, 0 leaves them."""
    turned = torch.rot90(pictures, arrangement % 4, (-2, -1))
    return -turned if arrangement >= 4 else turned


class Scope(nn.Module):
    """The network of the arrangements with what the training set looked like to it."""

    centre: Tensor
    whitening: Tensor
    usual: Tensor
    components: Tensor

    def __init__(self, widths: tuple[int, ...] = WIDTHS, components: int = COMPONENTS) -> None:
        super().__init__()
        self.network = ChestNetwork(ARRANGEMENTS, widths)
        self.register_buffer("centre", torch.zeros(widths[-1]))
        self.register_buffer("whitening", torch.eye(widths[-1]))
        self.register_buffer("usual", torch.zeros(SIDE * SIDE))
        self.register_buffer("components", torch.zeros(components, SIDE * SIDE))

    def forward(self, pictures: Tensor) -> Tensor:
        """Standardised pictures ``[batch, 1, 28, 28]`` to ``[batch, 3]``, in the order of :data:`QUESTIONS`."""
        features = self.network.features(pictures)
        surprise = -functional.log_softmax(self.network.head(features), 1)[:, 0]
        distance = ((features - self.centre) @ self.whitening.T).norm(dim=1)
        off = pictures.flatten(1) - self.usual
        left = off - off @ self.components.T @ self.components
        return torch.stack([surprise, distance, left.square().mean(1).sqrt()], 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """Highest number of each question that is still within scope."""

    arrangement: float
    distance: float
    residual: float

    def ratio(self, numbers: Tensor) -> Tensor:
        """``[batch, 3]`` to the share of its limit of each."""
        limits = torch.tensor([self.arrangement, self.distance, self.residual], dtype=numbers.dtype)
        return numbers / limits.to(numbers.device)


def read_limits(metrics: Mapping[str, Any]) -> Limits:
    """Limits that a card names; :class:`~models.contracts.WeightsError` where it names none."""
    found = metrics.get("scope_limits")
    if not isinstance(found, Mapping) or set(found) != set(QUESTIONS) or not all(v > 0 for v in found.values()):
        raise WeightsError(f"the model card must give a scope limit above 0 for each of {', '.join(QUESTIONS)}")
    return Limits(**{name: float(found[name]) for name in QUESTIONS})


SENTENCES: Mapping[str, str] = {
    "arrangement": "The picture does not look like an upright frontal chest radiograph: it may be turned, inverted, or "
    "of something else.",
    "distance": "The picture does not look like the chest radiographs that this model was trained on.",
    "residual": "The picture holds structures that the chest radiographs that this model was trained on do not have.",
}
"""What is said where a question has the largest share of its limit and exceeds it."""


def reason(ratios: Tensor) -> str | None:
    """Why one picture is out of scope, of its three shares ``[3]``; None where it is not."""
    worst = int(ratios.argmax())
    share = float(ratios[worst])
    if share <= 1:
        return None
    return f"{SENTENCES[QUESTIONS[worst]]} ({share:.1f} times the limit of its {QUESTIONS[worst]}.)"
