"""Model cards as JSON files beside the weights, read without torch.

A folder of weights holds ``card.json`` (a :class:`~models.contracts.ModelCard`), ``model.safetensors`` and what the
trainer adds, such as ``split.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from models.contracts import ModelCard, WeightsError

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"

#: Where the weights that the project ships lie, one folder per model.
SHIPPED = Path(__file__).parent / "weights"


@cache
def _reader() -> TypeAdapter[ModelCard]:
    return TypeAdapter(ModelCard)


def card_from_dict(value: Mapping[str, Any]) -> ModelCard:
    """Make a card of its JSON form.

    Raises
    ------
    WeightsError
        If a field is missing or malformed; the sentence names the field where it is known.
    """
    try:
        return _reader().validate_python(dict(value))
    except ValidationError as error:
        raise WeightsError(f"the model card {_told(error.errors()[0])}") from error


def _told(error: ErrorDetails) -> str:
    """Say what is wrong with one field."""
    where = ".".join(str(part) for part in error["loc"])
    return f"lacks {where!r}" if error["type"] == "missing" else f"is malformed: {where}: {error['msg']}"


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
