"""The U-Net is MONAI's, and nothing of MONAI is loaded for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from monai.networks.nets.dynunet import DynUNet

from models.imaging.networks import UNetShape, build_unet
from models.runtime import load_into, named_tensors


def monais(shape: UNetShape) -> torch.nn.Module:
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


@pytest.mark.parametrize("filters", [(4, 8, 8), (4, 6, 8, 10), (24, 48, 96, 128)])
@pytest.mark.parametrize("training", [False, True])
def test_it_gives_what_monais_network_gives_with_the_same_weights(filters: tuple[int, ...], training: bool) -> None:
    torch.manual_seed(1)
    shape = UNetShape(classes=3, filters=filters)
    theirs, ours = monais(shape), build_unet(shape)
    load_into(ours, named_tensors(theirs))
    image = torch.randn(2, 1, 16, 24, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours.train(training)(image), theirs.train(training)(image), rtol=0, atol=0)


def test_fresh_weights_are_drawn_as_wide_as_monais() -> None:
    torch.manual_seed(1)
    theirs, ours = (named_tensors(made(UNetShape(classes=3))) for made in (monais, build_unet))
    for name, value in theirs.items():
        if value.dim() == 5 and value.numel() > 5000:
            assert ours[name].std().item() == pytest.approx(value.std().item(), rel=0.05), name
        elif value.dim() == 1:
            torch.testing.assert_close(ours[name], value)


def test_the_shipped_models_are_loaded_without_monai() -> None:
    code = (
        "import sys\nfrom models import catalog\nfor name in catalog.names(): catalog.load(name, device='cpu')\n"
        "assert 'monai' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
