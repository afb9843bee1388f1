"""From the data set and the pneumonia model to a folder of weights, and from such a folder to its figures."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit

from models import cards, catalog, runtime
from models.contracts import FloatArray
from models.imaging.chest_xray.heads import RESAMPLES
from models.imaging.chest_xray.labs import LABS
from models.imaging.chest_xray.picture import prepare
from models.imaging.chest_xray.reading import as_tensor
from models.imaging.chest_xray.scope import QUESTIONS, read_limits
from models.imaging.chest_xray.severity import SeverityNetwork
from models.training.chest_xray_pneumonia import scoping
from models.training.chest_xray_severity import fusing
from models.training.chest_xray_severity.card import LICENCE_TEXT, NAME, make_card
from models.training.chest_xray_severity.data import (
    Case,
    divided,
    read_cases,
    read_picture,
    training_pictures,
)
from models.training.framework import plots
from models.training.framework.data import DataError
from models.training.framework.division import Split
from models.training.framework.metrics import auc, best_threshold, binary_report, bootstrap
from models.training.framework.records import round_to_half, write_folder

#: Whose networks give the features.
TRUNKS = "chest-xray-pneumonia"

#: Part of the training pictures that one scope question may put out of scope: a few of them are so odd that limits
#: which take these in let generated hands and heads pass.
DECLINED = 0.05

#: Times that patients are drawn with replacement for the interval of a figure.
DRAWN = 1000

Floats = npt.NDArray[np.float64]
Figure = dict[str, float | None]


def train(
    data: Path, out: Path, *, seed: int = 0, epochs: int | None = None, device: str = "auto", progress: bool = True
) -> dict[str, Any]:
    """Fit the heads; see :func:`models.training.registry.train`. There are no epochs, and no progress to show."""
    started, chosen = time.monotonic(), runtime.choose_device(device)
    cases = read_cases(data)
    split = divided(cases)
    network = with_trunks(chosen)
    table = tabulate(network, data, cases, chosen)
    part = table.picked(places_of(cases, split.train))
    fill_heads(network, part, seed)
    crossed = fusing.out_of_fold(part, seed)
    metrics: dict[str, Any] = {
        "threshold": round(best_threshold(part.truth, expit(crossed["both"]), "youden"), 4),
        "patients": len(set(part.patients)),
        "scope_limits": find_limits(network, data, chosen),
        "labs": lab_table(network),
    }
    trained = [case for case in cases if case.picture in set(split.train)]
    metrics["cross_validation"] = judged(trained, crossed, metrics["threshold"])
    held_out = measured(network, metrics, cases, split, table, data, chosen)
    metrics["proven"] = all(map(better_than_chance, (metrics["cross_validation"], held_out)))
    training = {"seed": seed, "seconds": round(time.monotonic() - started, 1), "device": chosen.type,
                "trunks": TRUNKS, "trunks_sha256": catalog.card(TRUNKS).weights_sha256}  # fmt: skip
    report = {"held_out": held_out, "cross_validation": metrics["cross_validation"], "training": training}
    sizes = {"cases": len(cases), "patients": len({case.patient for case in cases}), "train": len(split.train),
             "held_out": len(split.held_out), "severe": sum(case.severe for case in cases)}  # fmt: skip
    card = make_card(sizes, metrics | {"held_out": held_out, "training": training})
    written = write_folder(out, network, card, report, split, licence=LICENCE_TEXT)
    plots.roc(out / "roc_cross_validation.png", part.truth, expit(crossed["both"]))
    plots.calibration(out / "calibration_cross_validation.png", part.truth, expit(crossed["both"]), bins=5)
    return {"model": NAME, "version": written.version, "weights_sha256": written.weights_sha256, **report}


def evaluate(
    data: Path, *, device: str = "auto", weights: Path | None = None, progress: bool = False
) -> dict[str, Any]:
    """Give the held-out figures of weights that exist; see :func:`models.training.registry.evaluate`."""
    folder, chosen = weights or catalog.weights_folder(NAME), runtime.choose_device(device)
    card, cases = cards.read_card(folder), read_cases(data)
    network = SeverityNetwork()
    runtime.load_into(network, runtime.read_weights(folder / cards.WEIGHTS_FILE, card.weights_sha256))
    network.to(chosen).eval()
    table = tabulate(network, data, cases, chosen)
    held_out = measured(network, card.metrics, cases, divided(cases), table, data, chosen)
    return {"model": NAME, "version": card.version, "weights_sha256": card.weights_sha256, "held_out": held_out}


def fill_heads(network: SeverityNetwork, table: fusing.Table, seed: int) -> None:
    """Fit the heads on the cases and on resampled patients, and round the weights as they are shipped."""
    usual, spread = fusing.usual_labs(table)
    samples = [table, *fusing.resampled(table, seed, RESAMPLES)]
    fusing.fill(network.heads, [fusing.fit(one, usual, spread, seed) for one in samples], usual, spread)
    round_to_half(network)


def with_trunks(device: torch.device) -> SeverityNetwork:
    """Make the network with the trunks and the scope of the shipped pneumonia model."""
    folder = catalog.weights_folder(TRUNKS)
    tensors = runtime.read_weights(folder / cards.WEIGHTS_FILE, cards.read_card(folder).weights_sha256)
    network = SeverityNetwork()
    own = {name: value for name, value in runtime.named_tensors(network).items() if name.startswith("heads.")}
    runtime.load_into(network, tensors | own)
    return network.to(device).eval()


def tabulate(network: SeverityNetwork, data: Path, cases: list[Case], device: torch.device) -> fusing.Table:
    """Cases as numbers, in their order."""
    if not cases:
        raise DataError(f"none of the pictures that data.csv names is in {data / 'png'}")
    pixels = pixels_of(data, cases)
    with torch.inference_mode():
        features = network.features(as_tensor(pixels, device)).double().cpu().numpy()
    return fusing.Table(
        tuple(case.patient for case in cases), features, tuple(case.labs for case in cases),
        np.array([int(case.severe) for case in cases]),
    )  # fmt: skip


def pixels_of(data: Path, cases: list[Case]) -> FloatArray:
    """Pictures of cases as the networks see them, before they are standardised, ``[n, 28, 28]``."""
    return np.stack([prepare(read_picture(data / "png" / f"{case.picture}.png")).pixels for case in cases])


def find_limits(network: SeverityNetwork, data: Path, device: torch.device) -> dict[str, float]:
    """Limit of each scope question: what :data:`DECLINED` of the pictures that are no held-out patient's exceed."""
    pixels = np.stack([prepare(read_picture(path)).pixels for path in training_pictures(data).values()])
    with torch.inference_mode():
        numbers = network.scope(as_tensor(pixels, device)).cpu().numpy()
    limits = np.quantile(numbers, 1 - DECLINED, axis=0, method="lower").tolist()
    return {name: round(float(limit) + 5e-5, 4) for name, limit in zip(QUESTIONS, limits, strict=True)}


