"""The small convolutional network of the chest radiographs: residual blocks with attention over channels.

Attention: squeeze and excitation, Hu J et al. CVPR 2018 (arXiv:1709.01507), section 3. Normalisation by groups (Wu Y,
He K. ECCV 2018), so that a prediction does not depend on what else is in the batch or was in the training.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

Tensor = torch.Tensor

#: Channels of the stages; each but the first halves the grid: 28, 14 and 7 pixels.
WIDTHS = (16, 32, 64)

#: Channels that are normalised together are an eighth of all.
GROUPS = 8

#: Part of the channels that the attention's bottleneck has.
SQUEEZE = 4

DROPOUT = 0.2


class Attention(nn.Module):
    """Weigh each channel by what all channels hold on average (squeeze and excitation)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // SQUEEZE)
        self.excite = nn.Linear(channels // SQUEEZE, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """``[batch, channel, row, column]`` to the same."""
        weights = torch.sigmoid(self.excite(torch.relu(self.squeeze(maps.mean((2, 3))))))
        return maps * weights[:, :, None, None]


class Block(nn.Module):
    """Two convolutions with attention, added to what came in."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.first_norm = nn.GroupNorm(GROUPS, after)
        self.second = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.second_norm = nn.GroupNorm(GROUPS, after)
        self.attention = Attention(after)
        same = before == after and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """``[batch, before, row, column]`` to ``[batch, after, row / stride, column / stride]``."""
        inner = torch.relu(self.first_norm(self.first(maps)))
        return torch.relu(self.attention(self.second_norm(self.second(inner))) + self.shortcut(maps))


class Trunk(nn.Module):
    """What all chest networks share: a standardised picture to maps of 7 x 7."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, widths[0], 3, 1, 1, bias=False), nn.GroupNorm(GROUPS, widths[0]))
        blocks = [Block(widths[0], widths[0], 1)]
        for before, after in pairwise(widths):
            blocks += [Block(before, after, 2), Block(after, after, 1)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, pictures: Tensor) -> Tensor:
        """``[batch, 1, 28, 28]`` to ``[batch, channel, 7, 7]``."""
        maps: Tensor = self.blocks(torch.relu(self.stem(pictures)))
        return maps


class ChestNetwork(nn.Module):
    """A trunk and a head: logits of ``classes``."""

    def __init__(self, classes: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.trunk = Trunk(widths)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(widths[-1], classes)

    def features(self, pictures: Tensor) -> Tensor:
        """``[batch, 1, 28, 28]`` to the mean of each map, ``[batch, channel]``."""
        maps: Tensor = self.trunk(pictures)
        return maps.mean((2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        """``[batch, 1, 28, 28]`` to ``[batch, classes]``."""
        logits: Tensor = self.head(self.dropout(self.features(pictures)))
        return logits


class Ensemble(nn.Module):
    """Networks of one shape that were trained from different beginnings, each with one logit."""

    def __init__(self, members: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.members = nn.ModuleList(ChestNetwork(1, widths) for _ in range(members))

    @property
    def networks(self) -> list[ChestNetwork]:
        """The members."""
        return [member for member in self.members if isinstance(member, ChestNetwork)]

    def forward(self, pictures: Tensor) -> Tensor:
        """``[batch, 1, 28, 28]`` to the members' logits, ``[batch, member]``; each the mean with the mirror image."""
        both = torch.cat([pictures, pictures.flip(-1)])
        logits = torch.cat([member(both) for member in self.networks], 1)
        straight, mirrored = logits.chunk(2)
        return (straight + mirrored) / 2
