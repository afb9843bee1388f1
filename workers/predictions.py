"""Predictions between inference and building: one file of JSON and packed arrays, on disk before the job is INFERRED.

The file names nobody: it holds what the model drew and said, and of the record the values that it rests on.
"""

from __future__ import annotations

import dataclasses
import json
import math
import zlib
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from models.cards import card_from_dict, card_to_dict
from models.contracts import (
    Code,
    Contribution,
    Finding,
    InputKind,
    Measurement,
    ModelCard,
    Prediction,
    Region,
    RegionKind,
    ScalarMap,
    SegmentSpec,
    Side,
    Trace,
)
from node import durable
from workers.results.wording import operating_point

#: How maps are stored: three significant digits, which no probability or heat map exceeds, in half the room.
STORED = np.dtype("<f2")
LARGEST = float(np.finfo(STORED).max)


def to_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as plain data, the form that the records keep."""
    return dataclasses.asdict(finding)


def recorded(prediction: Prediction, card: ModelCard | None) -> list[dict[str, Any]]:
    """Return a prediction's findings as the records keep them: each with its operating point, for the pages."""
    return [
        to_json(finding) | {"threshold": operating_point(prediction, card, finding.label)}
        for finding in prediction.findings
    ]


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
    ``planes``, the digest of the slices that it lies on (:func:`workers.reading.volume.gate.planes_digest`).
    """
    said = {
        "card": card_to_dict(card),
        "findings": [to_json(finding) for finding in prediction.findings],
        "segments": [dataclasses.asdict(segment) for segment in prediction.segments],
        "warnings": list(prediction.warnings),
        "shape": None if prediction.labels is None else list(prediction.labels.shape),
        "maps": [_described(item) for item in prediction.maps],
        "planes": planes,
        "traces": [_described_trace(item) for item in prediction.traces],
        "contributions": [dataclasses.asdict(item) for item in prediction.contributions],
        "scores": dict(prediction.scores),
    }
    arrays = [] if prediction.labels is None else [np.ascontiguousarray(prediction.labels)]
    arrays += [np.clip(item.array, -LARGEST, LARGEST).astype(STORED) for item in prediction.maps]
    arrays += [np.clip(item.values, -LARGEST, LARGEST).astype(STORED) for item in prediction.traces]
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


def _described_trace(item: Trace) -> dict[str, Any]:
    return {
        "label": item.label,
        "name": item.name,
        "channel": item.channel,
        "start_s": item.start_s,
        "step_s": item.step_s,
        "shape": list(item.values.shape),
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
    traces = []
    for item in said.get("traces", ()):
        array, at = _array(body, at, item["shape"], STORED)
        traces.append(_trace(item, array))
    prediction = Prediction(
        findings=tuple(finding_from(item) for item in said["findings"]),
        labels=labels,
        segments=tuple(_segment(item) for item in said["segments"]),
        warnings=tuple(said["warnings"]),
        maps=tuple(maps),
        traces=tuple(traces),
        contributions=tuple(_contribution(item) for item in said.get("contributions", ())),
        scores=MappingProxyType({str(name): float(value) for name, value in said.get("scores", {}).items()}),
    )
    return prediction, card_from_dict(said["card"])


def read_planes(path: Path) -> str:
    """Read the digest of the slices that a saved prediction lies on; empty in files of older versions."""
    return str(_head(path).get("planes", ""))


def read_kind(path: Path) -> InputKind:
    """Read which kind of source a saved prediction is of."""
    return card_from_dict(_head(path)["card"]).requirements.kind


def _head(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        said: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return said


def _array(body: memoryview, at: int, shape: list[int], kind: np.dtype[Any]) -> tuple[Any, int]:
    """Take an array out of the packed ones, and where the next begins."""
    end = at + math.prod(shape) * kind.itemsize
    return np.frombuffer(body[at:end], dtype=kind).reshape(shape), end


def _map(data: dict[str, Any], array: Any) -> ScalarMap:
    quantity, unit = Code(**data["quantity"]), Code(**data["unit"])
    return ScalarMap(data["label"], data["name"], quantity, unit, array.astype(np.float32), data["segment"])


def _trace(data: dict[str, Any], values: Any) -> Trace:
    return Trace(
        data["label"], data["name"], data["channel"], data["start_s"], data["step_s"], values.astype(np.float32)
    )


def _contribution(data: dict[str, Any]) -> Contribution:
    unit = Code(**data["unit"]) if data["unit"] else None
    return Contribution(Code(**data["name"]), data["weight"], data["value"], unit, data["text"])
