"""Training and evaluation of the lung nodule model: scans, network, calibration, and the held-out report."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import cards, catalog, runtime
from models.contracts import Side
from models.imaging.lung.findings import Settings, settings_of
from models.imaging.lung.network import NoduleNetwork, channels_last
from models.imaging.lung.terms import NAME
from models.training.framework.calibration import Calibration, fit_calibration
from models.training.framework.metrics import auc, ece
from models.training.framework.records import write_folder
from models.training.lung_nodule import learning, plots
from models.training.lung_nodule.card import LICENCE_TEXT, make_card
from models.training.lung_nodule.data import RealThorax, Scan, in_boxes, read_thorax, real_side
from models.training.lung_nodule.examples import examples_of, joined
from models.training.lung_nodule.froc import LesionScore, ScanScore, report, threshold_at
from models.training.lung_nodule.measured import (
    Examined,
    detections,
    examine,
    interval_factors,
    size_report,
    surest,
    type_table,
)

#: False positives per scan at which the model works, on the validation scans, and at which it is reported.
OPERATING_RATE = 1.0
RATES = (1.0, 4.0)

#: Lesions that are found at this many false positives per scan calibrate the intervals of sizes.
INTERVAL_RATE = 4.0

#: The same of one lung.
RATES_OF_ONE_LUNG = (0.5, 2.0)


@dataclass(frozen=True, eq=False)
class Trained:
    """A network with the numbers that make statements of its logits."""

    network: torch.nn.Module
    settings: Settings

    @property
    def least_logit(self) -> float:
        """Logit at the operating threshold."""
        return self.settings.least_logit


def train(
    data: Path, out: Path, *, seed: int = 0, epochs: int | None = None, device: str = "auto", progress: bool = True
) -> dict[str, Any]:
    """Train, calibrate on the validation scans, and report on the held-out ones.

    Parameters
    ----------
    data
        Folder with ``thorax.npz``; see :mod:`models.training.lung_nodule.data`.
    out
        Gets weights, card, report, division, plots, log and TensorBoard events.
    """
    started = time.monotonic()
    chosen = runtime.choose_device(device)
    real = read_thorax(data)
    count = epochs or learning.EPOCHS
    examples = learning.training_examples(real, progress=progress)
    validation = list(learning.measured_scans(learning.VALIDATION_SEEDS, progress=progress))
    shown = joined(examples_of(scan, 0, 0, everything=True) for scan in validation)
    fitted = learning.fit_network(examples, shown, out, seed=seed, epochs=count, device=chosen, progress=progress)
    training = {
        "seed": seed,
        "epochs": count,
        "kept_epoch": fitted.best["epoch"],
        "examples": int(examples.truth.size),
        "positive": int(examples.truth.sum()),
        "seconds": round(time.monotonic() - started, 1),
        "device": chosen.type,
    }
    return finish(real, validation, fitted.network, out, training, device=chosen, progress=progress)


def finish(
    real: RealThorax,
    validation: Iterable[Scan],
    network: torch.nn.Module,
    out: Path,
    training: dict[str, Any],
    *,
    device: torch.device,
    progress: bool,
) -> dict[str, Any]:
    """Calibrate a network as its half precision has it, report it on the held-out scans, and write its folder."""
    out.mkdir(parents=True, exist_ok=True)
    runtime.save_weights(network, out / cards.WEIGHTS_FILE)
    kept = load_network(out / cards.WEIGHTS_FILE, device)
    examined = [examine(kept, scan, device) for scan in validation]
    trained = calibrate(kept, examined)
    settings = trained.settings
    generated, inserted = held_out(trained, real, device, progress=progress)
    metrics = {
        "calibration": {"slope": settings.slope, "intercept": settings.intercept},
        "operating_threshold": settings.threshold,
        "interval_factor": {"long_axis": settings.length_factor, "volume": settings.volume_factor},
        "validation": summary(trained, examined, RATES),
        "held_out": reports(trained, generated, inserted, real, device),
        "training": training,
    }
    sizes = {
        "train": len(learning.TRAIN_SEEDS),
        "validation": len(learning.VALIDATION_SEEDS),
        "held_out": len(learning.HELD_OUT_SEEDS),
    }
    plots.draw(out, trained_scores(trained, generated), trained_scores(trained, inserted), generated)
    card = write_folder(out, kept, make_card(sizes, metrics), metrics, learning.division(), licence=LICENCE_TEXT)
    return {"model": NAME, "version": card.version, "weights_sha256": card.weights_sha256, **metrics}


def evaluate(
    data: Path, *, device: str = "auto", weights: Path | None = None, progress: bool = False
) -> dict[str, Any]:
    """Report the held-out scans for shipped weights or those of a folder, with the numbers that their card gives."""
    folder = weights or catalog.weights_folder(NAME)
    card = cards.read_card(folder)
    chosen = runtime.choose_device(device)
    network = load_network(folder / cards.WEIGHTS_FILE, chosen, card.weights_sha256)
    trained, real = Trained(network, settings_of(card.metrics)), read_thorax(data)
    generated, inserted = held_out(trained, real, chosen, progress=progress)
    return {
        "model": NAME,
        "version": card.version,
        "weights_sha256": card.weights_sha256,
        "held_out": reports(trained, generated, inserted, real, chosen),
    }


def load_network(path: Path, device: torch.device, sha256: str | None = None) -> torch.nn.Module:
    """Load the network's weights; the digest is checked where one is given."""
    network = channels_last(NoduleNetwork())
    runtime.load_into(network, runtime.read_weights(path, sha256 or runtime.sha256_of(path)))
    return network.to(device).eval()


