"""Network shapes of the image models.

The U-Net is that of MONAI's ``DynUNet`` (after nnU-Net: Isensee et al., Nature Methods 2021), layer for layer and with
the names of its weights. It is written out here since importing any part of MONAI loads four thousand modules, which
takes a process for models longer than everything else at its start.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

#: Each stage but the first halves the grid, so input lengths are multiples of ``2 ** (stages - 1)``.
HIPPOCAMPUS_FILTERS = (24, 48, 96, 128)

#: Slope of the activations below zero.
_SLOPE = 0.01

Tensor = torch.Tensor


@dataclass(frozen=True, slots=True)
class UNetShape:
    """Shape of a 3-D U-Net with instance normalisation.

    Parameters
    ----------
    classes
        Output channels, background included.
    filters
        Channels of each stage, finest first.
    """

    classes: int
    filters: tuple[int, ...] = HIPPOCAMPUS_FILTERS

    @property
    def multiple(self) -> int:
        """Input lengths must be multiples of this."""
        return int(2 ** (len(self.filters) - 1))


def build_unet(shape: UNetShape) -> nn.Module:
    """Make the network with fresh weights; ``[batch, 1, z, y, x]`` to logits ``[batch, classes, z, y, x]``.

    While training it gives ``[batch, 2, classes, z, y, x]``: the logits and those of the stage below (deep
    supervision, resized to the full grid).
    """
    return UNet(shape.classes, shape.filters)


class UNet(nn.Module):
    """A 3-D U-Net with strided convolutions, one level of deep supervision, and weights after He et al. (2015)."""

    def __init__(self, classes: int, filters: Sequence[int]) -> None:
        super().__init__()
        steps = list(pairwise(filters))
        self.input_block = _Block(1, filters[0], stride=1)
        self.downsamples = nn.ModuleList(_Block(finer, coarser, stride=2) for finer, coarser in steps[:-1])
        self.bottleneck = _Block(*steps[-1], stride=2)
        self.upsamples = nn.ModuleList(_Up(coarser, finer) for finer, coarser in reversed(steps))
        self.output_block = _Out(filters[0], classes)
        self.deep_supervision_heads = nn.ModuleList([_Out(filters[1], classes)])
        self.apply(_initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Give logits, while training also those of the stage below."""
        kept = [self.input_block(image)]
        for block in self.downsamples:
            kept.append(block(kept[-1]))
        fine: Tensor = self.bottleneck(kept[-1])
        below = fine
        for up, beside in zip(self.upsamples, reversed(kept), strict=True):
            below, fine = fine, up(fine, beside)
        logits: Tensor = self.output_block(fine)
        if not self.training:
            return logits
        resized = nn.functional.interpolate(self.deep_supervision_heads[0](below), logits.shape[2:])
        return torch.stack([logits, resized], dim=1)


class _Block(nn.Module):
    """Two convolutions, each normalised and activated; the first one may halve the grid."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _named(nn.Conv3d(channels, filters, 3, stride, 1, bias=False))
        self.conv2 = _named(nn.Conv3d(filters, filters, 3, 1, 1, bias=False))
        self.norm1 = nn.InstanceNorm3d(filters, affine=True)
        self.norm2 = nn.InstanceNorm3d(filters, affine=True)
        self.lrelu = nn.LeakyReLU(_SLOPE, inplace=True)

    def forward(self, image: Tensor) -> Tensor:
        once: Tensor = self.lrelu(self.norm1(self.conv1(image)))
        twice: Tensor = self.lrelu(self.norm2(self.conv2(once)))
        return twice


class _Up(nn.Module):
    """The coarser stage on the finer grid, and a block over it and what that grid had on the way down."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.transp_conv = _named(nn.ConvTranspose3d(channels, filters, 2, 2, bias=False))
        self.conv_block = _Block(2 * filters, filters, stride=1)

    def forward(self, coarse: Tensor, beside: Tensor) -> Tensor:
        found: Tensor = self.conv_block(torch.cat((self.transp_conv(coarse), beside), dim=1))
        return found


class _Out(nn.Module):
    """A logit for each class at each voxel."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv = _named(nn.Conv3d(channels, classes, 1))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.conv(image)
        return logits


def _named(layer: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(conv=layer))


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(layer.weight, a=_SLOPE)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
