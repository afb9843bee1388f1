"""Measuring, and the floor that real sentences set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from models.facts import Assertion
from models.notes.evaluate import Example, Score, evaluate, locate, read_negex, table

NEGATION_FLOOR = 0.95  # F1 on the marked sentences of reports 1 to 60


def test_a_marked_concept_is_found_by_its_capitals_first() -> None:
    assert locate("fever", "fever chart: no FEVER") == (16, 21)
    assert locate("fever", "no Fever") == (3, 8)
    assert locate("back  pain", "No BACK   PAIN") == (3, 14)
    assert locate("cough", "no fever") is None
    assert locate(" ", "no fever") is None


def test_both_layouts_are_read_and_headings_passed_over() -> None:
    lines = [
        "Report No.\tConcept\tSentence\tNegation",
        '1\tfever\t"No FEVER, today."\tNegated',
        "2\t \tstroke\tMother had a STROKE.\tAffirmed\tHistorical\tFamily member",
        "3\tcough\tnot in it\tAffirmed",
    ]

    first, second = read_negex(lines)

    assert first == Example("No FEVER, today.", 3, 8, True)
    assert (second.negated, second.historical, second.other_experiencer) == (False, True, True)


def test_scores_are_counted_right() -> None:
    examples = [Example("x", 0, 1, True), Example("x", 0, 1, False), Example("x", 0, 1, True)]

    negation, historical, _ = evaluate(examples, lambda text, start, end: Assertion(negated=True))

    assert negation == Score("negated", 2, 1, 0, 0)
    assert negation.precision == pytest.approx(2 / 3)
    assert negation.recall == pytest.approx(1.0)
    assert negation.f1 == pytest.approx(0.8)
    assert historical == Score("historical", 0, 0, 0, 0)


def test_the_table_has_a_line_for_each_measured_property() -> None:
    lines = table([Score("negated", 2, 1, 0, 1), Score("historical", 0, 0, 0, 0)]).splitlines()

    assert lines[2:] == ["| negated | 4 | 2 | 0.667 | 1.000 | 0.800 |"]


@pytest.mark.data
@pytest.mark.parametrize("name", ["annotations_reports_1-60.txt", "context_reports_1-60.txt"])
def test_negation_on_real_sentences_stays_above_the_floor(name: str, real_data: Callable[[str], Path]) -> None:
    lines = (real_data("text-negex") / name).read_text(encoding="utf-8", errors="replace").splitlines()
    examples = read_negex(lines)

    negation, *_ = evaluate(examples)

    assert len(examples) > 1000
    assert negation.f1 >= NEGATION_FLOOR
