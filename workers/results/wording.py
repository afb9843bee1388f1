"""Findings and measurements in words, as captures and the PDF report show them to people."""

from __future__ import annotations

import math
from collections.abc import Iterator

from models.codes import PROBABILITY
from models.contracts import Code, Finding, Measurement, ModelCard, Prediction, SegmentSpec
from workers.results.common import ResultInput

#: Said where a model has no finding: silence could be taken for a model that did not run.
NOTHING_FOUND = "The model reports no finding."

#: Said of what a model looked for and did not find.
NOT_FOUND = "looked for, not found"

#: Under which names predictions and cards give the probability from which a finding is reported as present.
THRESHOLD = "threshold"

#: Significant digits of a number for people; the structured report has more.
DIGITS = 3


def name_of(prediction: Prediction, finding: Finding) -> str:
    """What was found, with its side and the lesion's name: the segment's name where one draws it."""
    spec = spec_of(prediction, finding)
    name = spec.name if spec else finding.code.meaning or finding.label
    words = [name, *([finding.side.value] if finding.side else []), *([finding.lesion] if finding.lesion else [])]
    return ", ".join(words)


def told(prediction: Prediction, finding: Finding) -> str:
    """What was found, or that it was not."""
    name = name_of(prediction, finding)
    return name if finding.present else f"{name}: {NOT_FOUND}"


def confidence_of(finding: Finding) -> str:
    """How sure the model is of what it found, in percent; empty where a measurement says the same, or nothing does."""
    measured = any(item.name == PROBABILITY for item in finding.measurements)
    return percent(finding.confidence) if finding.confidence is not None and finding.present and not measured else ""


def operating_point(prediction: Prediction, card: ModelCard) -> float | None:
    """Probability from which the model's finding is reported as present; None where neither result nor card say."""
    for given in (prediction.scores.get(THRESHOLD), card.metrics.get(THRESHOLD)):
        if isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given):
            return float(given)
    return None


def spec_of(prediction: Prediction, finding: Finding) -> SegmentSpec | None:
    """Segment that draws a finding."""
    if prediction.labels is None:
        return None
    return next((spec for spec in prediction.segments if spec.label == finding.segment), None)


def sentences(prediction: Prediction, finding: Finding) -> Iterator[str]:
    """All that is said of one finding, in short sentences for a narrow column."""
    yield told(prediction, finding)
    for measurement in finding.measurements:
        reach = interval(measurement)
        yield f"{measurement.name.meaning} {quantity(measurement)}" + (f", {reach}" if reach else "")
    if sure := confidence_of(finding):
        yield f"Confidence {sure}"
    if finding.text:
        yield finding.text


def quantity(measurement: Measurement) -> str:
    """Value and unit."""
    return f"{number(measurement.value)} {unit(measurement.unit)}".strip()


def interval(measurement: Measurement) -> str:
    """Interval that holds the true value, and how probably; empty where the model gives none."""
    lower, upper = measurement.lower, measurement.upper
    if lower is None and upper is None:
        return ""
    if lower is None or upper is None:
        reach = f"at most {number(upper)}" if upper is not None else f"at least {number(lower)}"
    else:
        reach = f"{number(lower)} to {number(upper)}"
    return f"{reach} ({percent(measurement.confidence)})" if measurement.confidence is not None else reach


def number(value: float | None) -> str:
    """Write a number with three significant digits, and never fewer than its whole part has."""
    if value is None or not math.isfinite(value):
        return "not a number"
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e9:
        return f"{value:.{DIGITS - 1}e}"
    return f"{value:.{max(0, DIGITS - 1 - math.floor(math.log10(abs(value))))}f}"


def percent(fraction: float) -> str:
    """Write a fraction of 1 in percent."""
    return f"{100 * fraction:.3g} %"


def unit(code: Code) -> str:
    """Unit for people: the UCUM code, which is what a report in print has (ml, mm), but nothing for a bare number."""
    if code.scheme == "UCUM" and (code.value == "1" or code.value.startswith("{")):
        return ""
    if (code.scheme, code.value) == ("UCUM", "a"):
        return "years"
    return code.value if code.scheme == "UCUM" and "[" not in code.value else code.meaning or code.value


def model_line(inp: ResultInput) -> str:
    """Model, version and the beginning of its weights' digest."""
    digest = f", weights {inp.card.weights_sha256[:12]}" if inp.card.weights_sha256 else ""
    return f"{inp.card.name} {inp.card.version}{digest}"
