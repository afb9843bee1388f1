"""Hippocampal volume against published norms of healthy adults, together with complaints of memory.

Norms are of manual tracings in MR, without correction for head size, because a crop around one hippocampus has no
intracranial volume:

* Malay, 50 to 77 years, n = 43: right 3.43 (SD 0.32) ml, left 3.26 (0.34) ml. Malays J Med Sci, PMC3773349.
* Indian, 45 to 88 years, n = 32: right 2.77 (0.60) ml, left 2.73 (0.53) ml. Dhikav V et al., Ann Indian Acad Neurol
  2016;19:195-200.

Tracing protocols differ by more than healthy persons do, as these two show, so that a volume counts as small only where
every series that covers the age says so. The value is the percentile in the first series: its mean is the closest to
that of the labels that the hippocampus model was trained on (3.35 ml, SD 0.48, in 41 held-out cases of the model's
card). The nomograms of UK Biobank (Nobis L et al., NeuroImage Clin 2019;23:101904) are not used: they come from another
kind of segmentation and their tables could not be checked; docs/scores.md says more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.contracts import Code, Finding, Side
from models.fusion import reading
from models.fusion.contracts import Case, PriorFinding, Score, ScoreInput, Sensitivity
from models.fusion.scores import building
from models.fusion.statements import prior_evidence
from models.fusion.wording import day, ordinal

NAME = "hippocampal-volume"
TITLE = "Hippocampal volume against norms of healthy adults"
CODE = building.own_code("HIPPOCAMPAL-VOLUME", "Percentile of the hippocampal volume in healthy adults")
CITATION = (
    "Norms: Malays J Med Sci, PMC3773349 (50-77 years); Dhikav V et al., Ann Indian Acad Neurol 2016;19:195-200 (45-88)"
)

#: Volumes below this percentile count as small; in a normal distribution 5 of 100 healthy persons are.
SMALL_PERCENTILE = 5.0

#: What a model's warning says of a volume that the edge of the image cuts, and the category of a score of such a one.
CUT = "its volume too small"
MAY_BE_CUT = "not judged: the volume may be cut"

#: The place among healthy persons; no share of anything, so that nobody reads it as a probability.
PERCENTILE = Code("{percentile}", "UCUM", "percentile")

#: Parts of the hippocampus are findings of their own, and have no norms here.
PARTS = ("-anterior", "-posterior")

LIMITS = (
    "The norms are of few persons, traced by hand with other borders than the model's; head size is not considered.",
    "A percentile here is a rough place among healthy adults, not a diagnosis; small needs every series to agree.",
)


@dataclass(frozen=True, slots=True)
class Norm:
    """Mean and standard deviation of one side's volume in ml, in healthy persons of an age range."""

    series: str
    ages: tuple[float, float]
    right: tuple[float, float]
    left: tuple[float, float]

    def percentile(self, volume_ml: float, side: Side) -> float:
        """Per cent of healthy persons with a smaller volume, in a normal distribution."""
        mean, deviation = self.right if side is Side.RIGHT else self.left
        return 50.0 * math.erfc((mean - volume_ml) / deviation / math.sqrt(2.0))


NORMS = (
    Norm("Malay, 50-77 years", (50.0, 78.0), (3.43, 0.32), (3.26, 0.34)),
    Norm("Indian, 45-88 years", (45.0, 89.0), (2.77, 0.60), (2.73, 0.53)),
)


def hippocampal_volume(case: Case) -> tuple[Score, ...]:
    """Compare every whole hippocampus among the image findings with the norms that cover the patient's age.

    Age and side are necessary; where the side is not known, the sensitivity says what either side would give.
    """
    return tuple(
        _score(case, index, finding)
        for index, finding in reading.findings_of(case, "hippocampus")
        if not finding.label.endswith(PARTS)
    )


def norms_for(years: float | None) -> tuple[Norm, ...]:
    """Series whose ages include ``years``, the closest one first."""
    return tuple(norm for norm in NORMS if years is not None and norm.ages[0] <= years < norm.ages[1])


def _score(case: Case, index: int, finding: Finding) -> Score:
    volume, years = reading.measured_in(finding, "volume", "mL"), reading.age(case)
    norms = norms_for(years)
    missing = _missing(volume, finding, years)
    memory = reading.stated(case, "memory complaint")
    ready = volume is not None and finding.side is not None and bool(norms)
    found = [norm.percentile(volume or 0.0, finding.side or Side.LEFT) for norm in norms] if ready else []
    cut = next((warning for warning in case.quality if CUT in warning), "")
    earlier = _earlier(case, finding)
    said = _statement(finding.side, found, norms, missing, memory.answer)
    agreed = len({percentile < SMALL_PERCENTILE for percentile in found}) == 1 and not cut
    return Score(
        name=NAME,
        title=TITLE,
        code=CODE,
        value=round(found[0], 1) if agreed else None,
        unit=PERCENTILE,
        category=MAY_BE_CUT if cut and found else _category(found),
        statement=" ".join(filter(None, (said, _was(earlier), cut))),
        inputs=_inputs(case, finding, volume, memory) + _inputs_before(earlier),
        missing=missing + (("memory complaint",) if memory.answer is None else ()),
        sensitivity=_sensitivity(finding, volume, norms),
        finding=index,
        citation=CITATION,
        limits=LIMITS
        + ((f"No series here covers the age of {years:.0f}.",) if years is not None and not norms else ()),
    )


