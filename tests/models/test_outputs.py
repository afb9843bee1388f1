"""Numbers that no report can hold."""

from __future__ import annotations

import math

import pytest

from models.contracts import Code, Finding, Measurement, Prediction, Region, RegionKind, UnusableOutput
from models.outputs import check_output

CODE = Code("1", "99X", "x")


@pytest.mark.parametrize(
    "finding",
    [
        Finding("a", CODE, confidence=math.nan),
        Finding("a", CODE, (Measurement(CODE, math.inf, CODE),)),
        Finding("a", CODE, (Measurement(CODE, 1.0, CODE, lower=math.nan),)),
        Finding("a", CODE, regions=(Region(RegionKind.POINT, ((0.0, math.nan, 0.0),)),)),
    ],
)
def test_a_number_that_is_none_is_refused_with_the_finding_s_name(finding: Finding) -> None:
    with pytest.raises(UnusableOutput, match="'a'"):
        check_output(Prediction((finding,)))


def test_ordinary_findings_pass() -> None:
    check_output(Prediction((Finding("a", CODE, (Measurement(CODE, 1.0, CODE),), confidence=0.5), Finding("b", CODE))))
