"""From the data set to a folder of weights, and from such a folder to its held-out figures."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models import cards, catalog, runtime
from models.contracts import FloatArray
from models.imaging.chest_xray.network import ChestNetwork
from models.imaging.chest_xray.picture import SIDE, prepare
from models.imaging.chest_xray.pneumonia import MEMBERS, PneumoniaNetwork, read_operating
from models.imaging.chest_xray.reading import as_tensor
from models.imaging.chest_xray.scope import read_limits
from models.training.chest_xray_pneumonia import scoping
from models.training.chest_xray_pneumonia.card import LICENCE_TEXT, NAME, make_card
from models.training.chest_xray_pneumonia.data import Parts, Pictures, joined, likeness, read_parts
from models.training.chest_xray_pneumonia.stages import TELLING, tell_arrangement, tell_pneumonia
from models.training.chest_xray_severity.data import read_picture, training_pictures
from models.training.framework import plots
from models.training.framework.calibration import fit_calibration
from models.training.framework.fit import Fitted
from models.training.framework.metrics import best_threshold, binary_report
from models.training.framework.records import round_to_half, write_folder

#: Networks that are trained from nothing beside the members, to see what the first stage is worth.
SCRATCH_MEMBERS = 3

#: The radiographs that the first stage looks at too, where this folder lies beside that of the data set.
ADULTS = "cxr-covid-hannover"

#: Held-out pictures that are less like every training picture than this correlation are measured once more alone.
ALIKE = 0.8


#: Times that pictures are drawn with replacement for the interval of a figure.
DRAWN = 1000

#: Parts of the report that the card has too.
_IN_CARD = ("held_out", "held_out_unlike_training", "scope", "adults", "training")


@dataclass(frozen=True, eq=False)
class Adults:
    """Radiographs of Hannover, ``[n, 28, 28]`` each: those that the first stage looks at, and those held out there."""

    seen: FloatArray
    unseen: FloatArray


@dataclass(frozen=True, eq=False)
class _Run:
    """What every stage of one training is told."""

    out: Path
    device: torch.device
    seed: int
    epochs: int | None
    progress: bool


def train(
    data: Path, out: Path, *, seed: int = 0, epochs: int | None = None, device: str = "auto", progress: bool = True
) -> dict[str, Any]:
    """Train the ensemble and its scope; see :func:`models.training.registry.train`."""
    started = time.monotonic()
    run = _Run(out, runtime.choose_device(device), seed, epochs, progress)
    parts, adults = read_parts(data), read_adults(data)
    arranging = _arranging(parts, adults.seen, run)
    start = arranging.network
    assert isinstance(start, ChestNetwork)  # noqa: S101
    members = [_member(parts, start, run, number) for number in range(MEMBERS)]
    scratch = [_member(parts, None, run, number) for number in range(SCRATCH_MEMBERS)]
    network = _assembled(start, members, parts.train.pixels, run.device)
    plots.curves(out / "curves.png", members[0].history)
    stages = {
        "first_stage": {name: round(value, 5) for name, value in arranging.best.items()},
        "second_stage": {"from_first_stage": _best(members), "from_nothing": _best(scratch)},
        "training": {"seed": seed, "epochs": epochs or TELLING.epochs, "seconds": round(time.monotonic() - started, 1),
                     "device": run.device.type, "threads": torch.get_num_threads(), "copies_left_out": parts.copies},
    }  # fmt: skip
    return finish(network, parts, adults, out, run.device, stages)


def finish(
    network: PneumoniaNetwork, parts: Parts, adults: Adults, out: Path, device: torch.device, stages: dict[str, Any]
) -> dict[str, Any]:
    """Calibrate a trained network, measure it, and write its folder; ``stages`` is reported as it is."""
    metrics = choose(network, parts.validation, device)
    report = measured(network, metrics, parts, adults.unseen, device) | stages
    sizes = {name: len(names) for name, names in parts.split.as_dict().items()}
    card = make_card(sizes, len(adults.seen), metrics | {key: report[key] for key in _IN_CARD})
    written = write_folder(out, network, card, report, parts.split, licence=LICENCE_TEXT)
    _draw(out, network, metrics, parts.held_out, device)
    return {"model": NAME, "version": written.version, "weights_sha256": written.weights_sha256, **report}


def evaluate(
    data: Path, *, device: str = "auto", weights: Path | None = None, progress: bool = False
) -> dict[str, Any]:
    """Give the held-out figures of weights that exist; see :func:`models.training.registry.evaluate`."""
    folder, chosen = weights or catalog.weights_folder(NAME), runtime.choose_device(device)
    card = cards.read_card(folder)
    network = PneumoniaNetwork()
    runtime.load_into(network, runtime.read_weights(folder / cards.WEIGHTS_FILE, card.weights_sha256))
    unseen = read_adults(data).unseen
    report = measured(network.to(chosen).eval(), dict(card.metrics), read_parts(data), unseen, chosen)
    return {"model": NAME, "version": card.version, "weights_sha256": card.weights_sha256, **report}


def read_adults(data: Path) -> Adults:
    """Pictures of the radiographs of Hannover beside the data set; none where they are not there."""
    folder = data.parent / ADULTS
    if not folder.is_dir():
        return Adults(_pictures([]), _pictures([]))
    free = training_pictures(folder)
    others = [path for path in sorted((folder / "png").glob("*.png")) if path.stem not in free]
    return Adults(_pictures(list(free.values())), _pictures(others))


def _pictures(paths: list[Path]) -> FloatArray:
    if not paths:
        return np.zeros((0, SIDE, SIDE), dtype=np.float32)
    return np.stack([prepare(read_picture(path)).pixels for path in paths])


def choose(network: PneumoniaNetwork, validation: Pictures, device: torch.device) -> dict[str, Any]:
    """Calibration, threshold (Youden's) and scope limits, on the validation part."""
    logits = mean_logits(network, validation.pixels, device)
    line = fit_calibration(logits, validation.labels)
    threshold = best_threshold(validation.labels, line.apply(logits), "youden")
    return {
        "calibration": line.as_dict(),
        "threshold": round(threshold, 4),
        "scope_limits": scoping.find_limits(network.scope, validation.pixels, device),
    }


def measured(
    network: PneumoniaNetwork, metrics: dict[str, Any], parts: Parts, adults: FloatArray, device: torch.device
) -> dict[str, Any]:
    """Figures of the held-out part: of all of it, of what is least like the training, and what the scope does.

    Of the adults, all of whom have COVID-19, is told how many are declined and how many of the others are called.
    """
    operating, limits, held_out = read_operating(metrics), read_limits(metrics), parts.held_out
    probability = probabilities(network, metrics, held_out.pixels, device)
    truth = np.array(held_out.labels)
    correlation = likeness(held_out.pixels, parts.train.pixels)
    unlike = correlation < ALIKE
    return {
        "held_out": binary_report(truth, probability, operating.threshold, resamples=DRAWN),
        "held_out_unlike_training": {
            "below_correlation": ALIKE,
            "highest_correlation_of_all": round(float(correlation.max()), 4),
            **(
                binary_report(truth[unlike], probability[unlike], operating.threshold, resamples=DRAWN)
                if unlike.sum() > 1
                else {}
            ),
        },
        "scope": scoping.measure(network.scope, limits, held_out.pixels, device),
        "adults": _of_adults(network, metrics, adults, device),
    }


def _of_adults(
    network: PneumoniaNetwork, metrics: dict[str, Any], adults: FloatArray, device: torch.device
) -> dict[str, int]:
    if not len(adults):
        return {}
    with torch.inference_mode():
        shares = read_limits(metrics).ratio(network.scope(as_tensor(adults, device))).amax(1).cpu().numpy()
    called = probabilities(network, metrics, adults, device) >= metrics["threshold"]
    return {
        "n": len(adults),
        "declined": int((shares > 1).sum()),
        "answered_as_pneumonia": int(((shares <= 1) & called).sum()),
    }


def mean_logits(network: PneumoniaNetwork, pixels: FloatArray, device: torch.device) -> npt.NDArray[np.float64]:
    """Mean of the members' logits, ``[n]``."""
    with torch.inference_mode():
        logits = network.ensemble(as_tensor(pixels, device)).double().mean(1).cpu().numpy()
    found: npt.NDArray[np.float64] = logits
    return found


def probabilities(
    network: PneumoniaNetwork, metrics: dict[str, Any], pixels: FloatArray, device: torch.device
) -> npt.NDArray[np.float64]:
    """Calibrated probabilities, ``[n]``."""
    operating = read_operating(metrics)
    return np.array([operating.probability(logit) for logit in mean_logits(network, pixels, device)])


def _arranging(parts: Parts, adults: FloatArray, run: _Run) -> Fitted:
    return tell_arrangement(
        joined([parts.train.pixels, adults]), parts.validation.pixels, run.out / "arrangement", run.device,
        seed=run.seed, epochs=run.epochs, progress=run.progress,
    )  # fmt: skip


def _member(parts: Parts, start: ChestNetwork | None, run: _Run, number: int) -> Fitted:
    folder = run.out / f"{'member' if start else 'scratch'}-{number}"
    return tell_pneumonia(
        parts.train, parts.validation, start, folder, run.device, seed=run.seed * 100 + number, epochs=run.epochs,
        progress=run.progress,
    )  # fmt: skip


def _assembled(
    start: ChestNetwork, members: list[Fitted], pixels: FloatArray, device: torch.device
) -> PneumoniaNetwork:  # fmt: skip
    """Put the parts into one network, its weights rounded as they are shipped, so that all that follows is of these."""
    network = PneumoniaNetwork(len(members)).to(device).eval()
    network.scope.network.load_state_dict(start.state_dict())
    for place, member in zip(network.ensemble.members, members, strict=True):
        place.load_state_dict(member.network.state_dict())
    scoping.learn(network.scope, pixels, device)
    round_to_half(network)
    return network


def _best(fitted: list[Fitted]) -> dict[str, Any]:
    """Best validation figures of each network, and their means."""
    names = ("loss_validation", "auc")
    each = {name: [round(one.best[name], 5) for one in fitted] for name in names}
    return {**each, **{f"mean_{name}": round(float(np.mean(values)), 5) for name, values in each.items()}}


def _draw(
    out: Path, network: PneumoniaNetwork, metrics: dict[str, Any], held_out: Pictures, device: torch.device
) -> None:
    probability = probabilities(network, metrics, held_out.pixels, device)
    called, truth = probability >= metrics["threshold"], np.array(held_out.labels)
    table = [[int(((truth == row) & (called == column)).sum()) for column in (0, 1)] for row in (0, 1)]
    plots.roc(out / "roc.png", truth, probability)
    plots.calibration(out / "calibration.png", truth, probability)
    plots.confusion(out / "confusion.png", table, ("normal", "pneumonia"))
