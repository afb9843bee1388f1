"""From the data set to a folder of weights, and from such a folder to its held-out figures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from models import catalog, runtime
from models.imaging.hippocampus_parts import SINGLE_PARTS
from models.imaging.quantify import interval_factors
from models.shipped import restore
from models.training.framework import plots
from models.training.framework.data import LabelledVolume
from models.training.framework.division import Split
from models.training.framework.fit import Fitted
from models.training.framework.records import write_folder
from models.training.hippocampus import stages
from models.training.hippocampus.card import LICENCE_TEXT, NAME, make_card
from models.training.hippocampus.data import load_cases
from models.training.hippocampus.measuring import CaseScore, by_case, calibrate, report, score_cases, volume_ranges

Cases = dict[str, LabelledVolume]


def train(
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    epochs: int | None = None,
    device: str = "auto",
    progress: bool = True,
    resume: bool = False,
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
        Gets weights, card, division, report and plots; ``selection`` and ``refit`` get the logs of the stages.
    resume
        Go on from the checkpoints of a training into ``out`` that was cut off.
    """
    started = time.monotonic()
    run = stages.Run(out, runtime.choose_device(device), seed, epochs, progress, resume)
    cases, split = load_cases(data)
    first, second = _picked(cases, split.train), _picked(cases, split.validation)
    selected = stages.select(first, second, run)
    network = stages.as_shipped(selected.network, run.device)
    validation = score_cases(network, second, run.device)
    final = stages.refit(network, [*first, *second], run)
    for name, fitted in (("selection", selected), ("refit", final)):
        plots.curves(out / f"curves-{name}.png", fitted.history)
    training = {
        "seed": seed,
        "epochs": stages.selection_settings(run).epochs,
        "kept_epoch": int(selected.best["epoch"]),
        "refit_epochs": stages.refit_settings(run).epochs,
        "seconds": round(time.monotonic() - started, 1),
        "device": run.device.type,
        "threads": torch.get_num_threads(),
    }
    return _finish(final, cases, split, validation, run, training)


def _finish(
    final: Fitted,
    cases: Cases,
    split: Split,
    validation: Sequence[CaseScore],
    run: stages.Run,
    training: dict[str, Any],
) -> dict[str, Any]:
    """Report trained weights on the held-out part, and write their folder.

    ``validation`` are scores by weights that had not seen the validation part; they calibrate the intervals.
    """
    network, factors = stages.as_shipped(final.network, run.device), calibrate(validation, SINGLE_PARTS)
    held_out = score_cases(network, _picked(cases, split.held_out), run.device, progress=run.progress)
    metrics = {
        "interval_factor": factors,
        "training_volume_ml": volume_ranges(_picked(cases, (*split.train, *split.validation))),
        "held_out": report(held_out, factors),
        "validation": report(validation, factors),
        "training": training,
    }
    sizes = {part: len(names) for part, names in split.as_dict().items()}
    whole = {**metrics, "cases": by_case(held_out)}
    card = write_folder(run.out, network, make_card(sizes, metrics), whole, split, licence=LICENCE_TEXT)
    return {"model": NAME, "version": card.version, "weights_sha256": card.weights_sha256, **metrics}


def evaluate(
    data: Path, *, device: str = "auto", weights: Path | None = None, progress: bool = False
) -> dict[str, Any]:
    """Report the held-out part for shipped weights or those of a folder, with the intervals that their card gives."""
    network, card, chosen = restore(stages.new_network(), weights or catalog.weights_folder(NAME), device)
    cases, split = load_cases(data)
    scores = score_cases(network.eval(), _picked(cases, split.held_out), chosen, progress=progress)
    return {
        "model": NAME,
        "version": card.version,
        "weights_sha256": card.weights_sha256,
        "held_out": report(scores, interval_factors(card.metrics)),
    }


def _picked(cases: Cases, names: Sequence[str]) -> list[LabelledVolume]:
    return [cases[name] for name in names]
