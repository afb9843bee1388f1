"""Trainer of the hippocampus model: training, selection, calibration, and the report of the held-out part."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track

from models import cards, catalog, runtime
from models.contracts import WeightsError
from models.imaging.hippocampus import NETWORK, segment
from models.imaging.hippocampus_parts import PARTS, SEGMENTS, SINGLE_PARTS
from models.imaging.networks import build_unet
from models.imaging.quantify import interval_factors
from models.training.augmentation import Augmentation
from models.training.data import LabelledVolume
from models.training.evaluation import CaseScore, calibrate, report, score_parts, volume_range
from models.training.hippocampus_card import NAME, make_card
from models.training.hippocampus_data import BATCH, load_cases, make_batches, make_example
from models.training.loop import LoopSettings, Observer, fit, seeded
from models.training.metrics import dice
from models.training.progress import recording

EPOCHS = 70

#: The second stage, which adds the validation part: epochs, and a lower highest learning rate.
REFIT_EPOCHS = 90
REFIT_LEARNING_RATE = 1e-3
SPLIT_FILE = "split.json"
REPORT_FILE = "report.json"


def _validation_dice(
    network: torch.nn.Module, items: Iterable[LabelledVolume], device: torch.device
) -> tuple[float, ...]:
    """Mean Dice of each label over cases."""
    network.eval()
    rows = []
    for item in items:
        labels = segment(network, item.volume, device).labels
        rows.append([dice(labels == spec.label, item.labels == spec.label) for spec in SEGMENTS])
    return tuple(float(value) for value in np.mean(rows, axis=0))


def fit_network(
    train_cases: list[LabelledVolume],
    validation_cases: list[LabelledVolume],
    *,
    seed: int,
    epochs: int,
    device: torch.device,
    observer: Observer,
) -> torch.nn.Module:
    """Train from scratch, seeded; see :func:`models.training.loop.fit`.

    The forward pass is in bfloat16, which processors with matrix units and GPUs compute several times as fast.
    """
    generator = seeded(seed)
    network = build_unet(NETWORK)
    examples = [make_example(item) for item in train_cases]
    settings = LoopSettings(epochs=epochs, steps_per_epoch=max(1, len(examples) // BATCH), bfloat16=True)
    batches = make_batches(examples, generator, Augmentation())

    def validate(kept: torch.nn.Module) -> tuple[float, ...]:
        return _validation_dice(kept, validation_cases, device)

    return fit(network, batches, validate, settings, device, observer)


def refit_network(
    network: torch.nn.Module,
    cases: list[LabelledVolume],
    *,
    seed: int,
    epochs: int,
    device: torch.device,
    observer: Observer,
) -> torch.nn.Module:
    """Go on training with the validation part added, for a fixed number of epochs; nothing is selected any more."""
    generator = seeded(seed + 1)
    examples = [make_example(item) for item in cases]
    settings = LoopSettings(
        epochs=epochs,
        steps_per_epoch=max(1, len(examples) // BATCH),
        learning_rate=REFIT_LEARNING_RATE,
        warmup_steps=50,
        bfloat16=True,
    )
    batches = make_batches(examples, generator, Augmentation())
    return fit(network, batches, None, settings, device, observer)


def score_cases(
    network: torch.nn.Module, items: Sequence[LabelledVolume], device: torch.device, *, progress: bool = False
) -> list[CaseScore]:
    """Score each case for every measured part, with a progress bar where wanted."""
    network.eval()
    parts = {part.key: part.segments for part in PARTS}
    scores = []
    for item in track(items, "scoring", disable=not progress):
        started = time.perf_counter()
        found = segment(network, item.volume, device)
        seconds = time.perf_counter() - started
        by_part = score_parts(found.probabilities, found.labels, item.labels, parts, item.volume.geometry.voxel_ml)
        scores.append(CaseScore(item.case, by_part, seconds))
    return scores


def train(
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    epochs: int | None = None,
    device: str = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """Train in two stages, calibrate between them, and report on the held-out part.

    1. Train on the training part; the weights with the best validation Dice are kept.
    2. Measure these on the validation part, which gives the interval factors.
    3. Go on with the validation part added, for a fixed number of epochs (in proportion to ``epochs``).

    Parameters
    ----------
    data
        Folder with ``images`` and ``labels`` of the data set.
    out
        Gets ``model.safetensors``, ``card.json``, ``split.json``, ``report.json``, ``log.csv`` and ``tensorboard``.
    """
    started = time.monotonic()
    chosen = runtime.choose_device(device)
    cases, split = load_cases(data)
    count = EPOCHS if epochs is None else epochs
    refit_count = max(1, round(count * REFIT_EPOCHS / EPOCHS))
    first, second = [cases[case] for case in split.train], [cases[case] for case in split.validation]
    with recording(out, out / cards.WEIGHTS_FILE, SINGLE_PARTS, count + refit_count, progress=progress) as recorder:
        fit_network(first, second, seed=seed, epochs=count, device=chosen, observer=recorder)
        kept = recorder.best
        network = load_network(out / cards.WEIGHTS_FILE, chosen)
        validation = score_cases(network, second, chosen)
        final = refit_network(
            network, first + second, seed=seed, epochs=refit_count, device=chosen, observer=recorder.continued(count)
        )
        runtime.save_weights(final, out / cards.WEIGHTS_FILE)
    training = {
        "seed": seed,
        "epochs": count,
        "kept_epoch": kept.epoch if kept else None,
        "refit_epochs": refit_count,
        "seconds": round(time.monotonic() - started, 1),
        "device": chosen.type,
        "threads": torch.get_num_threads(),
    }
    return finish(data, out, training, validation, device=device, progress=progress)


def load_network(path: Path, device: torch.device, sha256: str | None = None) -> torch.nn.Module:
    """Load the network's weights; the digest is checked where one is given."""
    if not path.is_file():
        raise WeightsError(f"no weights at {path}")
    network = build_unet(NETWORK)
    runtime.load_into(network, runtime.read_weights(path, sha256 or runtime.sha256_of(path)))
    return network.to(device).eval()


