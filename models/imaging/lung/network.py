"""The network that tells nodules from other blobs: two small 3-D branches, one near and fine, one wide and coarse."""

from __future__ import annotations

import torch

Tensor = torch.Tensor

#: Voxels along each axis of a patch.
PATCH = 24

#: Channels of the three stages of a branch, each of half the resolution of the one before.
CHANNELS = (16, 32, 48)

#: Numbers that describe a candidate beside its patches: scale and strength.
EXTRA = 2


def _block(before: int, after: int, stride: int) -> torch.nn.Sequential:
    return torch.nn.Sequential(
        torch.nn.Conv3d(before, after, 3, stride=stride, padding=1, bias=False),
        torch.nn.BatchNorm3d(after),
        torch.nn.ReLU(inplace=True),
    )


class Branch(torch.nn.Module):
    """``[n, 1, 24, 24, 24]`` to a vector of the largest and the middle values of each channel."""

    def __init__(self, channels: tuple[int, ...] = CHANNELS) -> None:
        super().__init__()
        first, second, third = channels
        self.stages = torch.nn.Sequential(
            _block(1, first, 1),
            _block(first, second, 2),
            _block(second, third, 2),
            _block(third, third, 1),
        )

    def forward(self, patch: Tensor) -> Tensor:
        """Describe patches."""
        found = self.stages(patch)
        middle = found[:, :, 2:4, 2:4, 2:4].mean((2, 3, 4))
        return torch.cat([found.amax((2, 3, 4)), middle, found.mean((2, 3, 4))], 1)


class NoduleNetwork(torch.nn.Module):
    """``[n, 2, 24, 24, 24]`` (near, wide) and ``[n, 2]`` (scale, strength) to a logit ``[n]``."""

    def __init__(self, channels: tuple[int, ...] = CHANNELS) -> None:
        super().__init__()
        self.near, self.wide = Branch(channels), Branch(channels)
        self.head = torch.nn.Sequential(
            torch.nn.Linear(6 * channels[-1] + EXTRA, 64),
            torch.nn.ReLU(inplace=True),
            torch.nn.Dropout(0.2),
            torch.nn.Linear(64, 1),
        )

    def forward(self, patches: Tensor, extra: Tensor) -> Tensor:
        """Give logits."""
        described = torch.cat([self.near(patches[:, :1]), self.wide(patches[:, 1:]), extra], 1)
        logit: Tensor = self.head(described)[:, 0]
        return logit


def channels_last(network: NoduleNetwork) -> NoduleNetwork:
    """Lay out 3-D convolution weights channels last, which processors and GPUs compute faster; the numbers stay."""
    for parameter in network.parameters():
        if parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    return network
