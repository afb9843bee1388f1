"""Bundles and files that MONAI's own tools wrote."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle.scripts import ckpt_export

from models.catalog import Catalogue
from tests.models.site.makers import bright_box, imported, segmentation_card, slanted
from tests.models.site.test_bundle import spleen_bundle, unet


def traced(network: torch.nn.Module) -> Any:
    return torch.jit.trace(network, torch.zeros(1, 1, 16, 16, 16))  # type: ignore[no-untyped-call]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A bundle whose network ``monai.bundle.ckpt_export`` wrote as TorchScript."""
    folder = spleen_bundle(tmp_path / "spleen")
    ckpt_export(
        net_id="network_def",
        filepath=str(folder / "models" / "model.ts"),
        meta_file=str(folder / "configs" / "metadata.json"),
        config_file=str(folder / "configs" / "inference.json"),
        ckpt_file=str(folder / "models" / "model.pt"),
        use_trace=False,
    )
    return folder


@pytest.mark.filterwarnings("ignore")
def test_the_torchscript_of_monais_export_draws_what_the_checkpoint_draws(exported: Path, tmp_path: Path) -> None:
    volume, _ = bright_box(slanted())
    drawn = []
    for number in range(2):
        imported(exported, tmp_path / f"root{number}")
        drawn.append(Catalogue(tmp_path / f"root{number}").load("spleen", "cpu").predict(volume).labels)
        (exported / "models" / "model.pt").unlink(missing_ok=True)  # the second time it is model.ts

    assert drawn[0] is not None
    assert drawn[1] is not None
    assert np.array_equal(drawn[0], drawn[1])


@pytest.mark.filterwarnings("ignore")
def test_the_same_file_runs_by_itself_with_a_card(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    shutil.copy(exported / "models" / "model.ts", folder)
    (folder / "model.toml").write_text(segmentation_card("torchscript"), encoding="utf-8")

    assert imported(folder, tmp_path / "root").new


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", [torch.jit.script, traced], ids=["script", "trace"])
def test_a_network_of_monai_passes_by_both_ways_of_pytorch(tmp_path: Path, way: Any) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    way(unet()).save(str(folder / "model.ts"))
    (folder / "model.toml").write_text(segmentation_card("torchscript"), encoding="utf-8")

    assert imported(folder, tmp_path / "root").new
