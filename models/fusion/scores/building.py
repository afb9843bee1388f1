"""What all scores share: codes, inputs that were assumed, and how much an input that nobody stated would change.

A score is a function of named inputs. Each input is known, or *open*: then it has a value that the score is computed
with, or none, and the values that it could have. :func:`sensitivities` goes through these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from models.contracts import Code
from models.fusion import reading
from models.fusion.contracts import Case, Evidence, Score, ScoreInput, Sensitivity
from models.fusion.reading import Statement

Value = float | str | bool
Formula = Callable[[Mapping[str, Value]], float]

PERCENT = Code("%", "UCUM", "percent")
NO_UNITS = Code("1", "UCUM", "no units")

#: Category of a score whose publication excludes this case; the statement says why.
NOT_APPLICABLE = "not applicable"

#: Name of the entry of :attr:`Score.sensitivity` that varies every open input at once.
ALL_OPEN = "all inputs that are missing"


def own_code(value: str, meaning: str) -> Code:
    """Code of this project's own, for what a score gives."""
    return Code(value, "99OVERREAD", meaning)


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a score.

    Parameters
    ----------
    name
        In the words of the publication.
    value
        As used; None where the score cannot be computed without it.
    choices
        The values that it could have where it is open, empty where it is known.
    """

    name: str
    value: Value | None
    unit: str = ""
    evidence: Evidence | None = None
    choices: tuple[Value, ...] = ()

    @property
    def open(self) -> bool:
        """Whether nobody stated it."""
        return bool(self.choices)


def known(name: str, value: Value, unit: str = "", evidence: Evidence | None = None) -> Input:
    """Make an input that somebody stated or measured."""
    return Input(name, value, unit, evidence)


def from_statement(name: str, stated: Statement) -> Input:
    """Make a yes-or-no input; computed as "no" where the record is silent, and named as missing."""
    if stated.answer is None:
        return Input(name, False, choices=(False, True))
    return Input(name, stated.answer, evidence=stated.evidence)


def age_input(case: Case, possible: tuple[float, ...]) -> Input:
    """Age in years; where it is not known it is necessary, and may be any of ``possible``."""
    years = reading.age(case)
    if years is None:
        return Input("age", None, "a", choices=possible)
    return Input("age", years, "a", reading.demographics_evidence(f"age {years:.0f}"))


def sex_input(case: Case) -> Input:
    """Sex, ``M`` or ``F``; necessary where it is not known."""
    found = reading.sex(case)
    if not found:
        return Input("sex", None, choices=("M", "F"))
    return Input("sex", found, evidence=reading.demographics_evidence("female" if found == "F" else "male"))


def complete(inputs: Sequence[Input]) -> bool:
    """Whether no necessary input is missing."""
    return all(item.value is not None for item in inputs)


def values(inputs: Sequence[Input]) -> dict[str, Value]:
    """Values by name, of inputs that are complete."""
    return {item.name: item.value for item in inputs if item.value is not None}


def missing(inputs: Sequence[Input]) -> tuple[str, ...]:
    """Names of the inputs that nobody stated."""
    return tuple(item.name for item in inputs if item.open)


def _shown(value: Value) -> float | str:
    return ("yes" if value else "no") if isinstance(value, bool) else value


def score_inputs(inputs: Sequence[Input]) -> tuple[ScoreInput, ...]:
    """Inputs as the assessment shows them; those without a value are only in :attr:`Score.missing`."""
    return tuple(
        ScoreInput(item.name, _shown(item.value), item.unit, item.evidence, assumed=item.open)
        for item in inputs
        if item.value is not None
    )


def bounds(inputs: Sequence[Input], formula: Formula, vary: str = "") -> tuple[float, float]:
    """Lowest and highest result over the choices of open inputs.

    Parameters
    ----------
    formula
        The score of a value for every input, by name.
    vary
        Name of the one input to vary; the others stay as used, except those without a value, which vary too. Empty: all
        open inputs vary.
    """
    ranges = [
        item.choices if item.open and (not vary or item.name == vary or item.value is None) else (item.value,)
        for item in inputs
    ]
    names = [item.name for item in inputs]
    results = [formula(dict(zip(names, chosen, strict=True))) for chosen in product(*ranges)]  # type: ignore[arg-type]
    return min(results), max(results)


def common(inputs: Sequence[Input], formula: Formula, band: Callable[[float], str]) -> str:
    """Class of a score that cannot be computed, where every choice of its open inputs gives the same one; else ""."""
    low, high = bounds(inputs, formula)
    return band(low) if band(low) == band(high) else ""


def sensitivities(
    inputs: Sequence[Input],
    formula: Formula,
    show: Callable[[float], float | str],
) -> tuple[Sensitivity, ...]:
    """For each open input what it could change, and for all of them together; nothing where none is open."""
    names = missing(inputs)
    if not names:
        return ()
    rows = [(name, bounds(inputs, formula, name)) for name in names]
    if len(names) > 1:
        rows.append((ALL_OPEN, bounds(inputs, formula)))
    return tuple(Sensitivity(name, show(low), show(high)) for name, (low, high) in rows)


def with_sensitivity(
    score: Score, inputs: Sequence[Input], formula: Formula, show: Callable[[float], float | str]
) -> Score:
    """Give the score with the sensitivity to its open inputs."""
    return replace(score, sensitivity=sensitivities(inputs, formula, show))


def listed(names: Sequence[str]) -> str:
    """Join names for a sentence: ``a``, ``a and b``, ``a, b and c``."""
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)
