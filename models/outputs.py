"""Whether what a model gives can be reported at all; asked before anything is built of it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from models.contracts import Finding, Prediction, UnusableOutput


def check_output(prediction: Prediction) -> None:
    """Raise :class:`UnusableOutput` where a number of a finding is not finite.

    Maps may hold what is no number: that is how they say that a voxel has no value.
    """
    for finding in prediction.findings:
        if not all(math.isfinite(number) for number in _numbers(finding)):
            raise UnusableOutput(f"the model gave a number that is none for its finding {finding.label!r}")


def _numbers(finding: Finding) -> Iterator[float]:
    if finding.confidence is not None:
        yield finding.confidence
    for measurement in finding.measurements:
        yield from (n for n in (measurement.value, measurement.lower, measurement.upper) if n is not None)
    for region in finding.regions:
        for point in region.points:
            yield from point
