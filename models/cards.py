"""Model cards as JSON files beside the weights, read without torch.

A folder of weights holds ``card.json`` (a :class:`~models.contracts.ModelCard`), ``model.safetensors`` and what the
trainer adds, such as ``split.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.contracts import Code, InputRequirements, ModelCard, SegmentSpec, WeightsError

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"

#: Where the weights that the project ships lie, one folder per model.
SHIPPED = Path(__file__).parent / "weights"


def _code(value: Mapping[str, str]) -> Code:
    return Code(value["value"], value["scheme"], value["meaning"])


def _segment(value: Mapping[str, Any]) -> SegmentSpec:
    anatomy = value.get("anatomy")
    red, green, blue = value["rgb"]
    return SegmentSpec(
        label=int(value["label"]),
        name=str(value["name"]),
        category=_code(value["category"]),
        type=_code(value["type"]),
        anatomy=_code(anatomy) if anatomy else None,
        anatomy_modifiers=tuple(_code(item) for item in value.get("anatomy_modifiers", ())),
        rgb=(int(red), int(green), int(blue)),
    )


#: What cards did not say before the gate asked for it; a card without one of them refuses.
ADDED_REQUIREMENTS = ("tilt", "uneven_spacing", "missing_slices", "several_stacks", "scouts")


def _requirements(value: Mapping[str, Any]) -> InputRequirements:
    spacing_low, spacing_high = value["spacing_mm"]
    extent_low, extent_high = value["extent_mm"]
    return InputRequirements(
        modalities=tuple(value["modalities"]),
        spacing_mm=(float(spacing_low), float(spacing_high)),
        extent_mm=(float(extent_low), float(extent_high)),
        min_slices=int(value["min_slices"]),
        description=str(value["description"]),
        max_tilt_deg=float(value.get("max_tilt_deg", 30.0)),
        **{name: str(value[name]) for name in ADDED_REQUIREMENTS if name in value},
    )


def card_from_dict(value: Mapping[str, Any]) -> ModelCard:
    """Make a card of its JSON form.

    Raises
    ------
    WeightsError
        If a field is missing or malformed; the sentence names the field where it is known.
    """
    try:
        return ModelCard(
            name=value["name"],
            version=value["version"],
            title=value["title"],
            summary=value["summary"],
            requirements=_requirements(value["requirements"]),
            outputs=tuple(_segment(item) for item in value["outputs"]),
            weights_sha256=value["weights_sha256"],
            data=value["data"],
            licence=value["licence"],
            intended_use=value["intended_use"],
            limits=tuple(value["limits"]),
            metrics=dict(value.get("metrics", {})),
            references=tuple(value.get("references", ())),
        )
    except KeyError as error:
        raise WeightsError(f"the model card lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise WeightsError(f"the model card is malformed: {error}") from error


def card_to_dict(card: ModelCard) -> dict[str, Any]:
    """JSON form of a card; :func:`card_from_dict` undoes it."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(card)))
    return plain


def read_card(folder: Path) -> ModelCard:
    """Read the card of a folder of weights; :class:`WeightsError` where there is none or it does not read."""
    path = folder / CARD_FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"no model card at {path}") from error
    except ValueError as error:
        raise WeightsError(f"{path} is not JSON: {error}") from error
    return card_from_dict(value)


def write_card(card: ModelCard, folder: Path) -> Path:
    """Write the card of a folder of weights."""
    path = folder / CARD_FILE
    path.write_text(json.dumps(card_to_dict(card), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
