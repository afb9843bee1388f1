"""Network shapes of the image models, built from MONAI."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from monai.networks.nets.dynunet import DynUNet

#: Each stage but the first halves the grid, so input lengths are multiples of ``2 ** (stages - 1)``.
HIPPOCAMPUS_FILTERS = (24, 48, 96, 128)


@dataclass(frozen=True, slots=True)
class UNetShape:
    """Shape of a 3-D U-Net with instance normalisation (MONAI's DynUNet, after nnU-Net).

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


def build_unet(shape: UNetShape) -> torch.nn.Module:
    """Make the network with fresh weights; ``[batch, 1, z, y, x]`` to logits ``[batch, classes, z, y, x]``.

    While training it gives ``[batch, 2, classes, z, y, x]``: the logits and those of the stage below (deep
    supervision, resized to the full grid).
    """
    stages = len(shape.filters)
    network: torch.nn.Module = DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=shape.classes,
        kernel_size=[3] * stages,
        strides=[1] + [2] * (stages - 1),
        upsample_kernel_size=[2] * (stages - 1),
        filters=list(shape.filters),
        norm_name=("INSTANCE", {"affine": True}),
        deep_supervision=True,
        deep_supr_num=1,
    )
    return network
