"""The network: two-dimensional convolutions over the spectrogram, a bidirectional GRU, attention over time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from models.signals.heart_sound.spectrogram import BANDS

Tensor = torch.Tensor

#: Frames of the spectrogram for one step of the attention.
STRIDE = 4


@dataclass(frozen=True, slots=True)
class NetworkShape:
    """Sizes of the network."""

    channels: tuple[int, int, int] = (12, 24, 40)
    recurrent: int = 32
    dropout: float = 0.3


def _block(before: int, after: int, pool: tuple[int, int], dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.SiLU(),
        nn.MaxPool2d(pool),
        nn.Dropout2d(dropout),
    )


class HeartSoundNetwork(nn.Module):
    """Spectrogram ``[batch, band, frame]`` to the logit of an abnormal sound ``[batch]``."""

    def __init__(self, shape: NetworkShape | None = None) -> None:
        super().__init__()
        shape = shape or NetworkShape()
        a, b, c = shape.channels
        self.stem = nn.Sequential(nn.Conv2d(1, a, 5, (2, 1), 2, bias=False), nn.BatchNorm2d(a), nn.SiLU())
        self.blocks = nn.Sequential(
            _block(a, b, (2, 2), shape.dropout / 3), _block(b, c, (2, 2), shape.dropout / 3),
            _block(c, c, (2, 1), shape.dropout / 3),
        )  # fmt: skip
        wide = c * (BANDS // 16)
        self.recurrent = nn.GRU(wide, shape.recurrent, batch_first=True, bidirectional=True)
        after = 2 * shape.recurrent
        self.attention = nn.Sequential(nn.Linear(after, 32), nn.Tanh(), nn.Linear(32, 1))
        self.head = nn.Sequential(nn.Dropout(shape.dropout), nn.Linear(2 * after, 1))

    def forward(self, spectrogram: Tensor) -> Tensor:
        """Give the logit."""
        seen = self.blocks(self.stem(spectrogram.unsqueeze(1)))
        steps = seen.flatten(1, 2).transpose(1, 2)
        steps, _ = self.recurrent(steps)
        weights = self.attention(steps).softmax(dim=1)
        pooled = torch.cat([(steps * weights).sum(dim=1), steps.mean(dim=1)], dim=1)
        out: Tensor = self.head(pooled).squeeze(-1)
        return out
