"""Which cases are shown, and whether they count as right."""

from __future__ import annotations

import numpy as np
import pytest

from models.codes import NO_UNITS
from models.contracts import Finding, InputDeclined, Measurement, ModelCard, Prediction, Source
from models.imaging.hippocampus_parts import HIPPOCAMPUS, PARTS, SEGMENTS
from models.training.framework.data import LabelledVolume
from models.training.hippocampus.plots import example, telling
from tests.models.training.hippocampus.generated import labelled


class Drawn:
    """A model that draws a case as it is labelled, with intervals of a half width around what it measures."""

    card: ModelCard

    def __init__(self, item: LabelledVolume, off_ml: float, half_ml: float) -> None:
        self.item, self.off_ml, self.half_ml = item, off_ml, half_ml

    def check(self, source: Source) -> None:
        if self.half_ml < 0:
            raise InputDeclined("not this one")

    def predict(self, source: Source) -> Prediction:
        self.check(source)
        findings = []
        for part in PARTS:
            value = np.isin(self.item.labels, part.segments).sum() / 1000 + self.off_ml
            found = Measurement(HIPPOCAMPUS, value, NO_UNITS, value - self.half_ml, value + self.half_ml)
            findings.append(Finding(part.label, HIPPOCAMPUS, (found,)))
        return Prediction(tuple(findings), self.item.labels, SEGMENTS)


@pytest.mark.parametrize(("off_ml", "right"), [(0.05, True), (0.2, False)])
def test_a_case_is_right_where_its_intervals_hold_what_is_true(off_ml: float, right: bool) -> None:
    item = labelled(1)

    shown = example(Drawn(item, off_ml, 0.1), item)

    assert shown is not None
    assert shown.right == right
    assert "Dice 1.00 and 1.00" in shown.title


def test_a_case_that_is_declined_is_not_shown() -> None:
    assert example(Drawn(labelled(1), 0.0, -1.0), labelled(1)) is None


def scored(number: int, off_ml: float = 0.0) -> dict[str, dict[str, float]]:
    return {"total": {"dice": number / 100, "true_ml": 3.0, "found_ml": 3.0 + off_ml, "doubt_ml": 0.1}}


def test_cases_over_the_whole_range_are_shown_and_each_once() -> None:
    cases = {f"case-{number:02d}": scored(number) for number in range(41)}
    halves = {case: {"total": 0.2} for case in cases}

    assert telling(cases, halves, 5) == ["case-00", "case-10", "case-20", "case-30", "case-40"]
    assert telling(dict(list(cases.items())[:2]), halves, 5) == ["case-00", "case-01"]


def test_cases_whose_interval_misses_are_shown_first() -> None:
    cases = {f"case-{number:02d}": scored(number, off_ml=0.3 * (number in {7, 30, 35})) for number in range(41)}
    halves = {case: {"total": 0.2} for case in cases}

    assert telling(cases, halves, 4) == ["case-07", "case-30", "case-00", "case-40"]
    assert telling({"case-07": cases["case-07"]}, halves) == ["case-07"]