def _missing(volume: float | None, finding: Finding, years: float | None) -> tuple[str, ...]:
    needed = (("volume", volume), ("side", finding.side), ("age", years))
    return tuple(name for name, value in needed if value is None)


def _category(found: list[float]) -> str:
    if not found:
        return ""
    small = [percentile < SMALL_PERCENTILE for percentile in found]
    if all(small):
        return "small for age"
    return _disagreeing(found) if any(small) else "within norms"


def _disagreeing(found: list[float]) -> str:
    """Say both ends: a headline with the lower one alone would read as a result."""
    places = f"{ordinal(min(found))} to {ordinal(max(found))} percentile"
    return f"{places}, small in one series, not in another"


def _earlier(case: Case, finding: Finding) -> PriorFinding | None:
    """The newest earlier volume of the same structure, by the same model and label."""
    same = [
        prior
        for prior in case.priors
        if prior.model == case.model
        and (prior.finding.label, prior.finding.side) == (finding.label, finding.side)
        and reading.measured_in(prior.finding, "volume", "mL") is not None
    ]
    return max(same, key=lambda prior: (day(prior.studied_at), prior.study_uid), default=None)


def _was(earlier: PriorFinding | None) -> str:
    volume = reading.measured_in(earlier.finding, "volume", "mL") if earlier is not None else None
    if earlier is None or volume is None:
        return ""
    return f"It was {volume:.2f} mL in the study of {day(earlier.studied_at)}."


def _inputs_before(earlier: PriorFinding | None) -> tuple[ScoreInput, ...]:
    volume = reading.measured_in(earlier.finding, "volume", "mL") if earlier is not None else None
    if earlier is None or volume is None:
        return ()
    return (ScoreInput("earlier volume, for comparison", round(volume, 3), "mL", prior_evidence(earlier)),)


def _statement(
    side: Side | None, found: list[float], norms: tuple[Norm, ...], missing: tuple[str, ...], memory: bool | None
) -> str:
    if missing:
        return f"The comparison with norms needs {building.listed(missing)}."
    if not found:
        return "No published series that is used here covers the patient's age."
    places = building.listed([f"{_place(value)} ({norm.series})" for value, norm in zip(found, norms, strict=True)])
    complaint = {True: "memory complaints are noted", False: "memory complaints are denied", None: ""}[memory]
    where = f"{side} ".capitalize() if side is not None else ""
    text = f"{where}hippocampal volume {_category(found)}: {places}"
    return f"{text}; {complaint}." if complaint else f"{text}."


def _place(percentile: float) -> str:
    """A percentile for people: there is no 0th and no 100th."""
    if percentile < 0.5:
        return "below the 1st percentile"
    return "above the 99th percentile" if percentile >= 99.5 else f"{ordinal(percentile)} percentile"


def _inputs(case: Case, finding: Finding, volume: float | None, memory: reading.Statement) -> tuple[ScoreInput, ...]:
    found = []
    if volume is not None:
        evidence = reading.image_evidence(finding, f"volume {volume:.2f} ml")
        found.append(ScoreInput("volume", round(volume, 3), "mL", evidence))
    if finding.side is not None:
        found.append(
            ScoreInput("side", finding.side.value, evidence=reading.image_evidence(finding, finding.side.value))
        )
    years = reading.age(case)
    if years is not None:
        found.append(ScoreInput("age", years, "a", reading.demographics_evidence(f"age {years:.0f}")))
    if memory.answer is not None:
        found.append(ScoreInput("memory complaint", "yes" if memory.answer else "no", evidence=memory.evidence))
    return tuple(found)


def _sensitivity(finding: Finding, volume: float | None, norms: tuple[Norm, ...]) -> tuple[Sensitivity, ...]:
    """What the other side, the volume's interval and the other series would give."""
    if volume is None or not norms:
        return ()
    sides = (finding.side,) if finding.side is not None else (Side.LEFT, Side.RIGHT)
    rows = []
    if finding.side is None:
        rows.append(_range("side", [norms[0].percentile(volume, side) for side in sides]))
    interval = _interval_ml(finding, volume)
    if interval is not None:
        rows.append(
            _range("volume, 95 % interval", [norms[0].percentile(end, side) for end in interval for side in sides])
        )
    if len(norms) > 1:
        rows.append(_range("series of norms", [norm.percentile(volume, side) for norm in norms for side in sides]))
    return tuple(rows)


def _range(name: str, found: list[float]) -> Sensitivity:
    """Low is the smaller percentile: the less favourable reading of a volume."""
    return Sensitivity(name, round(min(found), 1), round(max(found), 1))


def _interval_ml(finding: Finding, volume: float) -> tuple[float, float] | None:
    for item in finding.measurements:
        if item.lower is None or item.upper is None or item.unit.value != "mL" or item.value != volume:
            continue
        if math.isfinite(item.lower) and math.isfinite(item.upper) and item.lower <= volume <= item.upper:
            return item.lower, item.upper
    return None
