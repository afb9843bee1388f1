"""Trainer of labs-risk: five members on five folds, calibrated on what each had not seen, and the held-out report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models import cards, catalog, runtime
from models.labs import networks
from models.labs.networks import RiskNetwork
from models.labs.tensors import tensors_of
from models.training.framework import plots
from models.training.framework.calibration import Calibration, fit_calibration
from models.training.framework.fit import seeded
from models.training.framework.metrics import best_threshold
from models.training.framework.records import round_to_half, write_folder
from models.training.labs_risk.baselines import BASELINES, predict
from models.training.labs_risk.card import NAME, VERSION, WEIGHTS_LICENCE, make_card
from models.training.labs_risk.comparing import compare
from models.training.labs_risk.data import Stay, in_folds, read_stays, split_stays
from models.training.labs_risk.elsewhere import report_elsewhere
from models.training.labs_risk.evaluation import full_report, report_network
from models.training.labs_risk.members import EPOCHS, train_member
from models.training.labs_risk.oddities import scope_report
from models.training.labs_risk.showing import pictures
from models.training.labs_risk.stays import StaySet

Floats = npt.NDArray[np.float64]
MEMBERS_FOLDER = "members"

#: What a card must give to report its weights.
NUMBERS = ("slope", "intercept", "threshold", "surprise_warned", "surprise_declined")

__all__ = ["compare", "evaluate", "pictures", "train"]


def train(
    data: Path, out: Path, *, seed: int = 0, epochs: int | None = None, device: str = "auto", progress: bool = True
) -> dict[str, Any]:
    """Train the ensemble and report on the held-out part.

    1. The training part is divided into folds; each member is trained without one of them, which selects its epoch.
    2. The weights are rounded to half precision, as they are stored.
    3. What each member says of the fold that it had not seen calibrates the ensemble and chooses threshold and limits.
    4. Ensemble and baselines are measured on the held-out part, once.

    Parameters
    ----------
    data
        Folder with ``stays.tar.gz`` and ``outcomes.csv``.
    out
        Gets weights, card, report, division, plots, and ``members`` with the log of each member.
    """
    started, chosen = time.monotonic(), runtime.choose_device(device)
    stays = read_stays(data)
    split = split_stays(stays)
    rounds = in_folds(stays, split.train, networks.SHAPE.members)
    count = EPOCHS if epochs is None else epochs
    seeded(seed)
    network = RiskNetwork()
    histories = []
    for number, (member, (train_on, judge_on)) in enumerate(zip(network.each(), rounds, strict=True)):
        fitted = train_member(
            member,
            StaySet(train_on),
            StaySet(judge_on),
            out / MEMBERS_FOLDER / str(number),
            chosen,
            seed=seed + number,
            epochs=count,
            progress=progress,
        )
        histories.append(fitted.history)
    network = network.cpu().eval()
    round_to_half(network)
    training = {
        "seed": seed,
        "epochs": count,
        "epochs_trained": [len(history) for history in histories],
        "seconds": round(time.monotonic() - started, 1),
        "device": chosen.type,
        "threads": torch.get_num_threads(),
    }
    metrics = finish(network, [judge_on for _, judge_on in rounds], [stays[case] for case in split.held_out], out)
    plots.curves(out / "curves.png", histories[0], ("loss", "auc", "surprise"))
    metrics["training"] = training
    sizes = {name: len(cases) for name, cases in split.as_dict().items()}
    card = write_folder(out, network, make_card(sizes, metrics), metrics, split, licence=WEIGHTS_LICENCE)
    return {"model": NAME, "version": VERSION, "weights_sha256": card.weights_sha256, **metrics}


def finish(
    network: RiskNetwork, validation: Sequence[Sequence[Stay]], held_out: Sequence[Stay], out: Path
) -> dict[str, Any]:
    """Calibrate on the folds that each member had not seen, and report; see :func:`train`."""
    logits, surprise = unseen(network, validation)
    seen = [stay for fold in validation for stay in fold]
    truth = np.array([stay.died for stay in seen])
    calibration = fit_calibration(logits, truth)
    threshold = best_threshold(truth, calibration.apply(logits), "min_se_ppv")
    report = report_network(network, held_out, calibration, threshold)
    held_truth, probability = np.array([stay.died for stay in held_out]), _probabilities(network, held_out, calibration)
    plots.roc(out / "roc.png", held_truth, probability)
    plots.calibration(out / "calibration.png", held_truth, probability)
    plots.confusion(out / "confusion.png", report["confusion"], ["survived", "died"])
    return {
        **calibration.as_dict(),
        "threshold": threshold,
        "surprise_warned": round(float(np.percentile(surprise, 99)), 4),
        "surprise_declined": round(float(np.percentile(surprise, 99.9)), 4),
        "held_out": report,
        "validation": full_report(truth, calibration.apply(logits), threshold),
        "baselines": _baselines(validation, held_out),
    }


def unseen(network: RiskNetwork, validation: Sequence[Sequence[Stay]]) -> tuple[Floats, Floats]:
    """Logit and surprise of each stay by the member that had not seen it, in the order of the folds."""
    logits, surprise = [], []
    with torch.inference_mode():
        for member, fold in zip(network.each(), validation, strict=True):
            batch = tensors_of([stay.window for stay in fold])
            logits.append(member(batch).double().numpy())
            surprise.append(member.surprise(batch).double().numpy())
    return np.concatenate(logits), np.concatenate(surprise)


def _probabilities(network: RiskNetwork, stays: Sequence[Stay], calibration: Calibration) -> Floats:
    with torch.inference_mode():
        logits = network(tensors_of([stay.window for stay in stays])).double().numpy().mean(axis=1)
    return calibration.apply(logits)


def _baselines(validation: Sequence[Sequence[Stay]], held_out: Sequence[Stay]) -> dict[str, Any]:
    """Held-out figures of the baselines, whose threshold is chosen on the same folds."""
    truth = np.array([stay.died for fold in validation for stay in fold])
    found = {}
    for name in BASELINES:
        parts = []
        for number, fold in enumerate(validation):
            rest = [stay for other, stays in enumerate(validation) if other != number for stay in stays]
            parts.append(predict(name, rest, fold))
        threshold = best_threshold(truth, np.concatenate(parts), "min_se_ppv")
        probability = predict(name, [stay for fold in validation for stay in fold], held_out)
        found[name] = {
            "held_out": full_report(np.array([stay.died for stay in held_out]), probability, threshold),
            "validation": full_report(truth, np.concatenate(parts), threshold),
        }
    return found


def evaluate(
    data: Path, *, device: str = "auto", weights: Path | None = None, progress: bool = False
) -> dict[str, Any]:
    """Report shipped weights or those of a folder.

    Parameters
    ----------
    device, progress
        Taken for the sake of the interface: a thousand records a second need neither GPU nor bar.

    Returns
    -------
    dict
        ``held_out``; ``validation``, the training part by the members that had not seen it; ``scope``, what is declined
        of held-out and odd records; ``elsewhere``, of the MIMIC-IV demo where its folder lies beside ``data``.
    """
    folder = weights or catalog.weights_folder(NAME)
    card = cards.read_card(folder)
    network = RiskNetwork()
    runtime.load_into(network, runtime.read_weights(folder / cards.WEIGHTS_FILE, card.weights_sha256))
    network.eval()
    metrics: dict[str, float] = {name: float(card.metrics[name]) for name in NUMBERS}
    calibration, threshold = Calibration(metrics["slope"], metrics["intercept"]), metrics["threshold"]
    stays = read_stays(data)
    split = split_stays(stays)
    held_out = [stays[case] for case in split.held_out]
    limits = metrics["surprise_warned"], metrics["surprise_declined"]
    return {
        "model": NAME,
        "version": card.version,
        "weights_sha256": card.weights_sha256,
        "held_out": report_network(network, held_out, calibration, threshold),
        "validation": _validation(
            network, [judge_on for _, judge_on in in_folds(stays, split.train, networks.SHAPE.members)], calibration,
            threshold,
        ),
        "scope": scope_report(network, [stay.window for stay in held_out], *limits),
        "elsewhere": report_elsewhere(network, data, calibration, threshold),
    }  # fmt: skip


def _validation(
    network: RiskNetwork, validation: Sequence[Sequence[Stay]], calibration: Calibration, threshold: float
) -> dict[str, Any]:
    """Report the training part by the members that had not seen it."""
    logits, _ = unseen(network, validation)
    truth = np.array([stay.died for fold in validation for stay in fold])
    return full_report(truth, calibration.apply(logits), threshold)
