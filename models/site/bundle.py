"""MONAI bundles: what their files say becomes a card, steps and a network, without running anything of theirs.

The layout is that of MONAI's model zoo (docs.monai.io, *MONAI Bundle: Specification*): ``configs/metadata.json``,
``configs/inference.json`` (or ``.yaml``), ``models/model.pt`` (or ``model.ts``, a TorchScript file).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from models.site import bundle_network, bundle_transforms, torchscript
from models.site.archive import inside
from models.site.bundle_values import MAX_DEPTH, Built, Config
from models.site.card import SiteCard
from models.site.errors import ModelRefused
from models.site.steps import Step

METADATA = "configs/metadata.json"
CONFIGURATIONS = tuple(
    f"configs/{name}.{suffix}" for name in ("inference", "evaluate") for suffix in ("json", "yaml", "yml")
)
WEIGHTS = ("models/model.pt", "models/model.pth", "models/model.safetensors")
SCRIPT = "models/model.ts"

MAX_CONFIG_BYTES = 1 << 20

#: Under these ids the model zoo keeps the parts of an inference.
NETWORK_IDS = ("network_def", "network", "net")
PREPARATION_IDS = ("preprocessing", "pre_transforms", "val_preprocessing")
FINISHING_IDS = ("postprocessing", "post_transforms", "val_postprocessing")

#: Modalities by what metadata call them.
MODALITIES: Mapping[str, str] = {
    "CT": "CT", "MR": "MR", "MRI": "MR", "PET": "PT", "PT": "PT", "US": "US", "XR": "DX", "X-RAY": "DX", "XRAY": "DX",
    "CR": "CR", "DX": "DX", "MG": "MG", "MAMMOGRAPHY": "MG",
}  # fmt: skip


def is_bundle(folder: Path) -> bool:
    """Whether a folder is laid out as a bundle."""
    return (folder / METADATA).is_file()


def configuration(folder: Path, overrides: Mapping[str, Any]) -> Config:
    """The bundle's configuration for inference, with the values that the card gives in place of its own."""
    for name in CONFIGURATIONS:
        if (folder / name).is_file():
            found = _read(folder, name)
            if unknown := sorted(overrides.keys() - found.keys()):
                raise ModelRefused(f"engine.overrides: {name} has no value {unknown[0]!r}")
            return Config(found | dict(overrides))
    raise ModelRefused(f"the bundle has none of {', '.join(CONFIGURATIONS[:3])}")


def derived(
    folder: Path, overrides: Mapping[str, Any], *, trust: bool = False
) -> tuple[dict[str, Any], tuple[Step, ...]]:
    """What the bundle itself says: tables of a card, and the steps of preparation.

    Raises
    ------
    ModelRefused
        With what is not understood.
    """
    try:
        return _derived(folder, overrides, trust=trust)
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise ModelRefused(
            f"the bundle's files are not what MONAI's specification says ({type(error).__name__})"
        ) from error


def _derived(folder: Path, overrides: Mapping[str, Any], *, trust: bool) -> tuple[dict[str, Any], tuple[Step, ...]]:
    metadata, config = _read(folder, METADATA), configuration(folder, overrides)
    shape = _described(metadata)
    axes = shape["axes"]
    table = {
        "model": _stated(metadata),
        "input": {"kind": "volume" if axes == 3 else "radiograph"} | shape["input"],
        "engine": {"kind": "bundle", "task": shape["task"]},
        "outputs": shape["outputs"],
    }
    if trust:  # its own configuration runs, whatever it is
        return table, ()
    steps = bundle_transforms.steps(config, _first(config, PREPARATION_IDS, "preprocessing"), axes)
    engine: dict[str, Any] = {"kind": "bundle", "task": shape["task"]}
    if config.has("detector"):
        engine["task"] = "detection"
        engine["score_threshold"] = 0.5
        network_of(config)
    else:
        engine |= bundle_transforms.inference(config, "inferer", axes) if config.has("inferer") else {}
        finish = bundle_transforms.finishing(config, _first(config, FINISHING_IDS, "postprocessing"))
        engine |= _finished(finish, engine["task"], len(shape["outputs"]))
        if not (folder / SCRIPT).is_file():
            bundle_network.check(network_of(config))
    return table | {"engine": engine}, steps


def network_of(config: Config) -> Any:
    """The network as the configuration names it, not made; for a detector its parts are looked at too."""
    value = config.get(_first(config, NETWORK_IDS, "network_def"))
    if not isinstance(value, Built):
        raise ModelRefused("the bundle's network_def is no network")
    bundle_network.check(value)
    if config.has("detector"):
        from models.site import retinanet

        bundle_network.check(config.get("anchor_generator"))
        retinanet.check_operations(config.get("detector_ops"))
    return value


def load(folder: Path, card: SiteCard, device: torch.device) -> Callable[[torch.Tensor], Any]:
    """Load the network with its weights.

    Raises
    ------
    ModelRefused
        If it is not made of what is on the list, or the weights do not fit it.
    """
    if not any((folder / name).is_file() for name in WEIGHTS):
        return torchscript.load(inside(folder, SCRIPT), device)
    weights = next(folder / name for name in WEIGHTS if (folder / name).is_file())
    config = configuration(folder, card.engine.overrides)
    made = bundle_network.network(network_of(config), bundle_network.checkpoint(weights)).to(device)
    if card.engine.task != "detection":
        return made
    from models.site import retinanet

    anchors = bundle_network.make(config.get("anchor_generator"))
    return retinanet.detector(made, anchors, config.get("detector_ops"))


