"""Predictions between inference and building: one file of JSON and packed labels, on disk before the job is INFERRED.

The file holds no patient data: a label array and what the model said of it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from models.cards import card_from_dict, card_to_dict
from models.contracts import (
    Code,
    Finding,
    Measurement,
    ModelCard,
    Prediction,
    Region,
    RegionKind,
    ScalarMap,
    SegmentSpec,
    Side,
)
from node import durable

#: How maps are stored: three significant digits, which no probability or heat map exceeds, in half the room.
STORED = np.dtype("<f2")
LARGEST = float(np.finfo(STORED).max)


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
        regions=tuple(_region(item) for item in data.get("regions", ())),
        lesion=data.get("lesion", ""),
        present=data.get("present", True),
    )


def _region(data: dict[str, Any]) -> Region:
    return Region(RegionKind(data["kind"]), tuple((x, y, z) for x, y, z in data["points"]))


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


def save(prediction: Prediction, card: ModelCard, path: Path, planes: str = "") -> None:
    """Write durably: whole or not there at all, and on the disk when this returns.

    The card goes along: a report that is built again after an upgrade names the model that made the prediction; and
    ``planes``, the digest of the slices that it lies on (:func:`workers.gate.planes_digest`).
    """
    said = {
        "card": card_to_dict(card),
        "findings": [to_json(finding) for finding in prediction.findings],
        "segments": [dataclasses.asdict(segment) for segment in prediction.segments],
        "warnings": list(prediction.warnings),
        "shape": None if prediction.labels is None else list(prediction.labels.shape),
        "maps": [_described(item) for item in prediction.maps],
        "planes": planes,
    }
    arrays = [] if prediction.labels is None else [np.ascontiguousarray(prediction.labels)]
    arrays += [np.clip(item.array, -LARGEST, LARGEST).astype(STORED) for item in prediction.maps]
    head = json.dumps(said).encode()
    packed = zlib.compress(b"".join(array.tobytes() for array in arrays), 1)
    durable.write(path, len(head).to_bytes(8, "little") + head + packed)


def _described(item: ScalarMap) -> dict[str, Any]:
    return {
        "label": item.label,
        "name": item.name,
        "quantity": dataclasses.asdict(item.quantity),
        "unit": dataclasses.asdict(item.unit),
        "segment": item.segment,
        "shape": list(item.array.shape),
    }


def read(path: Path) -> tuple[Prediction, ModelCard]:
    """Read what :func:`save` wrote."""
    raw = path.read_bytes()
    end = 8 + int.from_bytes(raw[:8], "little")
    said = json.loads(raw[8:end])
    body = memoryview(zlib.decompress(raw[end:]))
    labels, at = None, 0
    if said["shape"] is not None:
        labels, at = _array(body, at, said["shape"], np.dtype(np.uint8))
    maps = []
    for item in said.get("maps", ()):
        array, at = _array(body, at, item["shape"], STORED)
        maps.append(_map(item, array))
    prediction = Prediction(
        findings=tuple(finding_from(item) for item in said["findings"]),
        labels=labels,
        segments=tuple(_segment(item) for item in said["segments"]),
        warnings=tuple(said["warnings"]),
        maps=tuple(maps),
    )
    return prediction, card_from_dict(said["card"])


def read_planes(path: Path) -> str:
    """Read the digest of the slices that a saved prediction lies on; empty in files of older versions."""
    with path.open("rb") as file:
        return str(json.loads(file.read(int.from_bytes(file.read(8), "little"))).get("planes", ""))


def _array(body: memoryview, at: int, shape: list[int], kind: np.dtype[Any]) -> tuple[Any, int]:
    """Take an array out of the packed ones, and where the next begins."""
    end = at + math.prod(shape) * kind.itemsize
    return np.frombuffer(body[at:end], dtype=kind).reshape(shape), end


def _map(data: dict[str, Any], array: Any) -> ScalarMap:
    quantity, unit = Code(**data["quantity"]), Code(**data["unit"])
    return ScalarMap(data["label"], data["name"], quantity, unit, array.astype(np.float32), data["segment"])
