"""Training of the rhythm model: three networks on single leads, forests beside each, then each one on twelve leads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from models import catalog, runtime
from models.calibrated import Operating, read_operating
from models.shipped import restore
from models.signals.ecg.forest import RhythmMember
from models.signals.ecg.model import MEMBERS, RhythmEnsemble, RhythmModel
from models.signals.ecg.network import FIBRILLATION
from models.signals.ecg.parts import TWELVE_WINDOW_S
from models.signals.ecg.preparing import RATE_HZ
from models.signals.ecg.reading import WINDOW, fibrillation_logit, windows_of
from models.signals.filters import Array
from models.signals.scope import fit_scope
from models.training.ecg_af import asking
from models.training.ecg_af.card import LICENCE_TEXT, NAME, make_card
from models.training.ecg_af.data import HELD_OUT_FOLDS, Strip, pick, read_single, read_twelve
from models.training.ecg_af.fitting import (
    SINGLE_EPOCHS,
    TWELVE_EPOCHS,
    challenge_f1,
    probabilities,
    record_logits,
    train_single,
    train_twelve,
)
from models.training.ecg_af.growing import grow
from models.training.ecg_af.measuring import (
    CLASS_NAMES,
    NOISE_THRESHOLD,
    fibrillation_report,
    fit_operating,
    readable,
    rhythm_report,
)
from models.training.framework import plots
from models.training.framework.division import Split, divide, folds
from models.training.framework.records import round_to_half, write_folder

#: The division is the same for every seed of a training.
SPLIT_SEED = 0

TWELVE_WINDOW = int(TWELVE_WINDOW_S * RATE_HZ)
Parts = list[tuple[list[Strip], list[Strip]]]


@dataclass(frozen=True, eq=False)
class Data:
    """Both sets, divided."""

    single: list[Strip]
    single_held_out: list[Strip]
    twelve: list[Strip]
    twelve_held_out: list[Strip]

    def split(self) -> Split:
        """Give the cases of both sets; each of the training part validates one of the networks."""
        train = [strip.case for strip in (*self.single, *self.twelve)]
        held_out = [strip.case for strip in (*self.single_held_out, *self.twelve_held_out)]
        return Split(tuple(train), (), tuple(held_out))


def load_data(data: Path) -> Data:
    """Read and divide: a fifth of the single leads by class, the folds 9 and 10 of PTB-XL."""
    single, twelve = read_single(data), read_twelve(data)
    labels = {strip.case: str(strip.label) for strip in single}
    split = divide(labels, str, SPLIT_SEED, held_out=0.2, validation=0.0, stratum_of=labels.__getitem__)
    return Data(
        pick(single, (*split.train, *split.validation)),
        pick(single, split.held_out),
        [strip for strip in twelve if strip.fold not in HELD_OUT_FOLDS],
        [strip for strip in twelve if strip.fold in HELD_OUT_FOLDS],
    )


def in_folds(strips: Sequence[Strip]) -> Parts:
    """Divide a training part into what each member trains on and what it is validated on; no patient is in both."""
    by_case = {strip.case: strip for strip in strips}
    dealt = folds(by_case, lambda case: by_case[case].group, SPLIT_SEED, MEMBERS, lambda case: str(by_case[case].label))
    return [(pick(strips, train), pick(strips, validation)) for train, validation in dealt]


def out_of_fold(
    networks: Sequence[torch.nn.Module], parts: Parts, strips: Sequence[Strip], window: int, device: torch.device
) -> Array:
    """Logits of each strip by the network that had not trained on it, ``[strip, 4]``."""
    found: dict[str, Array] = {}
    for network, (_, validation) in zip(networks, parts, strict=True):
        logits = record_logits([network.eval()], validation, device, window)[0]
        found.update({strip.case: row for strip, row in zip(validation, logits, strict=True)})
    return np.stack([found[strip.case] for strip in strips])


def mean_logits(
    networks: Sequence[torch.nn.Module], strips: Sequence[Strip], window: int, device: torch.device
) -> Array:
    """Mean logits of an ensemble, ``[strip, 4]``."""
    return np.asarray(record_logits(networks, strips, device, window).mean(axis=0))


def scope_of(strips: Sequence[Strip], window: int) -> dict[str, Any]:
    """Describe the windows of readable training strips."""
    kept = [strips[at] for at in readable(strips)]
    numbers = [one.numbers for strip in kept for one in windows_of(strip.samples, strip.beats, window)]
    return fit_scope(np.stack(numbers).astype(np.float64)).as_dict()


def train(
    data: Path, out: Path, *, seed: int = 0, epochs: int | None = None, device: str = "auto", progress: bool = True
) -> dict[str, Any]:
    """Train three networks on single leads and, from these, three on twelve; report on the held-out parts.

    Each network is validated on a third of the training part that it does not train on: these thirds select its epoch.
    The forests beside it grow on the same two thirds. Together the thirds give calibration and thresholds. The
    twelve-lead networks are trained once more from nothing, to measure what the transfer is worth; those are not kept.

    Parameters
    ----------
    epochs
        Of the single-lead networks; the others get a number in proportion.
    """
    started, chosen = time.monotonic(), runtime.choose_device(device)
    found = load_data(data)
    count = epochs or SINGLE_EPOCHS
    second = max(1, round(count * TWELVE_EPOCHS / SINGLE_EPOCHS))
    ensemble = RhythmEnsemble().to(chosen)
    single_parts, twelve_parts = in_folds(found.single), in_folds(found.twelve)
    scratch, kept = [], []
    for number, ((fit_on, judge_on), (fit_twelve, judge_twelve)) in enumerate(
        zip(single_parts, twelve_parts, strict=True)
    ):
        own = seed * 100 + number
        done = train_single(fit_on, judge_on, out / f"single{number}", seed=own, epochs=count, device=chosen,
                            progress=progress)  # fmt: skip
        _member(ensemble, number).network.load_state_dict(done.network.state_dict())
        kept.append(int(done.best["epoch"]))
        for start, name in ((done.network, "twelve"), (None, "scratch")):
            fitted = train_twelve(fit_twelve, judge_twelve, start, out / f"{name}{number}", seed=own, epochs=second,
                                  device=chosen, progress=progress)  # fmt: skip
            if start is None:
                scratch.append(fitted.network)
            else:
                ensemble.twelve[number].load_state_dict(fitted.network.state_dict())
    training = {"seed": seed, "epochs": count, "twelve_epochs": second, "kept_epochs": kept, "device": chosen.type,
                "threads": torch.get_num_threads(), "seconds": round(time.monotonic() - started, 1)}  # fmt: skip
    round_to_half(ensemble)
    known = {"training": training, **_transfer(ensemble, scratch, single_parts, twelve_parts, found, chosen)}
    return finish(out, ensemble, found, chosen, known, seed)


def _member(ensemble: RhythmEnsemble, number: int) -> RhythmMember:
    return cast("RhythmMember", ensemble.single[number])


def networks_of(ensemble: RhythmEnsemble) -> list[torch.nn.Module]:
    """Networks of the members for single leads, without their forests."""
    return [_member(ensemble, number).network for number in range(MEMBERS)]


def _twelve_auc(logits: Array, strips: Sequence[Strip]) -> float:
    operating = Operating(1.0, 0.0, 0.5)
    return float(fibrillation_report(logits, strips, operating)["auc"]["value"])


def _transfer(
    ensemble: RhythmEnsemble, scratch: Sequence[torch.nn.Module], single_parts: Parts, twelve_parts: Parts, found: Data,
    device: torch.device,
) -> dict[str, Any]:  # fmt: skip
    """Validation AUC on twelve leads: by networks of single leads only, trained from them, trained from nothing."""
    strips = found.twelve
    networks = networks_of(ensemble)
    unseen = mean_logits(networks, strips, TWELVE_WINDOW, device)
    lead_one = [Strip(s.case, s.group, s.fold, s.samples[:1], s.beats, s.label) for s in strips]
    return {
        "transfer": {
            "note": "AUC on the training part of the twelve-lead set, by networks that had not seen the record",
            "single_networks_on_lead_I": _twelve_auc(mean_logits(networks, lead_one, TWELVE_WINDOW, device), strips),
            "single_networks_on_all_leads": _twelve_auc(unseen, strips),
            "from_single": _twelve_auc(
                out_of_fold(list(ensemble.twelve), twelve_parts, strips, TWELVE_WINDOW, device), strips
            ),
            "from_nothing": _twelve_auc(out_of_fold(scratch, twelve_parts, strips, TWELVE_WINDOW, device), strips),
        }
    }


def finish(
    out: Path, ensemble: RhythmEnsemble, found: Data, device: torch.device, known: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Grow the forests beside trained networks, calibrate on the validation thirds, measure, and write the folder."""
    single_parts, twelve_parts = in_folds(found.single), in_folds(found.twelve)
    for number, (grow_on, _) in enumerate(single_parts):
        grow(_member(ensemble, number), grow_on, WINDOW, seed * 100 + number)
    round_to_half(ensemble)
    ensemble.eval()
    single = out_of_fold(list(ensemble.single), single_parts, found.single, WINDOW, device)
    twelve = out_of_fold(list(ensemble.twelve), twelve_parts, found.twelve, TWELVE_WINDOW, device)
    operating = {"single": fit_operating(single, found.single), "twelve": fit_operating(twelve, found.twelve)}
    metrics = {
        "operating": {name: one.as_dict() for name, one in operating.items()},
        "noise_threshold": NOISE_THRESHOLD,
        "scope": {"single": scope_of(found.single, WINDOW), "twelve": scope_of(found.twelve, TWELVE_WINDOW)},
        "held_out": held_out_report(ensemble, found, operating, device, out),
        "validation": validation_report(ensemble, found, operating, device),
        **known,
    }
    sizes = {
        "single": len(found.single) + len(found.single_held_out), "single_held_out": len(found.single_held_out),
        "twelve": len(found.twelve) + len(found.twelve_held_out), "twelve_held_out": len(found.twelve_held_out),
    }  # fmt: skip
    card = make_card(sizes, metrics)
    report = {key: metrics[key] for key in ("held_out", "validation", *known)}
    written = write_folder(out, ensemble, card, report, found.split(), licence=LICENCE_TEXT)
    return {"model": NAME, "version": written.version, "weights_sha256": written.weights_sha256, **report}