def finish(
    data: Path,
    out: Path,
    training: dict[str, Any],
    validation: Sequence[CaseScore],
    *,
    device: str = "auto",
    progress: bool = False,
) -> dict[str, Any]:
    """Report trained weights on the held-out part, and write card, division and report.

    Parameters
    ----------
    out
        Folder with ``model.safetensors``.
    training
        What is known of the training, for card and report.
    validation
        Scores by weights that had not seen the validation part; they calibrate the intervals.
    """
    path = out / cards.WEIGHTS_FILE
    chosen = runtime.choose_device(device)
    cases, split = load_cases(data)
    factors = calibrate(validation, SINGLE_PARTS)
    network = load_network(path, chosen)
    held_out = score_cases(network, [cases[case] for case in split.held_out], chosen, progress=progress)
    metrics = {
        "interval_factor": factors,
        "training_volume_ml": _volume_ranges([cases[case] for case in (*split.train, *split.validation)]),
        "held_out": report(held_out, factors),
        "validation": report(validation, factors),
        "training": training,
    }
    sizes = {part: len(ids) for part, ids in split.as_dict().items()}
    card = make_card(sizes, runtime.sha256_of(path), metrics)
    cards.write_card(card, out)
    _write_json(out / SPLIT_FILE, split.as_dict())
    result = {"model": NAME, "version": card.version, "weights_sha256": card.weights_sha256, **metrics}
    _write_json(out / REPORT_FILE, {**result, "cases": _by_case(held_out)})
    return result


def evaluate(
    data: Path, *, device: str = "auto", weights: Path | None = None, progress: bool = False
) -> dict[str, Any]:
    """Report the held-out part for shipped weights or those of a folder, with the intervals that their card gives."""
    folder = weights or catalog.weights_folder(NAME)
    card = cards.read_card(folder)
    chosen = runtime.choose_device(device)
    network = load_network(folder / cards.WEIGHTS_FILE, chosen, card.weights_sha256)
    cases, split = load_cases(data)
    scores = score_cases(network, [cases[case] for case in split.held_out], chosen, progress=progress)
    return {
        "model": NAME,
        "version": card.version,
        "weights_sha256": card.weights_sha256,
        "held_out": report(scores, interval_factors(card.metrics)),
    }


def _volume_ranges(items: Sequence[LabelledVolume]) -> dict[str, list[float]]:
    """Smallest and largest labelled volume of each part, in ml."""
    return {
        part.key: volume_range(
            [float(np.isin(item.labels, part.segments).sum()) * item.volume.geometry.voxel_ml for item in items]
        )
        for part in PARTS
    }


def _by_case(scores: Iterable[CaseScore]) -> dict[str, dict[str, dict[str, float]]]:
    """Dice and volumes of each case, for plots."""
    return {
        score.case: {
            key: {
                "dice": round(part.dice, 5),
                "found_ml": round(part.found.value_ml, 4),
                "true_ml": round(part.true_ml, 4),
                "doubt_ml": round(part.found.doubt_ml, 5),
            }
            for key, part in score.parts.items()
        }
        for score in scores
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