def calibrate(network: torch.nn.Module, scans: Sequence[Examined]) -> Trained:
    """Fit calibration, operating threshold and intervals on validation scans."""
    logits, truth = detections(scans)
    line: Calibration = fit_calibration(logits, truth)
    plain = Settings(line.slope, line.intercept, 0.5, 1.0, 1.0)
    above = threshold_at(_scores(plain, scans), OPERATING_RATE)
    threshold = float(np.clip(math.floor(above * 1e4 + 1) / 1e4, 0.02, 0.9))  # just over the last false positive
    near = float(np.clip(threshold_at(_scores(plain, scans), INTERVAL_RATE), 1e-6, 0.9))
    factors = interval_factors(scans, replace(plain, threshold=near).least_logit)
    return Trained(
        network,
        Settings(
            round(line.slope, 6),
            round(line.intercept, 6),
            round(threshold, 4),
            factors["long_axis"],
            factors["volume"],
        ),
    )


def held_out(
    trained: Trained, real: RealThorax, device: torch.device, *, progress: bool
) -> tuple[list[Examined], list[Examined]]:
    """Examine the held-out generated scans, and the left lung of the real thorax with lesions."""
    generated = [
        examine(trained.network, scan, device)
        for scan in learning.measured_scans(learning.HELD_OUT_SEEDS, progress=progress)
    ]
    return generated, [examine(trained.network, scan, device) for scan in learning.real_scans(real)]


def trained_scores(trained: Trained, scans: Sequence[Examined]) -> list[ScanScore]:
    """Scans by calibrated probabilities."""
    return _scores(trained.settings, scans)


def _scores(settings: Settings, scans: Sequence[Examined]) -> list[ScanScore]:
    found = []
    for scan in scans:
        best = [surest(scan, number) for number in range(len(scan.nodules))]
        lesions = tuple(
            LesionScore(item.long_mm, str(item.lesion.kind), -1.0 if logit is None else settings.probability(logit))
            for item, logit in zip(scan.nodules, best, strict=True)
        )
        false = tuple(settings.probability(x) for x, hit in zip(scan.logits, scan.hit, strict=True) if hit < 0)
        found.append(ScanScore(scan.case, lesions, false))
    return found


def summary(trained: Trained, scans: Sequence[Examined], rates: Sequence[float]) -> dict[str, Any]:
    """Report detection, calibration, sizes and types of some scans."""
    settings, least = trained.settings, trained.least_logit
    logits, truth = detections(scans)
    probabilities = [settings.probability(logit) for logit in logits]
    factors = {"long_axis": settings.length_factor, "volume": settings.volume_factor}
    return {
        "detection": report(trained_scores(trained, scans), rates, settings.threshold),
        "candidates": {
            "n": len(truth),
            "nodules": int(sum(truth)),
            "auc": round(auc(truth, probabilities), 4),
            "ece": round(ece(truth, probabilities), 4),
        },
        "sizes": size_report(scans, least, factors),
        "types": type_table(scans, least),
        "seconds_per_scan": round(float(np.median([scan.seconds for scan in scans])), 2),
    }


def reports(
    trained: Trained,
    generated: Sequence[Examined],
    inserted: Sequence[Examined],
    real: RealThorax,
    device: torch.device,
) -> dict[str, Any]:
    """Report the held-out part: generated scans, lesions in the real left lung, and the real tumour."""  # fmt: skip
    return {
        "generated": summary(trained, generated, RATES),
        "real_left_lung": summary(trained, inserted, RATES_OF_ONE_LUNG),
        "tumour": _tumour(trained, real, device),
    }


def _tumour(trained: Trained, real: RealThorax, device: torch.device) -> dict[str, Any]:
    """What the model says in the boxes of the real tumour, in the left lung without inserted lesions."""
    found = examine(trained.network, real_side(real, Side.LEFT), device)
    probabilities = np.array([trained.settings.probability(logit) for logit in found.logits])
    stated = probabilities >= trained.settings.threshold
    boxes = in_boxes(real, found.at)
    inside = boxes.any(1)
    return {
        "boxes": len(real.boxes),
        "boxes_with_a_finding": int((boxes & stated[:, None]).any(0).sum()),
        "findings_in_boxes": int((inside & stated).sum()),
        "highest_probability_in_boxes": round(float(probabilities[inside].max()), 4) if inside.any() else None,
        "findings_elsewhere_in_the_lung": int((~inside & stated).sum()),
    }