def lab_table(network: SeverityNetwork) -> dict[str, dict[str, float]]:
    """What the laboratory's head weighs, for people: the usual value and the log-odds of one spread more."""
    heads = network.heads
    weights = (heads.both[0, 1] * heads.labs[0, :-1]).tolist()
    usual = heads.usual.expm1().tolist()
    return {
        lab.key: {"usual": round(middle, 3), "log_odds_of_one_spread": round(weight, 3)}
        for lab, middle, weight in zip(LABS, usual, weights, strict=True)
    }


def judged(cases: list[Case], logits: Mapping[str, Floats], threshold: float) -> dict[str, Any]:
    """Figures of log-odds by what they rest on, and of what could be told without any model."""
    truth, groups = np.array([case.severe for case in cases]), [case.patient for case in cases]
    views = np.array([case.view for case in cases])
    later = np.array([not case.severe or (case.days or 0) > 0 for case in cases])

    def of(score: Floats, chosen: npt.NDArray[np.bool_]) -> dict[str, Any]:
        picked = [group for group, one in zip(groups, chosen, strict=True) if one]
        counts = {"n": int(chosen.sum()), "severe": int(truth[chosen].sum())}
        if counts["severe"] in (0, counts["n"]):
            return counts
        return counts | bootstrap(
            lambda index: auc(truth[chosen][index], score[chosen][index]), picked, resamples=DRAWN
        )

    every, known = np.ones(len(cases), dtype=bool), np.array([bool(case.labs) for case in cases])
    return {
        "patients": len(set(groups)),
        "auc": {name: of(values, known if name == "labs" else every) for name, values in logits.items()},
        "view_alone": of((views == "AP").astype(np.float64), every),
        "number_of_labs_alone": of(np.array([len(case.labs) for case in cases], dtype=np.float64), every),
        "by_view": {view: {name: of(v, views == view) for name, v in logits.items()} for view in ("AP", "PA")},
        "later_than_the_day": {name: of(values, later) for name, values in logits.items()},
        "both": binary_report(truth, expit(logits["both"]), threshold, groups=groups, resamples=DRAWN),
    }


def better_than_chance(figures: Mapping[str, Any]) -> bool:
    """Whether the intervals of the AUC exclude one half: of all pictures, and of those before intensive care."""
    some = (figures["auc"]["both"], figures["later_than_the_day"]["both"])
    return all((one.get("ci_low") or 0.0) > 0.5 for one in some)


def measured(
    network: SeverityNetwork, metrics: Mapping[str, Any], cases: list[Case], split: Split, table: fusing.Table,
    data: Path, device: torch.device,
) -> dict[str, Any]:  # fmt: skip
    """Figures of the held-out patients by the network as it is shipped."""
    some = [case for case in cases if case.picture in set(split.held_out)]
    picked = table.picked(places_of(cases, split.held_out))
    heads = network.heads
    labs = fusing.standard_labs(picked, heads.usual.double().cpu().numpy(), heads.spread.double().cpu().numpy())
    known = torch.tensor([bool(values) for values in picked.labs], device=device)
    with torch.inference_mode():
        parts = heads(
            torch.from_numpy(picked.features).float().to(device), torch.from_numpy(labs).float().to(device), known
        )
    logits = {"image": parts.image, "labs": parts.labs, "both": parts.answer}
    first = {name: values[:, 0].double().cpu().numpy() for name, values in logits.items()}
    scope = scoping.measure(network.scope, read_limits(metrics), pixels_of(data, some), device)
    return {**judged(some, first, float(metrics["threshold"])), "scope": scope}


def places_of(cases: list[Case], names: Collection[str]) -> list[int]:
    """Places of the cases of some pictures."""
    wanted = set(names)
    return [place for place, case in enumerate(cases) if case.picture in wanted]
