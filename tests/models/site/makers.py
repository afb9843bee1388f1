"""Models as a site might bring them, small and made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.contracts import Geometry, Radiograph, Volume
from models.site import dry_run
from models.site.bring import Brought, bring


def oblique(
    shape: tuple[int, int, int] = (20, 24, 28), seed: int = 0, spacing: tuple[float, float, float] = (3.0, 1.1, 0.9)
) -> Geometry:
    """A grid turned out of the patient's axes, with unequal steps."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn * np.array(spacing)
    affine[:3, 3] = rng.normal(0, 40, 3)
    return Geometry(affine, shape)


def slanted(
    shape: tuple[int, int, int] = (20, 24, 28), spacing: tuple[float, float, float] = (3.0, 1.1, 0.9)
) -> Geometry:
    """An axial stack turned by 12 degrees, rows to the anterior."""
    turn = np.radians(12)
    directions = np.array([[0, np.sin(turn), np.cos(turn)], [0, -np.cos(turn), np.sin(turn)], [1, 0, 0]])
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing)
    affine[:3, 3] = (-30, 25, -11)
    return Geometry(affine, shape)


def bright_box(geometry: Geometry, modality: str = "CT") -> tuple[Volume, npt.NDArray[np.bool_]]:
    """A dark volume with one bright box that lies off the centre, and where it is."""
    inside = np.zeros(geometry.shape, dtype=bool)
    a, b, c = geometry.shape
    inside[a // 5 : a // 2, b // 4 : 2 * b // 3, c // 6 : c // 2] = True
    array = np.where(inside, 900.0, -200.0).astype(np.float32)
    array += np.random.default_rng(0).normal(0, 1, geometry.shape).astype(np.float32)
    return Volume(array, geometry, modality), inside


def radiograph(shape: tuple[int, int] = (300, 260), seed: int = 0) -> Radiograph:
    """A picture of noise on a slope."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0, 1, shape[0])[:, None] * np.ones(shape[1])
    array = np.clip(slope * 0.8 + rng.uniform(0, 0.2, shape), 0, 1)
    return Radiograph(array.astype(np.float32), "DX", "PA", (0.2, 0.2), {"BodyPartExamined": "CHEST"})


class Threshold(torch.nn.Module):
    """Two channels of logits: the image is bright or it is not; as exact as a network can be."""

    def __init__(self, at: float = 0.5) -> None:
        super().__init__()
        self.at = torch.nn.Parameter(torch.tensor(at))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits."""
        bright = (image - self.at) * 50.0
        return torch.cat([-bright, bright], 1)


class Mean(torch.nn.Module):
    """Logits of two findings by the mean of the picture."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits."""
        mean = image.mean(dim=[1, 2, 3])
        return torch.stack([mean * 4.0, -mean * 4.0], 1)


SEGMENTATION = """
[model]
name = "bright"
version = "1.0.0"
title = "Bright things"
licence = "CC0"
limits = ["A test."]

[input]
modality = "CT"
orientation = "RAS"
spacing = [1.0, 1.0, 1.5]
normalisation = [{ step = "range", from = [-200, 900], to = [0, 1], clip = true }]
<input>

[engine]
kind = "<kind>"
task = "segmentation"
activation = "softmax"
<engine>

[[outputs]]
label = "spleen"
<output>
"""


def segmentation_card(
    kind: str, *, engine: str = "", input_: str = "", output: str = "", version: str = "1.0.0"
) -> str:
    """Card of a model that draws what is bright as the spleen."""
    text = SEGMENTATION.replace("<kind>", kind).replace("<engine>", engine)
    return text.replace("<input>", input_).replace("<output>", output).replace("1.0.0", version)


CLASSIFICATION = """
[model]
name = "greyness"
version = "2.1"
title = "How bright a radiograph is"
licence = "CC0"

[input]
kind = "radiograph"
modality = ["CR", "DX"]
size = [32, 32]

[engine]
kind = "<kind>"
task = "classification"
activation = "sigmoid"
<engine>

[[outputs]]
label = "bright"
name = "Bright"
code = "112120"
scheme = "DCM"
meaning = "Opacity"

[[outputs]]
label = "dark"
"""


def classification_card(kind: str, engine: str = "") -> str:
    """Card of a model that says whether a radiograph is bright."""
    return CLASSIFICATION.replace("<kind>", kind).replace("<engine>", engine)


def script(folder: Path, network: torch.nn.Module, card: str) -> Path:
    """Write a TorchScript model with its card."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.toml").write_text(card, encoding="utf-8")
    made: Any = torch.jit.script(network)
    made.save(str(folder / "model.ts"))
    return folder


def imported(path: Path, root: Path, **options: Any) -> Brought:
    """Import with the dry run in this process, for it is quicker."""
    return bring(path, root, trial=dry_run.in_process, device="cpu", **options)


#: A small field of view keeps the study of the dry run small.
CARD = '[model]\nlicence = "Apache-2.0"\n[input]\naccept_extent_mm = [0, 64]\n'


def bundle(
    folder: Path,
    network: dict[str, Any],
    weights: dict[str, torch.Tensor],
    *,
    preprocessing: list[dict[str, Any]],
    postprocessing: list[dict[str, Any]],
    answer: dict[str, Any],
    inferer: dict[str, Any] | None = None,
    shape: tuple[int, ...] = (32, 32, 32),
    more: dict[str, Any] | None = None,
    modality: str = "CT",
) -> Path:
    """Write a bundle as MONAI's model zoo lays them out."""
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    metadata = {
        "version": "0.3.1",
        "task": "A bundle for a test",
        "description": "Made on the spot.",
        "copyright": "Nobody",
        "data_source": "generated",
        "intended_use": "Tests.",
        "eval_metrics": {"mean_dice": 0.5},
        "network_data_format": {
            "inputs": {
                "image": {"type": "image", "modality": modality, "num_channels": 1, "spatial_shape": list(shape)}
            },
            "outputs": {"pred": answer},
        },
    }
    configuration = {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "datalist": "$list(sorted(glob.glob(@output_dir + '/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "LoadImaged", "keys": "image"}, *preprocessing],
        },
        "inferer": inferer or {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Compose", "transforms": postprocessing},
        "initialize": ["$monai.utils.set_determinism(seed=123)"],
        **(more or {}),
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    (folder / "configs" / "inference.json").write_text(json.dumps(configuration), encoding="utf-8")
    (folder / "model.toml").write_text(CARD, encoding="utf-8")
    torch.save(weights, folder / "models" / "model.pt")
    return folder
