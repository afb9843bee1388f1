"""Networks of bundles, made only of what stands on a list: MONAI's networks and torch's layers, with plain arguments.

Nothing is downloaded: whatever a configuration says of pretrained weights, the bundle's own checkpoint is what counts.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.site.bundle_values import Built, Named
from models.site.errors import ModelRefused

#: Networks of ``monai.networks.nets`` that are made of plain arguments and load nothing by themselves.
NETWORKS = frozenset(
    {
        "AHNet", "AttentionUnet", "BasicUNet", "BasicUNetPlusPlus", "BasicUnet", "Classifier", "DenseNet",
        "DenseNet121", "DenseNet169", "DenseNet201", "DenseNet264", "Densenet121", "DynUNet", "DynUnet",
        "EfficientNet", "EfficientNetBN", "FlexibleUNet", "HighResNet", "MedNeXt", "Regressor", "ResNet", "SegResNet",
        "SegResNetDS", "SegResNetDS2", "SegResNetVAE", "SENet", "SENet154", "SEResNet101", "SEResNet152",
        "SEResNet50", "SEResNext101", "SEResNext50", "SwinUNETR", "UNet", "UNETR", "Unet", "VNet", "ViT",
        "resnet10", "resnet101", "resnet152", "resnet18", "resnet200", "resnet34", "resnet50",
    }
)  # fmt: skip

#: What makes detectors, by the last part of its name.
DETECTION = frozenset(
    {"RetinaNet", "AnchorGenerator", "AnchorGeneratorWithAnchorShape", "resnet_fpn_feature_extractor"}
)

#: Prefixes under which the names above may be written.
PREFIXES = ("monai.networks.nets.", "monai.networks.nets.resnet.", "monai.apps.detection.networks.",
            "monai.apps.detection.utils.anchor_utils.", "monai.networks.")  # fmt: skip

#: Parameters of the largest network that is made: 8 GB of float32.
MAX_PARAMETERS = 2_000_000_000

DTYPES = {"torch.float32": torch.float32, "torch.float16": torch.float16, "torch.bfloat16": torch.bfloat16}


def check(value: Any) -> None:
    """Refuse a network that is not made of what is on the list; nothing is imported or made."""
    if isinstance(value, Built):
        _check_name(value.target)
        for part in (*value.args, *value.kwargs.values()):
            check(part)
    elif isinstance(value, list | tuple):
        for part in value:
            check(part)
    elif isinstance(value, dict):
        for part in value.values():
            check(part)
    elif isinstance(value, Named) and value.name not in DTYPES:
        raise ModelRefused(f"the bundle's network uses {value.name!r}, which is not on the list of what may be used")


def _check_name(target: str) -> None:
    short = target.rpartition(".")[2]
    prefixed = "." not in target or any(target.startswith(prefix) for prefix in PREFIXES)
    if prefixed and short in NETWORKS | DETECTION:
        return
    if target.startswith("torch.nn.") and _layer(short) is not None:
        return
    raise ModelRefused(
        f"the bundle's network is made by {target!r}, which is not on the list of networks that are made without "
        "trust; trust = true under [engine] of model.toml runs the bundle's own code"
    )


def _layer(short: str) -> type[torch.nn.Module] | None:
    found = getattr(torch.nn, short, None)
    plain = inspect.isclass(found) and issubclass(found, torch.nn.Module)
    return found if plain and found.__module__.startswith("torch.nn.modules.") else None


def make(value: Any) -> Any:
    """Make what :func:`check` let pass."""
    if isinstance(value, Built):
        check_here = _maker(value)
        return check_here(*(make(part) for part in value.args), **{k: make(v) for k, v in value.kwargs.items()})
    if isinstance(value, list | tuple):
        return [make(part) for part in value]
    if isinstance(value, dict):
        return {key: make(part) for key, part in value.items()}
    return DTYPES[value.name] if isinstance(value, Named) else value


def _maker(value: Built) -> Any:
    """What makes an object, with pretrained weights switched off."""
    _check_name(value.target)
    if value.short in DETECTION:
        from models.site import retinanet

        return retinanet.MAKERS[value.short]
    if value.target.startswith("torch.nn."):
        return _layer(value.short)
    from monai.networks import nets

    maker = getattr(nets, value.short, None)
    if maker is None:
        raise ModelRefused(f"this version of MONAI has no network {value.short!r}")
    switched = {name: False for name in ("pretrained",) if name in inspect.signature(maker).parameters}

    def made(*args: Any, **kwargs: Any) -> Any:
        return maker(*args, **{**kwargs, **switched})

    return made


def network(value: Any, tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """Make a network with its weights.

    The network is made without memory first and compared with the checkpoint, so that a configuration cannot ask for
    more than the checkpoint holds.

    Raises
    ------
    ModelRefused
        If weights and network do not fit each other; the first tensor that differs is named.
    """
    check(value)
    outline = _outline(value)
    shapes = {name: tuple(tensor.shape) for name, tensor in outline.state_dict().items()}
    if sum(tensor.numel() for tensor in outline.parameters()) > MAX_PARAMETERS:
        raise ModelRefused("the bundle's network has more parameters than a machine of a hospital holds")
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    odd = sorted(shapes.keys() ^ given.keys()) or sorted(name for name in shapes if shapes[name] != given[name])
    if odd:
        raise ModelRefused(f"the checkpoint does not fit the network: {len(odd)} tensors differ, the first is {odd[0]}")
    made = _tried(value)
    made.load_state_dict(
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    )
    return made.eval()


def _outline(value: Any) -> torch.nn.Module:
    """The network without memory for its weights; with it, where its constructor computes with them."""
    try:
        with torch.device("meta"):
            return _tried(value)
    except ModelRefused:
        return _tried(value)


def _tried(value: Any) -> torch.nn.Module:
    try:
        made = make(value)
    except ModelRefused:
        raise
    except Exception as error:  # constructors of networks raise whatever they like
        raise ModelRefused(
            f"MONAI cannot make the bundle's network: {type(error).__name__}: {str(error)[:200]}"
        ) from error
    if not isinstance(made, torch.nn.Module):
        raise ModelRefused("the bundle's network is no network")
    return made


def checkpoint(path: Path, keys: tuple[str, ...] = ("model", "state_dict", "network")) -> dict[str, torch.Tensor]:
    """Read weights: tensors by name, perhaps under one of ``keys``. Nothing but tensors and plain values is unpickled.

    Raises
    ------
    ModelRefused
        If the file holds objects, or no tensors.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and torch have an error each
        raise ModelRefused(
            f"{path.name} holds more than tensors, or is damaged: save the weights alone, "
            "torch.save(network.state_dict(), ...)"
        ) from error
    for key in keys:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
            break
    if not isinstance(found, dict) or not found or not all(isinstance(item, torch.Tensor) for item in found.values()):
        raise ModelRefused(f"{path.name} holds no tensors by name")
    return {str(name).removeprefix("module."): tensor for name, tensor in found.items()}
