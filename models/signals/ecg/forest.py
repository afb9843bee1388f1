"""Decision trees as tensors, and a member of the ensemble: a network with two forests beside it."""

from __future__ import annotations

import torch
from torch import nn

from models.signals.ecg.details.names import NAMES as DETAILS
from models.signals.ecg.intervals import NAMES
from models.signals.ecg.network import RHYTHMS, RhythmNetwork

Tensor = torch.Tensor

CLASSES = len(RHYTHMS) + 1

#: What the trees read: the network's numbers, then the details.
NUMBERS = len(NAMES) + len(DETAILS)

#: Trees of the forest whose probabilities are averaged, and the nodes and the depth of each at most.
AVERAGED_TREES, AVERAGED_NODES, AVERAGED_DEPTH = 150, 255, 16

#: The same of the boosted forest; each of its rounds has one tree a class.
BOOSTED_ROUNDS, BOOSTED_NODES, BOOSTED_DEPTH = 150, 15, 7

#: No single part of a member says that a class is less likely than this.
LEAST_LIKELY = 1e-3


class Forest(nn.Module):
    """Binary trees, added up.

    Parameters
    ----------
    trees, nodes, depth
        Of a node: go left where the number ``feature`` is at most ``threshold``. A leaf is its own left and right.
    """

    def __init__(self, trees: int, nodes: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        for name in ("feature", "threshold", "left", "right"):
            self.register_buffer(name, torch.zeros(trees, nodes))
        self.register_buffer("value", torch.zeros(trees, nodes, CLASSES))

    def forward(self, numbers: Tensor) -> Tensor:
        """Sum of the leaves' values, ``[batch, class]``, for ``[batch, number]``."""
        feature, left, right = (self.get_buffer(name).long() for name in ("feature", "left", "right"))
        threshold, value = self.get_buffer("threshold"), self.get_buffer("value")
        tree = torch.arange(feature.shape[0], device=numbers.device)
        at = torch.zeros(numbers.shape[0], feature.shape[0], dtype=torch.long, device=numbers.device)
        for _ in range(self.depth):
            seen = numbers.gather(1, feature[tree, at])
            at = torch.where(seen <= threshold[tree, at], left[tree, at], right[tree, at])
        total: Tensor = value[tree, at].sum(dim=1)
        return total


class RhythmMember(nn.Module):
    """A network and two forests for single leads; the answer is the mean of their log probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.network = RhythmNetwork()
        self.averaged = Forest(AVERAGED_TREES, AVERAGED_NODES, AVERAGED_DEPTH)
        self.boosted = Forest(BOOSTED_ROUNDS * CLASSES, BOOSTED_NODES, BOOSTED_DEPTH)

    def forward(self, signal: Tensor, numbers: Tensor, length: Tensor) -> Tensor:
        """Give logits as :class:`~models.signals.ecg.network.RhythmNetwork` does; reads all :data:`NUMBERS`."""
        network = log_probabilities(self.network(signal, numbers, length))
        averaged = self.averaged(numbers).clamp(min=LEAST_LIKELY).log()
        boosted = self.boosted(numbers).log_softmax(dim=1).clamp(min=float(torch.tensor(LEAST_LIKELY).log()))
        mean = (network.clamp(min=float(torch.tensor(LEAST_LIKELY).log())) + averaged + boosted) / 3
        noise = mean[:, -1:] - mean[:, :-1].logsumexp(dim=1, keepdim=True)
        return torch.cat([mean[:, :-1], noise], dim=1)


def log_probabilities(logits: Tensor) -> Tensor:
    """Log probabilities of the rhythms and of noise, which exclude each other, of a network's logits ``[batch, 4]``."""
    clean = nn.functional.logsigmoid(-logits[:, -1:])
    rhythms = logits[:, :-1].log_softmax(dim=1) + clean
    return torch.cat([rhythms, nn.functional.logsigmoid(logits[:, -1:])], dim=1)
