"""Training of the heart sound model: three networks in folds, the report, and what it is worth on another device."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import catalog, runtime
from models.calibrated import Operating, read_operating
from models.shipped import restore
from models.signals.filters import Array
from models.signals.heart_sound.model import MEMBERS, HeartSoundEnsemble
from models.signals.heart_sound.scope import describe
from models.signals.scope import fit_scope
from models.training.framework import plots
from models.training.framework.division import Split, folds
from models.training.framework.records import round_to_half, write_folder
from models.training.heart_sound.card import LICENCE_TEXT, NAME, make_card
from models.training.heart_sound.data import HELD_OUT, TRAIN, read_part
from models.training.heart_sound.fitting import EPOCHS, Seen, see, train_one, window_logits
from models.training.heart_sound.measuring import database_alone, fit_operating, report, truth_of

#: The folds are the same for every seed of a training.
SPLIT_SEED = 0

#: Sub-databases that are left out together: c, d and f are too small to be judged by themselves.
DATABASE_GROUPS = ("a", "b", "e", "cdf")

Parts = list[tuple[list[Seen], list[Seen]]]


def in_folds(items: Sequence[Seen], count: int = MEMBERS) -> Parts:
    """Divide by recording, with every sub-database and label in each part."""
    by_case = {item.case: item for item in items}
    dealt = folds(
        by_case,
        lambda case: case.split("-")[0],
        SPLIT_SEED,
        count,
        lambda case: f"{by_case[case].database}{by_case[case].abnormal:d}",
    )
    return [([by_case[case] for case in train], [by_case[case] for case in validation]) for train, validation in dealt]


def train(
    data: Path, out: Path, *, seed: int = 0, epochs: int | None = None, device: str = "auto", progress: bool = True
) -> dict[str, Any]:
    """Train three networks, each validated on a third that it does not train on; report on the held-out part.

    The thirds select each network's epoch and together give calibration and threshold. Then a network is trained for
    each group of sub-databases on all others, to measure what is left on a device that was never heard.
    """
    started, chosen = time.monotonic(), runtime.choose_device(device)
    items = see(read_part(data, TRAIN))
    count = epochs or EPOCHS
    ensemble, parts, kept = HeartSoundEnsemble().to(chosen), in_folds(items), []
    for number, (fit_on, judge_on) in enumerate(parts):
        done = train_one(fit_on, judge_on, out / f"member{number}", seed=seed * 100 + number, epochs=count,
                         device=chosen, progress=progress)  # fmt: skip
        ensemble.members[number].load_state_dict(done.network.state_dict())
        kept.append(int(done.best["epoch"]))
    round_to_half(ensemble)
    training = {"seed": seed, "epochs": count, "kept_epochs": kept, "device": chosen.type,
                "threads": torch.get_num_threads(), "seconds": round(time.monotonic() - started, 1)}  # fmt: skip
    operating = fit_operating(out_of_fold(ensemble, parts, items, chosen), items)
    elsewhere = leave_one_out(items, operating, out, seed=seed, epochs=count, device=chosen, progress=progress)
    return _finish(data, out, ensemble, items, parts, chosen, {**elsewhere, "training": training})


def out_of_fold(ensemble: HeartSoundEnsemble, parts: Parts, items: Sequence[Seen], device: torch.device) -> Array:
    """Logits of each sound by the network that had not trained on it, ``[sound]``."""
    found: dict[str, float] = {}
    for network, (_, validation) in zip(ensemble.eval().members, parts, strict=True):
        logits = window_logits([network], validation, device)[0]
        found.update({item.case: float(logit) for item, logit in zip(validation, logits, strict=True)})
    return np.array([found[item.case] for item in items])


def leave_one_out(
    items: Sequence[Seen], operating: Operating, out: Path, *, seed: int, epochs: int, device: torch.device,
    progress: bool,
) -> dict[str, Any]:  # fmt: skip
    """Figures on each group of sub-databases, by a network that heard only the others.

    The operating point is that of the shipped networks: a site that installs the model has no other.
    """
    found = {}
    for name in DATABASE_GROUPS:
        inside = [item for item in items if item.database in name]
        fit_on, judge_on = in_folds([item for item in items if item.database not in name])[0]
        done = train_one(fit_on, judge_on, out / f"without-{name}", seed=seed * 100, epochs=max(1, epochs // 2),
                         device=device, progress=progress)  # fmt: skip
        measured = report(window_logits([done.network], inside, device)[0], inside, operating)
        found[name] = {key: measured[key] for key in ("n", "positives", "macc", "auc", "recall", "specificity")}
    return {"leave_one_database_out": found}


def _finish(
    data: Path, out: Path, ensemble: HeartSoundEnsemble, items: Sequence[Seen], parts: Parts, device: torch.device,
    known: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Calibrate on the validation thirds, measure, and write the folder."""
    logits = out_of_fold(ensemble, parts, items, device)
    operating = fit_operating(logits, items)
    held_out = see(read_part(data, HELD_OUT))
    metrics = {
        "operating": operating.as_dict(),
        "scope": fit_scope(np.stack([describe(item.spectrogram) for item in items])).as_dict(),
        "held_out": held_out_report(ensemble, held_out, operating, device, out),
        "validation": report(logits, items, operating),
        **known,
    }
    split = Split(tuple(item.case for item in items), (), tuple(item.case for item in held_out))
    card = make_card({"train": len(items), "held_out": len(held_out)}, metrics)
    shown = {key: metrics[key] for key in ("held_out", "validation", *known)}
    written = write_folder(out, ensemble, card, shown, split, licence=LICENCE_TEXT)
    return {"model": NAME, "version": written.version, "weights_sha256": written.weights_sha256, **shown}


def held_out_report(
    ensemble: HeartSoundEnsemble, items: Sequence[Seen], operating: Operating, device: torch.device,
    pictures: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Report the held-out part; with a folder, draw ROC and calibration into it."""
    logits = window_logits(list(ensemble.eval().members), items, device).mean(axis=0)
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        truth, probability = truth_of(items).astype(int), operating.probability(logits)
        plots.roc(pictures / "roc.png", truth, probability)
        plots.calibration(pictures / "calibration.png", truth, probability)
    return report(logits, items, operating)


def evaluate(
    data: Path, *, device: str = "auto", weights: Path | None = None, progress: bool = False
) -> dict[str, Any]:
    """Report shipped weights or those of a folder, with the calibration of their card.

    Returns
    -------
    dict
        ``held_out``; ``validation``, the thirds of the training part by the networks that had not heard them; and
        ``database_alone``, what the sub-database tells without any sound of both parts.
    """
    ensemble, card, chosen = restore(HeartSoundEnsemble(), weights or catalog.weights_folder(NAME), device)
    operating = read_operating(card.metrics["operating"])
    items, held_out = see(read_part(data, TRAIN)), see(read_part(data, HELD_OUT))
    logits = out_of_fold(ensemble, in_folds(items), items, chosen)
    return {
        "model": NAME,
        "version": card.version,
        "weights_sha256": card.weights_sha256,
        "held_out": held_out_report(ensemble, held_out, operating, chosen),
        "validation": report(logits, items, operating),
        "database_alone": {"held_out": database_alone(held_out), "training": database_alone(items)},
    }
