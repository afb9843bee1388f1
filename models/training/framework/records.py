"""The folder that a training leaves: weights, card, report and division, as the catalogue reads them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models import cards, runtime
from models.contracts import ModelCard
from models.training.framework.division import Split

SPLIT_FILE = "split.json"
REPORT_FILE = "report.json"
LICENCE_FILE = "LICENSE.txt"


def write_json(path: Path, value: object) -> None:
    """Write JSON; a number that is none is an error."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def round_to_half(network: torch.nn.Module) -> None:
    """Round weights and buffers in place as a file of weights holds them, so that what is measured is what ships."""
    with torch.no_grad():
        for value in runtime.named_tensors(network).values():
            value.copy_(value.half().to(value.dtype))


def write_folder(
    out: Path,
    network: torch.nn.Module,
    card: ModelCard,
    report: dict[str, Any],
    split: Split,
    *,
    licence: str = "",
) -> ModelCard:
    """Write ``model.safetensors``, ``card.json``, ``report.json`` and ``split.json``.

    Parameters
    ----------
    network
        Its weights are written in half precision: measure what goes into card and report after
        :func:`round_to_half`, or say that it was not.
    card
        Its digest of the weights is filled in here.
    report
        JSON-ready; ``model``, ``version`` and ``weights_sha256`` are put before it.
    licence
        Text of ``LICENSE.txt``, the terms of weights that were trained on licensed data; "" writes none.

    Returns
    -------
    ModelCard
        As written.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = replace(card, weights_sha256=runtime.save_weights(network, out / cards.WEIGHTS_FILE))
    named = {"model": written.name, "version": written.version, "weights_sha256": written.weights_sha256}
    cards.write_card(written, out)
    write_json(out / REPORT_FILE, {**named, **report})
    write_json(out / SPLIT_FILE, split.as_dict())
    if licence:
        (out / LICENCE_FILE).write_text(licence.rstrip() + "\n", encoding="utf-8")
    return written
