"""Stays as tensors: what is fixed, and what is hidden or dropped anew in each epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from models.labs.networks import LEVELS, AutoEncoder, Member, Summarist
from models.labs.tensors import tensors_of
from models.labs.variables import VARIABLES
from models.training.labs_risk.data import Stay

Tensor = torch.Tensor

#: Share of the values that is hidden from the network, to be reconstructed.
HIDDEN = 0.15

#: How often a stay is thinned (each value is kept with a probability of 0.3 to 1), and how often each of its
#: variables is dropped with a probability of 0.1: records of a ward have fewer values than those of intensive care.
THINNED = 0.5
DROPPED = 0.5
_KEEP_LEAST = 0.3
_DROP = 0.1


class StaySet:
    """Training set of :func:`models.training.framework.fit.fit`."""

    def __init__(self, stays: Sequence[Stay]) -> None:
        self.labels = [int(stay.died) for stay in stays]
        self.tensors = tensors_of([stay.window for stay in stays])
        self.target = torch.tensor(self.labels, dtype=torch.float32)

    def __len__(self) -> int:
        """Number of stays."""
        return len(self.labels)

    def item(self, index: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Give one stay with some values hidden; ``sought`` are those that the network is to reconstruct."""
        full = self.tensors["mask"][index]
        kept = full * _thinning(full, generator)
        hidden = torch.rand(full.shape, generator=generator) < HIDDEN
        mask = torch.where(hidden, torch.zeros(()), kept)
        mean = self.tensors["mean"][index]
        return {
            "mean": mean * mask,
            "mask": mask,
            "statics": self.tensors["statics"][index],
            "target": self.target[index],
            "whole": mean,
            "sought": full - mask,
        }


def _thinning(mask: Tensor, generator: torch.Generator) -> Tensor:
    """1 for what is kept."""
    thin, drop, share = torch.rand(3, generator=generator).tolist()
    least = _KEEP_LEAST + (1 - _KEEP_LEAST) * share if thin < THINNED else 1.0
    kept = torch.rand(mask.shape, generator=generator) < least
    if drop < DROPPED:
        kept &= torch.rand(len(VARIABLES), generator=generator) >= _DROP
    return kept.float()


def standardise(member: Member, stays: StaySet) -> None:
    """Put medians and spreads of the training stays into a member's buffers."""
    _standardise_grid(member.encoder, stays.tensors["mean"], stays.tensors["mask"])
    standardise_summaries(member.summarist, stays.tensors["summaries"])


def _spread(values: Tensor) -> tuple[float, float]:
    """Median and standard deviation; 0 and 1 of nothing."""
    if values.numel() < 2:
        return 0.0, 1.0
    return float(values.median()), max(float(values.std()), 1e-3)


def _standardise_grid(encoder: AutoEncoder, mean: Tensor, mask: Tensor) -> None:
    for number in range(len(VARIABLES)):
        encoder.centre[number], encoder.spread[number] = _spread(mean[..., number][mask[..., number] > 0])


def standardise_summaries(summarist: Summarist, summaries_: Tensor) -> None:
    """Put medians and spreads of summaries ``[n, summary, variable]`` into a linear part's buffers."""
    there = summaries_[:, -1] > 0
    for number in range(len(VARIABLES)):
        rows = summaries_[there[:, number], :, number]
        for level in range(LEVELS):
            centre, spread = _spread(rows[:, level])
            summarist.centre[level, number], summarist.spread[level, number] = centre, spread
        summarist.trend_spread[number] = _spread(rows[:, LEVELS])[1]
