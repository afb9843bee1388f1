"""The network: convolutions down to 6.25 Hz, a bidirectional GRU over time, attention over time, two heads.

Every lead goes through the same convolutions, and what they give is averaged over the leads: one network reads one lead
or twelve, in any order, and what is learnt of single leads holds for twelve.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from models.signals.ecg.intervals import NAMES

Tensor = torch.Tensor

#: The rhythms of the first head, in its order; the second head says whether the strip is too noisy to be read.
RHYTHMS = ("normal", "atrial fibrillation", "other")
NORMAL, FIBRILLATION, OTHER = range(3)

#: Samples of the input for one step of the recurrent part.
STRIDE = 16


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """Sizes of the network."""

    channels: tuple[int, int, int, int] = (20, 28, 40, 56)
    recurrent: int = 48
    numbers: int = 32
    dropout: float = 0.25


class Block(nn.Module):
    """Two convolutions with a shortcut; the first one strides."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, dropout: float) -> None:
        super().__init__()
        pad = kernel // 2
        self.first = nn.Conv1d(before, after, kernel, stride, pad, bias=False)
        self.first_norm = nn.BatchNorm1d(after)
        self.second = nn.Conv1d(after, after, kernel, 1, pad, bias=False)
        self.second_norm = nn.BatchNorm1d(after)
        self.shortcut = nn.Conv1d(before, after, 1, stride)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[batch, before, n]`` to ``[batch, after, n / stride]``."""
        y = nn.functional.silu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(self.dropout(y)))
        out: Tensor = nn.functional.silu(y + self.shortcut(x))
        return out


class RhythmNetwork(nn.Module):
    """Signal and numbers of a strip to logits of its rhythm and of noise."""

    def __init__(self, shape: NetworkShape | None = None) -> None:
        super().__init__()
        shape = shape or NetworkShape()
        a, b, c, d = shape.channels
        self.stem = nn.Sequential(nn.Conv1d(1, a, 15, 2, 7, bias=False), nn.BatchNorm1d(a), nn.SiLU())
        self.blocks = nn.Sequential(
            Block(a, b, 7, 2, shape.dropout / 2), Block(b, c, 5, 2, shape.dropout / 2), Block(c, d, 5, 2, shape.dropout)
        )
        self.recurrent = nn.GRU(d, shape.recurrent, batch_first=True, bidirectional=True)
        self.attention = nn.Sequential(
            nn.Linear(2 * shape.recurrent, shape.recurrent), nn.Tanh(), nn.Linear(shape.recurrent, 1)
        )
        self.numbers = nn.Sequential(
            nn.BatchNorm1d(len(NAMES)), nn.Linear(len(NAMES), shape.numbers), nn.SiLU(), nn.Dropout(shape.dropout / 2)
        )
        joined = 4 * shape.recurrent + shape.numbers
        self.rhythm = nn.Sequential(nn.Dropout(shape.dropout), nn.Linear(joined, len(RHYTHMS)))
        self.noise = nn.Sequential(nn.Dropout(shape.dropout), nn.Linear(joined, 1))

    def forward(self, signal: Tensor, numbers: Tensor, length: Tensor) -> Tensor:
        """Give logits.

        Parameters
        ----------
        signal
            ``[batch, lead, sample]``; the number of samples is a multiple of :data:`STRIDE`.
        numbers
            ``[batch, number]``, the first as :data:`models.signals.ecg.intervals.NAMES` says; what follows is not read.
        length
            ``[batch]``: samples that are signal; what follows is padding.

        Returns
        -------
        tensor
            ``[batch, 4]``: three rhythms, then noise (a logit of its own).
        """
        batch, leads, samples = signal.shape
        seen = self.blocks(self.stem(signal.reshape(batch * leads, 1, samples)))
        seen = seen.reshape(batch, leads, *seen.shape[1:]).mean(dim=1)
        steps, _ = self.recurrent(seen.transpose(1, 2))
        there = torch.arange(steps.shape[1], device=steps.device)[None, :] < (length[:, None] / STRIDE)
        weights = self.attention(steps).squeeze(-1).masked_fill(~there, float("-inf")).softmax(dim=1)
        attended = (steps * weights.unsqueeze(-1)).sum(dim=1)
        share = there.float() / there.sum(dim=1, keepdim=True).clamp(min=1)
        mean, known = (steps * share.unsqueeze(-1)).sum(dim=1), self.numbers(numbers[:, : len(NAMES)])
        joined = torch.cat([attended, mean, known], dim=1)
        return torch.cat([self.rhythm(joined), self.noise(joined)], dim=1)
