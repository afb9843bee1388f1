"""Predictions between inference and building: one file of JSON and packed labels, on disk before the job is INFERRED.

The file holds no patient data: a label array and what the model said of it.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from models.cards import card_from_dict, card_to_dict
from models.contracts import Code, Finding, Measurement, ModelCard, Prediction, SegmentSpec, Side
from node import durable


def to_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as plain data, the form that the records keep."""
    return dataclasses.asdict(finding)


def finding_from(data: dict[str, Any]) -> Finding:
    """Return the finding that :func:`to_json` wrote."""
    return Finding(
        label=data["label"],
        code=Code(**data["code"]),
        measurements=tuple(_measurement(item) for item in data["measurements"]),
        side=Side(data["side"]) if data["side"] else None,
        segment=data["segment"],
        confidence=data["confidence"],
        text=data["text"],
    )


def _measurement(data: dict[str, Any]) -> Measurement:
    return Measurement(**{**data, "name": Code(**data["name"]), "unit": Code(**data["unit"])})


def _segment(data: dict[str, Any]) -> SegmentSpec:
    return SegmentSpec(
        label=data["label"],
        name=data["name"],
        category=Code(**data["category"]),
        type=Code(**data["type"]),
        anatomy=Code(**data["anatomy"]) if data["anatomy"] else None,
        anatomy_modifiers=tuple(Code(**item) for item in data["anatomy_modifiers"]),
        rgb=tuple(data["rgb"]),
    )


def save(prediction: Prediction, card: ModelCard, path: Path) -> None:
    """Write durably: whole or not there at all, and on the disk when this returns.

    The card goes along: a report that is built again after an upgrade names the model that made the prediction.
    """
    said = {
        "card": card_to_dict(card),
        "findings": [to_json(finding) for finding in prediction.findings],
        "segments": [dataclasses.asdict(segment) for segment in prediction.segments],
        "warnings": list(prediction.warnings),
        "shape": None if prediction.labels is None else list(prediction.labels.shape),
    }
    labels = b"" if prediction.labels is None else np.ascontiguousarray(prediction.labels).tobytes()
    head = json.dumps(said).encode()
    durable.write(path, len(head).to_bytes(8, "little") + head + zlib.compress(labels, 1))


def read(path: Path) -> tuple[Prediction, ModelCard]:
    """Read what :func:`save` wrote."""
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    said = json.loads(raw[8:end])
    labels = None
    if said["shape"] is not None:
        labels = np.frombuffer(zlib.decompress(raw[end:]), dtype=np.uint8).reshape(said["shape"])
    prediction = Prediction(
        findings=tuple(finding_from(item) for item in said["findings"]),
        labels=labels,
        segments=tuple(_segment(item) for item in said["segments"]),
        warnings=tuple(said["warnings"]),
    )
    return prediction, card_from_dict(said["card"])
