"""Which scans are in which part, and the training of the network on their candidates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch.nn import functional

from models.contracts import Side
from models.imaging.lung.network import NoduleNetwork, channels_last
from models.training.framework.division import Split
from models.training.framework.fit import FitSettings, Fitted, fit, seeded
from models.training.framework.metrics import auc, average_precision
from models.training.lung_nodule.data import RealThorax, Scan, generated, with_lesions
from models.training.lung_nodule.examples import Cubes, Examples, examples_of, joined

#: Seeds of generated scans; no two parts share one.
TRAIN_SEEDS = range(1000, 1016)
VALIDATION_SEEDS = range(2000, 2009)
HELD_OUT_SEEDS = range(3000, 3030)

#: How often lesions are inserted anew into the right (training) and the left (held-out) lung of the real thorax.
REAL_TRAIN_SEEDS = range(100, 107)
REAL_HELD_OUT_SEEDS = range(300, 312)

#: Lesions of a scan: many where it is learned, few and varied where it is measured.
TRAIN_NODULES, REAL_TRAIN_NODULES, REAL_HELD_OUT_NODULES = 14, 7, 3
EPOCHS = 24
BATCH = 16


def division() -> Split:
    """Names of the scans of each part."""
    train = [*(f"generated-{seed}" for seed in TRAIN_SEEDS), *(f"real-right-{seed}" for seed in REAL_TRAIN_SEEDS)]
    held_out = [
        *(f"generated-{seed}" for seed in HELD_OUT_SEEDS),
        *(f"real-left-{seed}" for seed in REAL_HELD_OUT_SEEDS),
    ]
    return Split(tuple(train), tuple(f"generated-{seed}" for seed in VALIDATION_SEEDS), tuple(held_out))


def nodules_of(seed: int) -> int:
    """How many lesions a scan for measuring has: one to five."""
    return 1 + seed % 5


def measured_scans(seeds: Iterable[int], *, progress: bool = False) -> Iterator[Scan]:
    """Scans for measuring, one at a time."""
    for seed in track(list(seeds), "scans", disable=not progress):
        yield generated(seed, nodules_of(seed))


def real_scans(real: RealThorax) -> Iterator[Scan]:
    """Held-out lung of the real thorax with lesions, one set after the other."""
    for seed in REAL_HELD_OUT_SEEDS:
        yield with_lesions(real, Side.LEFT, seed, REAL_HELD_OUT_NODULES)


def training_examples(
    real: RealThorax,
    seeds: Sequence[int] = TRAIN_SEEDS,
    real_seeds: Sequence[int] = REAL_TRAIN_SEEDS,
    *,
    progress: bool = False,
) -> Examples:
    """Examples of the generated training scans and of the right lung of the real thorax."""  # fmt: skip
    parts = [
        examples_of(generated(seed, TRAIN_NODULES), seed) for seed in track(seeds, "generated", disable=not progress)
    ]
    parts += [
        examples_of(with_lesions(real, Side.RIGHT, seed, REAL_TRAIN_NODULES), seed)
        for seed in track(real_seeds, "real", disable=not progress)
    ]
    return joined(parts)


def fit_network(
    train: Examples, validation: Examples, out: Path, *, seed: int, epochs: int, device: torch.device, progress: bool
) -> Fitted:
    """Train from scratch, seeded; the weights with the best average precision of the validation candidates are kept."""
    seeded(seed)
    network = channels_last(NoduleNetwork())
    settings = FitSettings(
        epochs, BATCH, learning_rate=1.5e-3, bfloat16=True, balanced=True, monitor="average_precision", seed=seed
    )

    def validate(kept: torch.nn.Module) -> Mapping[str, float]:
        return _figures(kept, validation, device)

    return fit(network, Cubes(train), _loss, validate, settings, out, device, progress=progress, forward=_forward)


def _forward(network: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> Any:
    return network(batch["input"], batch["numbers"])


def _loss(output: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(output, batch["truth"])


def _figures(network: torch.nn.Module, examples: Examples, device: torch.device) -> dict[str, float]:
    """Area under the curve and average precision over candidates."""
    logits = []
    for start in range(0, len(examples.truth), 2 * BATCH):
        cubes = torch.from_numpy(examples.cubes[start : start + 2 * BATCH].astype(np.float32)).to(device)
        numbers = torch.from_numpy(examples.numbers[start : start + 2 * BATCH]).to(device)
        logits.append(network(cubes, numbers).float().cpu().numpy())
    scores = np.concatenate(logits)
    return {"auc": auc(examples.truth, scores), "average_precision": average_precision(examples.truth, scores)}
