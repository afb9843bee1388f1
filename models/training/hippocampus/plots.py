"""Pictures of the held-out part for the folder of a training: Dice, volumes with their intervals, drawn examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models import cards, catalog
from models.contracts import InputDeclined, Model
from models.imaging.hippocampus_parts import PARTS, SEGMENTS, SINGLE_PARTS
from models.imaging.quantify import PartVolume, half_widths_ml, interval_factors
from models.training.framework import examples, plots
from models.training.framework.agreement import dice
from models.training.framework.data import LabelledVolume, find_cases, read_labelled
from models.training.framework.records import REPORT_FILE
from models.training.hippocampus.card import NAME

#: Dice and volumes of the parts of each case, as the report has them.
Cases = Mapping[str, Mapping[str, Mapping[str, float]]]


def pictures(data: Path, out: Path, *, device: str = "auto", weights: Path | None = None) -> None:
    """Draw ``dice.png``, ``volumes.png`` and ``examples.png``; see :func:`models.training.registry.evaluate`.

    The cases are those of the report that lies beside the weights.
    """
    folder = weights or catalog.weights_folder(NAME)
    cases: Cases = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))["cases"]
    halves = half_widths(cases, interval_factors(cards.read_card(folder).metrics))
    draw_figures(out, cases, halves)
    pairs, model = find_cases(data), catalog.load(NAME, device, folder=folder)
    items = [read_labelled(*pairs[case], case) for case in telling(cases, halves)]
    examples.page(out / examples.FILE, [one for item in items if (one := example(model, item)) is not None])


def half_widths(cases: Cases, factors: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Half widths of the intervals in ml, by case and part."""
    found = {}
    for case, parts in cases.items():
        volumes = {key: PartVolume(part["found_ml"], part["doubt_ml"], None) for key, part in parts.items()}
        found[case] = half_widths_ml(volumes, factors)
    return found


def draw_figures(out: Path, cases: Cases, halves: Mapping[str, Mapping[str, float]]) -> None:
    """Draw Dice by case and part, and measured over true volumes with the intervals."""

    def of(part: str, name: str) -> list[float]:
        return [parts[part][name] for parts in cases.values()]

    keys = [part.key for part in PARTS]
    plots.by_case(out / "dice.png", {key: of(key, "dice") for key in SINGLE_PARTS}, "Dice")
    plots.agreement(
        out / "volumes.png",
        {key: (of(key, "true_ml"), of(key, "found_ml")) for key in keys},
        "ml",
        {key: [halves[case][key] for case in cases] for key in keys},
    )


def telling(cases: Cases, halves: Mapping[str, Mapping[str, float]], count: int = examples.COUNT) -> list[str]:
    """Names of cases of which an interval misses the true volume, and of others over the whole range of Dice.

    Dice is that of both parts together; the worst comes first, and the missed ones are half of all at most.
    """
    ordered = sorted(cases, key=lambda case: (cases[case]["total"]["dice"], case))
    missed = [
        case
        for case in ordered
        if any(abs(part["found_ml"] - part["true_ml"]) > halves[case][key] for key, part in cases[case].items())
    ][: count // 2]
    others = [case for case in ordered if case not in missed]
    step = max(1.0, (len(others) - 1) / max(1, count - len(missed) - 1))
    return [*missed, *(others[round(place * step)] for place in range(min(count - len(missed), len(others))))]


def example(model: Model, item: LabelledVolume) -> examples.Example | None:
    """Give one case as a page shows it, right where the intervals of all parts hold what is true."""
    try:
        prediction = model.predict(item.volume)
    except InputDeclined:
        return None
    labels: Any = prediction.labels
    scores = [dice(labels == spec.label, item.labels == spec.label) for spec in SEGMENTS]
    true = {part.label: np.isin(item.labels, part.segments).sum() * item.volume.geometry.voxel_ml for part in PARTS}
    bounds = {finding.label: finding.measurements[0] for finding in prediction.findings}
    held = [
        label in bounds and (bounds[label].lower or 0) <= volume <= (bounds[label].upper or 0)
        for label, volume in true.items()
    ]
    total = bounds.get(PARTS[0].label)
    said = f"{total.value:.2f} ({total.lower:.2f} to {total.upper:.2f}) ml" if total is not None else "nothing"
    return examples.Example(
        f"{item.case}, Dice {scores[0]:.2f} and {scores[1]:.2f}", f"{true[PARTS[0].label]:.2f} ml", said, all(held),
        item.volume, prediction, item.labels,
    )  # fmt: skip
