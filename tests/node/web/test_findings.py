"""Findings in rows and in few words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.web import findings
from tests.node.web.seed import FINDINGS


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.7234, "1.72"),
        (0.0512, "0.051"),
        (0, "0.00"),
        (123.4, "123"),
        (98765.4, "98765"),
        (-1.5, "-1.50"),
        (12, "12.0"),
    ],
)
def test_a_number_has_about_three_digits_and_no_exponent(value: float, shown: str) -> None:
    assert findings.number(value) == shown


@pytest.mark.parametrize("value", [None, "1", True, math.nan, math.inf, [], {}])
def test_what_is_no_number_is_a_dash(value: object) -> None:
    assert findings.number(value) == "—"


def test_a_finding_becomes_a_row_with_its_interval_and_unit() -> None:
    row = findings.rows(FINDINGS)[0]
    assert (row.title, row.side, row.confidence, row.segment) == ("Anterior hippocampus", "left", "93%", 1)
    (measure,) = row.measures
    assert (measure.name, measure.value, measure.unit) == ("Volume", "1.72", "mL")
    assert measure.interval == "1.55 to 1.90 (95\u00a0%)"


def test_findings_in_short_leave_out_the_words_they_share() -> None:
    assert findings.short(FINDINGS) == ["left anterior 1.7 mL", "left posterior 1.5 mL"]
    assert findings.short(FINDINGS[:1]) == ["left hippocampus anterior 1.7 mL"]
    assert findings.short([{"label": "lesion"}, {"label": "lesion-large"}]) == ["lesion", "large"]


def test_more_findings_than_fit_are_counted() -> None:
    many = [{"label": f"nodule-{index}"} for index in range(9)]
    assert findings.short(many) == ["0", "1", "2", "3", "and 5 more"]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["label", "code", "side", "measurements", "value", "unit"]), children)
    ),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.sampled_from(["label", "code", "side", "text", "confidence"]), JSON), max_size=3))
def test_findings_of_another_shape_are_shown_as_far_as_they_go(stored: list[object]) -> None:
    assert len(findings.rows(stored)) == len(stored)
    assert len(findings.short(stored)) == len(stored)
