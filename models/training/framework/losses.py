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


def focal_loss(logits: Tensor, target: Tensor, gamma: float = 2.0, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy that weighs a case by ``(1 - p)**gamma``, with p the probability of its true class.

    Lin et al., Focal loss for dense object detection, ICCV 2017, equation 5.

    Parameters
    ----------
    logits
        ``[n]`` of one class with ``target`` ``[n]`` of 0 and 1, or ``[n, classes]`` with ``target`` ``[n]`` of numbers.
    weights
        ``[classes]`` (two for one logit), such as :func:`class_weights` gives.
    """
    two = torch.stack([torch.zeros_like(logits), logits], dim=-1) if logits.ndim == 1 else logits
    index = target.long().unsqueeze(1)
    log_p = functional.log_softmax(two, dim=1).gather(1, index).squeeze(1)
    losses = -((1 - log_p.exp()) ** gamma) * log_p
    return (losses if weights is None else losses * weights.to(losses.device)[target.long()]).mean()


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