def _read(folder: Path, name: str) -> dict[str, Any]:
    """Plain data of a JSON or YAML file."""
    path = inside(folder, name)
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise ModelRefused(f"{name} is larger than {MAX_CONFIG_BYTES >> 20} MB")
    try:
        text = path.read_text(encoding="utf-8")
        found = json.loads(text) if name.endswith(".json") else _yaml(text, name)
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"{name} does not read: {error}") from error
    if not isinstance(found, dict):
        raise ModelRefused(f"{name} is no table")
    return found


def _yaml(text: str, name: str) -> Any:
    import yaml  # type: ignore[import-untyped]

    try:
        depth = 0
        for token in yaml.scan(text):
            if isinstance(token, yaml.AliasToken):
                raise ModelRefused(f"{name} repeats parts by aliases, which are not followed")
            kind = type(token).__name__
            depth += kind.endswith(("SequenceStartToken", "MappingStartToken"))
            depth -= kind.endswith(("SequenceEndToken", "MappingEndToken", "BlockEndToken"))
            if depth > MAX_DEPTH:  # the reader's time grows with the square of it
                raise ModelRefused(f"{name} is nested too deeply")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ModelRefused(f"{name} does not read as YAML") from error


def _first(config: Config, names: tuple[str, ...], wanted: str) -> str:
    for name in names:
        if config.has(name):
            return name
    raise ModelRefused(f"the bundle's configuration has no {wanted}")


def _described(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Axes, task, input and outputs by the metadata's ``network_data_format``."""
    form = metadata.get("network_data_format", {})
    image: dict[str, Any] = next(iter(form.get("inputs", {}).values()), {})
    answer: dict[str, Any] = next(iter(form.get("outputs", {}).values()), {})
    channels = image.get("num_channels", 1)
    axes = len(image.get("spatial_shape", ())) or 3
    if axes not in {2, 3} or (channels != 1 and not (axes == 2 and channels == 3)):
        raise ModelRefused(f"the bundle reads {channels} channels of {axes} axes; a node gives it one image of 2 or 3")
    modality = MODALITIES.get(str(image.get("modality", "")).upper())
    given: dict[str, Any] = {"modality": [modality]} if modality else {}
    task = _task(answer)
    return {"axes": axes, "task": task, "input": given, "outputs": _outputs(answer, task)}


def _task(answer: Mapping[str, Any]) -> str:
    said = f"{answer.get('type', '')} {answer.get('format', '')}".lower()
    if "object" in said:
        return "detection"
    if "segmentation" in said:
        return "segmentation"
    return "classification" if "class" in said or "probabilit" in said else "segmentation"


def _outputs(answer: Mapping[str, Any], task: str) -> list[dict[str, Any]]:
    """Outputs by ``channel_def``, the background left out."""
    named = answer.get("channel_def")
    if not isinstance(named, dict):
        return []
    outputs = []
    for channel, name in named.items():
        text = str(name)[:64]
        if not re.fullmatch("[0-9]{1,4}", str(channel)) or (
            task == "segmentation" and text.lower() in {"background", "other"}
        ):
            continue
        label = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in text.strip())
        shown = text[:1].upper() + text[1:].replace("_", " ")
        outputs.append({"label": label.strip("_") or f"class_{channel}", "name": shown, "channel": int(channel)})
    return outputs


def _finished(finish: bundle_transforms.Finishing, task: str, outputs: int) -> dict[str, Any]:
    found: dict[str, Any] = {"activation": finish.activation}
    if finish.argmax and finish.activation == "none":
        found["activation"] = "softmax"
    if task == "classification":
        found["exclusive"] = finish.argmax
        return found
    if finish.threshold not in {None, 0.5}:
        raise ModelRefused(f"the bundle draws at {finish.threshold}; only 0.5 is understood")
    if finish.largest_of not in {None, 0, outputs}:
        raise ModelRefused("the bundle keeps the largest part of some of its labels; only all or none is understood")
    return found | {"nearest": finish.nearest, "largest_part": finish.largest_of is not None}


def _stated(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """``[model]`` by the metadata."""

    def text(key: str, limit: int = 300) -> str:
        value = metadata.get(key, "")
        return " ".join(str(value).split())[:limit] if isinstance(value, str) else ""

    references = metadata.get("references", [])
    found: dict[str, Any] = {
        "version": text("version", 32),
        "title": text("task") or text("name"),
        "summary": text("description", 4000),
        "data": text("data_source", 4000),
        "intended_use": text("intended_use", 4000),
        "references": [" ".join(str(item).split())[:300] for item in references[:20]]
        if isinstance(references, list)
        else [],
        "metrics": {"of its maker": metadata["eval_metrics"]} if isinstance(metadata.get("eval_metrics"), dict) else {},
    }
    return {key: value for key, value in found.items() if value}
