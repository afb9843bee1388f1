"""A small task that a network learns in a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from models.training.framework.fit import seeded
from models.training.framework.metrics import auc

Tensor = torch.Tensor


class Points:
    """Points in the plane, of which those beyond a line are of class one; noise is added as augmentation."""

    def __init__(self, count: int, seed: int, share: float = 0.5) -> None:
        rng = np.random.default_rng(seed)
        self.labels = [int(value) for value in rng.random(count) < share]
        centre = np.array(self.labels)[:, None] * 1.5
        self.inputs = torch.tensor(rng.normal(size=(count, 2)) + centre, dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.labels)

    def item(self, index: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        noise = torch.randn(2, generator=generator) * 0.1
        return {"input": self.inputs[index] + noise, "target": torch.tensor(float(self.labels[index]))}


def network(seed: int = 0) -> torch.nn.Module:
    seeded(seed)
    layers = (torch.nn.Linear(2, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.2))
    return torch.nn.Sequential(*layers, torch.nn.Linear(8, 1), torch.nn.Flatten(0))


def loss(output: Any, batch: Mapping[str, Tensor]) -> Tensor:
    return functional.binary_cross_entropy_with_logits(output, batch["target"])


def auc_on(points: Points, kept: torch.nn.Module) -> dict[str, float]:
    return {"auc": auc(points.labels, kept(points.inputs).numpy())}