def validation_report(
    ensemble: RhythmEnsemble, found: Data, operating: dict[str, Operating], device: torch.device
) -> dict[str, Any]:
    """Report the validation thirds, each by the member that had not trained on it."""
    parts = in_folds(found.single)
    alone = out_of_fold(networks_of(ensemble), parts, found.single, WINDOW, device)
    single = out_of_fold(list(ensemble.single), parts, found.single, WINDOW, device)
    twelve = out_of_fold(list(ensemble.twelve), in_folds(found.twelve), found.twelve, TWELVE_WINDOW, device)
    return {
        "single": {"network_alone_f1": _score(alone, found.single),
                   "rhythm": rhythm_report(single, found.single),
                   "fibrillation": fibrillation_report(single, found.single, operating["single"])},
        "twelve": {"fibrillation": fibrillation_report(twelve, found.twelve, operating["twelve"])},
    }  # fmt: skip


def held_out_report(
    ensemble: RhythmEnsemble, found: Data, operating: dict[str, Operating], device: torch.device,
    pictures: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Report the held-out parts; with a folder, draw ROC, calibration and confusion into it."""
    single = mean_logits(list(ensemble.single), found.single_held_out, WINDOW, device)
    twelve = mean_logits(list(ensemble.twelve), found.twelve_held_out, TWELVE_WINDOW, device)
    rhythm = rhythm_report(single, found.single_held_out)
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        plots.confusion(pictures / "confusion.png", rhythm["confusion"], CLASS_NAMES)
        _draw(pictures, "single", single, found.single_held_out, operating["single"])
        _draw(pictures, "twelve", twelve, found.twelve_held_out, operating["twelve"])
    return {
        "single": {
            "rhythm": rhythm,
            "fibrillation": fibrillation_report(single, found.single_held_out, operating["single"]),
        },
        "twelve": {"fibrillation": fibrillation_report(twelve, found.twelve_held_out, operating["twelve"])},
    }


def _score(logits: Array, strips: Sequence[Strip]) -> float:
    truth = np.array([strip.label for strip in strips])
    return round(challenge_f1(truth, probabilities(logits).argmax(axis=1)), 5)


def _draw(out: Path, name: str, logits: Array, strips: Sequence[Strip], operating: Operating) -> None:
    kept = readable(strips)
    truth = [int(strips[at].label == FIBRILLATION) for at in kept]
    probability = operating.probability(fibrillation_logit(logits[kept]))
    plots.roc(out / f"roc-{name}.png", truth, probability)
    plots.calibration(out / f"calibration-{name}.png", truth, probability)


def evaluate(
    data: Path, *, device: str = "auto", weights: Path | None = None, progress: bool = False
) -> dict[str, Any]:
    """Report shipped weights or those of a folder, with the calibration of their card.

    Returns
    -------
    dict
        ``held_out``; ``validation``, the thirds of the training part by the members that had not seen them;
        ``declined``, how many held-out records of each class the model does not answer; ``exchanged_arms``, how many
        of all twelve-lead records are warned of, before and after the arm electrodes are exchanged.
    """
    ensemble, card, chosen = restore(RhythmEnsemble(), weights or catalog.weights_folder(NAME), device)
    ensemble.eval()
    operating = {name: read_operating(value) for name, value in card.metrics["operating"].items()}
    found, model = load_data(data), RhythmModel(ensemble, card, chosen)
    return {
        "model": NAME,
        "version": card.version,
        "weights_sha256": card.weights_sha256,
        "held_out": held_out_report(ensemble, found, operating, chosen),
        "validation": validation_report(ensemble, found, operating, chosen),
        "declined": asking.asked(model, data, found.single_held_out, found.twelve_held_out, progress=progress),
        "exchanged_arms": asking.exchanged_arms([*found.twelve, *found.twelve_held_out]),
    }
