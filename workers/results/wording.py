"""Findings and measurements in words, as captures and the PDF report show them to people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from models.codes import PROBABILITY
from models.contracts import Code, Finding, Measurement, ModelCard, Prediction, SegmentSpec
from workers.results.common import ResultInput

#: An annotation of UCUM.
ANNOTATION = re.compile(r"\{[^{}]{0,64}\}")

#: What a method says of limits that no share of certainty belongs to: "range over three networks".
RANGE = re.compile(r"range (?:over|of) (?:[a-z]{1,12} ){1,4}?(?:networks|images)")

#: Said where a model has no finding: silence could be taken for a model that did not run.
NOTHING_FOUND = "The model reports no finding."

#: Operating points that one line names.
POINTS = 8

#: Said of what a model looked for and did not find.
NOT_FOUND = "looked for, not found"

#: Under which names predictions and cards give the probability from which a finding is reported as present.
THRESHOLD = "threshold"

#: A probability of at least this share of the operating point is near it: "not found" alone would hide that.
NEAR = 0.5

#: Least probability for people; what is less, and not 0, is said to be less than it.
LEAST = 0.001

#: Significant digits of a number for people; the structured report has more.
DIGITS = 3


def name_of(prediction: Prediction, finding: Finding) -> str:
    """What was found, with its side and the lesion's name: the segment's name where one draws it."""
    spec = spec_of(prediction, finding)
    name = spec.name if spec else finding.code.meaning or finding.label
    words = [name, *([finding.side.value] if finding.side else []), *([finding.lesion] if finding.lesion else [])]
    return ", ".join(words)


def told(prediction: Prediction, finding: Finding, card: ModelCard) -> str:
    """What was found, or that it was not; near the operating point that it lies below it."""
    name = name_of(prediction, finding)
    return name if finding.present else f"{name}: {missed(prediction, finding, card)}"


def missed(prediction: Prediction, finding: Finding, card: ModelCard) -> str:
    """Say why a finding is not reported as present: not found, or below an operating point that it comes near."""
    point, value = operating_point(prediction, card, finding.label), probability_of(finding)
    near = point is not None and value is not None and NEAR * point <= value < point
    return f"below the operating point of {percent(point)}" if near and point is not None else NOT_FOUND


def probability_of(finding: Finding) -> float | None:
    """Probability among a finding's measurements; None where there is none."""
    return next((item.value for item in finding.measurements if item.name == PROBABILITY), None)


def confidence_of(finding: Finding) -> str:
    """How sure the model is of what it found, in percent; empty where a measurement says the same, or nothing does."""
    measured = any(item.name == PROBABILITY for item in finding.measurements)
    return percent(finding.confidence) if finding.confidence is not None and finding.present and not measured else ""


def operating_point(prediction: Prediction, card: ModelCard | None, label: str = "") -> float | None:
    """Probability from which a finding is reported as present; None where neither result nor card say.

    Parameters
    ----------
    label
        Of the finding, whose own point (the score ``threshold.LABEL``) comes before the one of all findings.
    """
    scores = prediction.scores
    own = scores.get(f"{THRESHOLD}.{label}") if label else None
    for given in (own, scores.get(THRESHOLD), card.metrics.get(THRESHOLD) if card is not None else None):
        if isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given):
            return float(given)
    return None


def operating_points(prediction: Prediction, card: ModelCard) -> str:
    """Say from which probability on findings are reported as present; empty where nothing says."""
    points = {
        name_of(prediction, finding): point
        for finding in prediction.findings
        if (point := operating_point(prediction, card, finding.label)) is not None
    }
    if len(set(points.values())) > 1:
        named = "; ".join(f"{name} {number(point)}" for name, point in list(points.items())[:POINTS])
        more = f"; and {len(points) - POINTS} more" if len(points) > POINTS else ""
        return f"reported as present from a probability of: {named}{more}"
    point = next(iter(points.values()), operating_point(prediction, card))
    return "" if point is None else f"reported as present from a probability of {number(point)}"


def spec_of(prediction: Prediction, finding: Finding) -> SegmentSpec | None:
    """Segment that draws a finding."""
    if prediction.labels is None:
        return None
    return next((spec for spec in prediction.segments if spec.label == finding.segment), None)


def sentences(prediction: Prediction, finding: Finding, card: ModelCard) -> Iterator[str]:
    """All that is said of one finding, in short sentences for a narrow column."""
    yield told(prediction, finding, card)
    for measurement in finding.measurements:
        reach = interval(measurement)
        yield f"{measurement.name.meaning} {quantity(measurement)}" + (f", {reach}" if reach else "")
    if sure := confidence_of(finding):
        yield f"Confidence {sure}"
    if finding.text:
        yield finding.text


def quantity(measurement: Measurement) -> str:
    """Value and unit."""
    if measurement.name == PROBABILITY and 0 < measurement.value < LEAST:
        return f"below {LEAST:g}"
    return f"{number(measurement.value)} {unit(measurement.unit)}".strip()


def interval(measurement: Measurement) -> str:
    """Interval that holds the true value and how probably, or a range of which nobody says so; empty without either."""
    lower, upper = measurement.lower, measurement.upper
    if lower is None and upper is None:
        return ""
    if lower is None or upper is None:
        reach = f"at most {number(upper)}" if upper is not None else f"at least {number(lower)}"
    else:
        reach = f"{number(lower)} to {number(upper)}"
    if measurement.confidence is not None:
        return f"{reach} ({percent(measurement.confidence)})"
    over = RANGE.search(measurement.method)
    return f"{reach} ({over.group()})" if over else f"{reach} (range)"


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
    """Unit for people: the UCUM code, which is what a report in print has (ml, mm), but nothing for a bare number.

    What stands in braces is no unit (UCUM, section 12): of ``{H.B.}/min`` ``/min`` is left.
    """
    if code.scheme == "UCUM" and (code.value == "1" or ANNOTATION.fullmatch(code.value)):
        return ""
    if code.scheme == "UCUM" and "{" in code.value:
        return ANNOTATION.sub("", code.value)
    if (code.scheme, code.value) == ("UCUM", "a"):
        return "years"
    return code.value if code.scheme == "UCUM" and "[" not in code.value else code.meaning or code.value


def model_line(inp: ResultInput) -> str:
    """Model, version and the beginning of its weights' digest."""
    digest = f", weights {inp.card.weights_sha256[:12]}" if inp.card.weights_sha256 else ""
    return f"{inp.card.name} {inp.card.version}{digest}"
