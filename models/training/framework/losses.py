"""Losses for classes of unequal frequency and for networks with several heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn import functional

Tensor = torch.Tensor
Batch = Mapping[str, Tensor]
HeadLoss = Callable[[Tensor, Batch], Tensor]


def class_weights(labels: Sequence[int] | Tensor, classes: int | None = None) -> Tensor:
    """Weight of each class for :func:`torch.nn.functional.cross_entropy`: the inverse of its frequency.

    The mean weight over the labels is one, so that the loss keeps its size. A class without a label weighs nothing.

    Returns
    -------
    Tensor
        ``[classes]`` float32.
    """
    counts = torch.bincount(torch.as_tensor(labels, dtype=torch.long), minlength=classes or 0).float()
    there = counts > 0
    return torch.where(there, counts.sum() / (there.sum() * counts.clamp(min=1)), torch.zeros(()))


def weighted_bce(logits: Tensor, target: Tensor, positive_weight: float = 1.0, smoothing: float = 0.0) -> Tensor:
    """Binary cross-entropy in which a positive case weighs ``positive_weight``.

    Parameters
    ----------
    logits, target
        Of the same shape; targets 0 to 1.
    smoothing
        Share of the target that is moved to one half (label smoothing).
    """
    wanted = target.float() * (1 - smoothing) + smoothing / 2
    weight = torch.tensor(positive_weight, device=logits.device)
    return functional.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weight)


def multi_task(heads: Mapping[str, tuple[float, HeadLoss]]) -> Callable[[Mapping[str, Tensor], Batch], Tensor]:
    """Make one loss of those of several heads.

    Parameters
    ----------
    heads
        By the name of the head in the network's output: its weight, and its loss of that output and the batch.

    Returns
    -------
    Callable
        Takes the network's output, a mapping with all heads, and the batch.
    """

    def loss(output: Mapping[str, Tensor], batch: Batch) -> Tensor:
        parts = [weight * head(output[name], batch) for name, (weight, head) in heads.items()]
        return torch.stack(parts).sum()

    return loss
