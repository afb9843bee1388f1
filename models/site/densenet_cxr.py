"""DenseNet-121 for chest radiographs with weights from a local file: the CheXNet and the torchxrayvision families.

* CheXNet (Rajpurkar et al., arXiv:1711.05225), as in the re-implementation ``arnoweng/CheXNet``: 14 classes, the
  shorter side scaled to 256, ten crops of 224, three channels normalised as for ImageNet, mean of the ten sigmoids.
* torchxrayvision (Cohen et al., MIDL 2022): 18 classes, centre square, 224 pixels, values from -1024 to 1024; its
  calibration by operating points maps each point to 0.5.

The layers bear the names of torchvision's DenseNet, so that weights of both families fit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from models.site.bundle_network import checkpoint
from models.site.card import SiteCard
from models.site.errors import ModelRefused
from models.site.step_grids import CropSquare, Resize
from models.site.step_values import Channels, ScaleRange, ZScore
from models.site.steps import Step

#: Codes as the knowledge graph of this project has them, and as CID 6104 and 6105 do; the rest is not coded.
CODES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "Atelectasis": ("46621007", "SCT", "Atelectasis"),
        "Cardiomegaly": ("8186001", "SCT", "Cardiomegaly"),
        "Consolidation": ("95436008", "SCT", "Lung consolidation"),
        "Edema": ("19242006", "SCT", "Pulmonary edema"),
        "Effusion": ("60046008", "SCT", "Pleural effusion"),
        "Emphysema": ("87433001", "SCT", "Emphysema"),
        "Fibrosis": ("51615001", "SCT", "Pulmonary fibrosis"),
        "Infiltration": ("112121", "DCM", "Infiltrate"),
        "Lung Opacity": ("112120", "DCM", "Opacity"),
        "Mass": ("4147007", "SCT", "Mass"),
        "Nodule": ("27925004", "SCT", "Nodule"),
        "Pneumonia": ("233604007", "SCT", "Pneumonia"),
        "Pneumothorax": ("36118008", "SCT", "Pneumothorax"),
    }
)

CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "chexnet": (
            "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
            "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
        ),
        "torchxrayvision": (
            "Atelectasis", "Consolidation", "Infiltration", "Pneumothorax", "Edema", "Emphysema", "Fibrosis",
            "Effusion", "Pneumonia", "Pleural_Thickening", "Cardiomegaly", "Nodule", "Mass", "Hernia", "Lung Lesion",
            "Fracture", "Lung Opacity", "Enlarged Cardiomediastinum",
        ),
    }
)  # fmt: skip

STEPS: Mapping[str, tuple[Step, ...]] = MappingProxyType(
    {
        "chexnet": (
            Resize(size=(256, 256), by="shortest", antialias=True),
            Channels(count=3),
            ZScore(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225)),
        ),
        "torchxrayvision": (
            CropSquare(),
            Resize(size=(224, 224), antialias=True),
            ScaleRange.model_validate({"from": (0.0, 1.0), "to": (-1024.0, 1024.0)}),
        ),
    }
)

CROP = 224
BLOCKS = (6, 12, 24, 16)
GROWTH = 32


def derived(kind: str) -> dict[str, Any]:
    """What a card of the family need not say."""
    outputs = []
    for name in CLASSES[kind]:
        label = name.lower().replace(" ", "-").replace("_", "-")
        output: dict[str, Any] = {
            "label": label,
            "name": name.replace("_", " ").capitalize(),
            "category": "abnormality",
        }
        if name in CODES:
            output["code"], output["scheme"], output["meaning"] = CODES[name]
        outputs.append(output)
    needs = {"kind": "radiograph", "modality": ["CR", "DX"], "body_parts": ["CHEST", "THORAX"], "views": ["PA", "AP"]}
    return {
        "input": needs | {"min_pixels": CROP},
        "engine": {"kind": kind, "task": "classification", "activation": "none"},
        "outputs": outputs,
    }


def load(path: Path, card: SiteCard, device: torch.device) -> Callable[[torch.Tensor], Any]:
    """Load weights: a file of tensors by name (``torch.save(model.state_dict(), ...)``, or safetensors).

    Raises
    ------
    ModelRefused
        If the file holds whole objects, or the tensors are not those of the family.
    """
    kind = card.engine.kind
    tensors = {renamed(name): value for name, value in checkpoint(path).items()}
    points = tensors.pop("op_threshs", None)
    network = DenseNet121(len(CLASSES[kind]), channels=3 if kind == "chexnet" else 1)
    counted = {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}
    wanted = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    odd = sorted(wanted.keys() ^ counted.keys()) or sorted(n for n in wanted if wanted[n].shape != counted[n].shape)
    if odd:
        raise ModelRefused(f"{path.name} is no {kind}: {len(odd)} tensors differ, the first is {odd[0]}")
    network.load_state_dict(tensors, strict=False)
    network = network.to(device).eval()
    if kind == "chexnet":
        return lambda image: ten_crops(network, image)
    given = torch.tensor(card.engine.thresholds) if card.engine.thresholds else points
    if given is not None and given.numel() != len(CLASSES[kind]):
        raise ModelRefused(f"thresholds has {given.numel()} numbers; {kind} has {len(CLASSES[kind])} classes")
    return lambda image: calibrated(torch.sigmoid(network(image)), given)


def renamed(name: str) -> str:
    """Name of a tensor as torchvision has it: older files write ``norm.1`` and wrap the network."""
    plain = name.removeprefix("module.").removeprefix("densenet121.")
    for part in ("norm.1", "norm.2", "conv.1", "conv.2"):
        plain = plain.replace(f".{part}.", f".{part.replace('.', '')}.")
    return plain.replace("classifier.0.", "classifier.")


def ten_crops(network: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """Mean of the sigmoids over the four corners and the centre of an image, and the same of its mirror image."""
    rows, columns = image.shape[-2:]
    low, left = rows - CROP, columns - CROP
    places = [(0, 0), (0, left), (low, 0), (low, left), (round(low / 2), round(left / 2))]
    crops = [
        side[..., row : row + CROP, column : column + CROP]
        for side in (image, image.flip(-1))
        for row, column in places
    ]
    mean: torch.Tensor = torch.sigmoid(network(torch.cat(crops))).mean(0, keepdim=True)
    return mean


def calibrated(values: torch.Tensor, points: torch.Tensor | None) -> torch.Tensor:
    """Move each class's operating point to 0.5, linearly on both sides (torchxrayvision's ``op_norm``).

    A class without a point (not a number) stays as it is.
    """
    if points is None:
        return values
    at = points.to(values)
    moved = torch.where(values < at, values / (2 * at), 1 - (1 - values) / (2 * (1 - at)))
    return torch.where(torch.isnan(at), values, moved)


class _Layer(nn.Sequential):
    def __init__(self, channels: int) -> None:
        super().__init__(
            OrderedDict(
                norm1=nn.BatchNorm2d(channels),
                relu1=nn.ReLU(inplace=True),
                conv1=nn.Conv2d(channels, 4 * GROWTH, 1, bias=False),
                norm2=nn.BatchNorm2d(4 * GROWTH),
                relu2=nn.ReLU(inplace=True),
                conv2=nn.Conv2d(4 * GROWTH, GROWTH, 3, padding=1, bias=False),
            )
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        new: torch.Tensor = super().forward(image)  # type: ignore[no-untyped-call]
        return torch.cat([image, new], 1)


class DenseNet121(nn.Module):
    """DenseNet-121 (Huang et al., CVPR 2017): image ``[n, channel, row, column]`` to logits ``[n, class]``."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(64),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(3, stride=2, padding=1),
        )
        width = 64
        for number, count in enumerate(BLOCKS, start=1):
            block: OrderedDict[str, nn.Module] = OrderedDict(
                (f"denselayer{n + 1}", _Layer(width + n * GROWTH)) for n in range(count)
            )
            layers[f"denseblock{number}"] = nn.Sequential(block)
            width += count * GROWTH
            if number < len(BLOCKS):
                layers[f"transition{number}"] = nn.Sequential(
                    OrderedDict(
                        norm=nn.BatchNorm2d(width),
                        relu=nn.ReLU(inplace=True),
                        conv=nn.Conv2d(width, width // 2, 1, bias=False),
                        pool=nn.AvgPool2d(2, stride=2),
                    )
                )
                width //= 2
        layers["norm5"] = nn.BatchNorm2d(width)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(width, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits."""
        found = torch.relu(self.features(image)).mean((-2, -1))
        logits: torch.Tensor = self.classifier(found)
        return logits
