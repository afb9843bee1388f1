"""Management of incidental lung nodules in CT: the Fleischner Society's guideline of 2017.

MacMahon H, Naidich DP, Goo JM, et al. Guidelines for management of incidental pulmonary nodules detected on CT images.
Radiology 2017;284:228-243, table 1. Size is the mean of long and short axis, rounded to the millimetre, or the volume.
The guideline is not for patients under 35, for known cancer or immunosuppression, nor for lung cancer screening.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.fusion import reading
from models.fusion.contracts import Case, Evidence, Score, ScoreInput, Sensitivity
from models.fusion.scores import building
from models.fusion.scores.building import NOT_APPLICABLE
from models.fusion.scores.fleischner_table import SIZE_NAMES, SizeClass, recommendation, size_class
from models.fusion.scores.lung_record import emphysema, family_history, screening_evidence
from models.fusion.scores.nodules import SURE, Density, Nodule, counted, nodules

NAME = "fleischner-2017"
TITLE = "Fleischner Society 2017, incidental lung nodules"
CITATION = "MacMahon H et al., Radiology 2017;284:228-243, doi:10.1148/radiol.2017161659, table 1"
CODE = building.own_code("FLEISCHNER-2017", "Fleischner Society 2017 management of a lung nodule")

YOUNGEST = 35.0

#: Pack-years that count as high risk in solid nodules (the guideline, section "Tobacco and other inhaled carcinogens").
HEAVY_SMOKING = 30.0

LIMITS = (
    "For nodules found by chance in CT; not for screening, known cancer, immunosuppression or patients under 35.",
    "Recommendations are ranges: the guideline leaves the choice to radiologist, clinician and patient.",
)


#: More recommendations than these are not put in one sentence; the sensitivity has them.
MOST_OPTIONS = 2

#: Missing inputs that decide between rows of the table begin so.
DEPENDS = ("nodule", "risk")


def fleischner(case: Case) -> tuple[Score, ...]:
    """Give the recommendation for the nodules of a CT: one score, about the most suspicious nodule.

    Nodules with benign calcification or fat, and typical perifissural ones, need no follow-up and are not counted.
    """
    if case.modality.upper() not in {"CT", ""}:
        return ()
    found = [nodule for nodule in nodules(case) if not (nodule.benign or nodule.juxtapleural)]
    if not found:
        return ()
    nodule = max(found, key=lambda item: (_is_sure(item), _suspicion(item)))
    excluded = _exclusion(case)
    if excluded is not None:
        return (_not_applicable(nodule, *excluded),)
    return (_score(case, nodule, multiple=counted(found) > 1),)


def _is_sure(nodule: Nodule) -> bool:
    return nodule.finding.confidence is None or nodule.finding.confidence >= SURE


def _suspicion(nodule: Nodule) -> tuple[int, bool, bool, float, int]:
    """Order of suspicion: size class, part-solid, spiculated, size; of equals the first."""
    size = size_class(nodule.mean_mm, nodule.volume_mm3)
    return (
        -1 if size is None else int(size),
        nodule.density.value == Density.PART_SOLID,
        nodule.spiculated.value is True,
        nodule.mean_mm or 0.0,
        -nodule.index,
    )


def _exclusion(case: Case) -> tuple[str, Evidence] | None:
    """Why the guideline does not apply, with the evidence."""
    screening = screening_evidence(case)
    if screening is not None:
        return "the examination is for lung cancer screening", screening
    years = reading.age(case)
    if years is not None and years < YOUNGEST:
        return "the patient is younger than 35", reading.demographics_evidence(f"age {years:.0f}")
    for concept, why in (("cancer", "cancer is known"), ("immunosuppression", "the patient is immunosuppressed")):
        stated = reading.stated(case, concept)
        if stated.answer and stated.evidence is not None:
            return why, stated.evidence
    return None


def _not_applicable(nodule: Nodule, why: str, evidence: Evidence) -> Score:
    return Score(
        name=NAME,
        title=TITLE,
        code=CODE,
        value=None,
        unit=None,
        category=NOT_APPLICABLE,
        statement=f"The Fleischner guideline does not apply: {why}.",
        inputs=(ScoreInput("exclusion", why, evidence=evidence),),
        finding=nodule.index,
        citation=CITATION,
        limits=LIMITS,
    )


def risk(case: Case, nodule: Nodule) -> reading.Statement:
    """Whether the risk is high, as the guideline lists its factors; None where nothing high is stated and some is not.

    Factors: spiculation, upper lobe, emphysema, pulmonary fibrosis, lung cancer in the family, 30 pack-years or more.
    Age, sex and race raise the risk too, but have no threshold in the guideline.
    """
    smoked = reading.pack_years(case)
    heavy = reading.Statement(None) if smoked is None else _heavy(smoked)
    factors = (
        reading.Statement(_answer(nodule.spiculated.value), nodule.spiculated.evidence),
        reading.Statement(_answer(nodule.upper_lobe.value), nodule.upper_lobe.evidence),
        emphysema(case),
        reading.stated(case, "pulmonary fibrosis"),
        family_history(case),
        heavy,
    )
    for factor in factors:
        if factor.answer:
            return factor
    return reading.Statement(False if all(factor.answer is False for factor in factors) else None)


def _heavy(smoked: reading.Reading) -> reading.Statement:
    return reading.Statement(smoked.value >= HEAVY_SMOKING, smoked.evidence)


def _answer(value: str | bool | None) -> bool | None:
    return value if isinstance(value, bool) else None


def _score(case: Case, nodule: Nodule, *, multiple: bool) -> Score:
    size = size_class(nodule.mean_mm, nodule.volume_mm3)
    density = Density(nodule.density.value) if isinstance(nodule.density.value, str) else None
    high = risk(case, nodule)
    options = _options(density, size, high.answer, multiple=multiple)
    missing = _missing(case, nodule, size, density, high)
    one = options[0] if len(set(options)) == 1 and size is not None else ""
    return Score(
        name=NAME,
        title=TITLE,
        code=CODE,
        value=None,
        unit=None,
        category=_category(size, density, high.answer, multiple=multiple) if size is not None and density else "",
        statement=_statement(case, nodule, one, options, missing, size),
        inputs=_inputs(case, nodule, high, multiple=multiple),
        missing=missing,
        sensitivity=_sensitivity(density, size, high.answer, multiple=multiple)
        + _size_doubt(nodule, density, multiple),
        finding=nodule.index,
        citation=CITATION,
        limits=LIMITS,
    )


def _options(density: Density | None, size: SizeClass | None, high: bool | None, *, multiple: bool) -> tuple[str, ...]:
    """Every recommendation that the unknown inputs leave open."""
    return tuple(
        recommendation(kind, extent, multiple=multiple, high_risk=risky)
        for kind in (Density if density is None else (density,))
        for extent in (SizeClass if size is None else (size,))
        for risky in ((False, True) if high is None else (high,))
    )


def _category(size: SizeClass, density: Density, high: bool | None, *, multiple: bool) -> str:
    number = "multiple" if multiple else "single"
    if density is not Density.SOLID:
        return f"{number} {density}, {SIZE_NAMES[size] if size is SizeClass.UNDER_6 else '>= 6 mm'}"
    known = {True: ", high risk", False: ", low risk", None: ", risk not known"}[high]
    return f"{number} solid, {SIZE_NAMES[size]}{known}"


def _missing(
    case: Case, nodule: Nodule, size: SizeClass | None, density: Density | None, high: reading.Statement
) -> tuple[str, ...]:
    found = []
    if size is None:
        found.append("nodule size")
    if density is None:
        found.append("nodule type")
    if high.answer is None and density in {None, Density.SOLID}:
        found.append("risk factors")
    if reading.age(case) is None:
        found.append("age")
    found += [f"history of {name}" for name in ("cancer", "immunosuppression") if not _stated(case, name)]
    if density is Density.PART_SOLID and size and nodule.solid_mm is None:
        found.append("size of the solid component")
    return tuple(found)


def _stated(case: Case, concept: str) -> bool:
    return reading.stated(case, concept).answer is not None


def _statement(
    case: Case, nodule: Nodule, one: str, options: Sequence[str], missing: Sequence[str], size: SizeClass | None
) -> str:
    if size is None:
        return "The Fleischner guideline needs the nodule's size."
    condition = "" if reading.age(case) is not None else "If the patient is 35 or older: "
    needed = building.listed([name for name in missing if name.startswith(DEPENDS)])
    different = list(dict.fromkeys(options))
    if len(different) > MOST_OPTIONS:
        return f"{condition}Fleischner 2017 needs {needed}."
    text = one or " or ".join(different)
    reason = "" if one else f" (depends on {needed})"
    suspicious = ""
    if nodule.solid_mm is not None and nodule.solid_mm >= 6 and nodule.density.value == Density.PART_SOLID:
        suspicious = "; a persistent part-solid nodule with a solid component >= 6 mm is highly suspicious"
    return f"{condition}Fleischner 2017: {text}{reason}{suspicious}."


def _inputs(case: Case, nodule: Nodule, high: reading.Statement, *, multiple: bool) -> tuple[ScoreInput, ...]:
    found = [ScoreInput("number of nodules", "multiple" if multiple else "single")]
    if nodule.mean_mm is not None:
        evidence = reading.image_evidence(nodule.finding, f"mean diameter {nodule.mean_mm:.1f} mm")
        found.append(ScoreInput("mean diameter", round(nodule.mean_mm, 1), "mm", evidence))
    if nodule.volume_mm3 is not None:
        evidence = reading.image_evidence(nodule.finding, f"volume {nodule.volume_mm3:.0f} mm3")
        found.append(ScoreInput("volume", round(nodule.volume_mm3), "mm3", evidence))
    if isinstance(nodule.density.value, str):
        found.append(ScoreInput("nodule type", str(nodule.density.value), evidence=nodule.density.evidence))
    if high.answer is not None:
        found.append(ScoreInput("risk", "high" if high.answer else "low", evidence=high.evidence))
    years = reading.age(case)
    if years is not None:
        found.append(ScoreInput("age", years, "a", reading.demographics_evidence(f"age {years:.0f}")))
    for concept in ("cancer", "immunosuppression"):
        stated = reading.stated(case, concept)
        found.append(ScoreInput(f"history of {concept}", "no", evidence=stated.evidence, assumed=stated.answer is None))
    return tuple(found)


def _sensitivity(
    density: Density | None, size: SizeClass | None, high: bool | None, *, multiple: bool
) -> tuple[Sensitivity, ...]:
    if size is None:
        return ()
    rows = []
    if density is None:
        kinds = [recommendation(kind, size, multiple=multiple, high_risk=bool(high)) for kind in Density]
        rows.append(
            Sensitivity("nodule type", " or ".join(dict.fromkeys(kinds[2:])), " or ".join(dict.fromkeys(kinds[:2])))
        )
    if high is None and density in {None, Density.SOLID}:
        low, worse = (
            recommendation(Density.SOLID, size, multiple=multiple, high_risk=risky) for risky in (False, True)
        )
        rows.append(Sensitivity("risk factors", low, worse))
    return tuple(rows)


def _size_doubt(nodule: Nodule, density: Density | None, multiple: bool) -> tuple[Sensitivity, ...]:
    """Where diameter and volume give different classes, what each of them would mean."""
    by_size, by_volume = size_class(nodule.mean_mm, None), size_class(None, nodule.volume_mm3)
    if density is None or by_size is None or by_volume is None or by_size == by_volume:
        return ()
    low, high = (
        recommendation(density, size, multiple=multiple, high_risk=False) for size in sorted((by_size, by_volume))
    )
    return (Sensitivity("size by diameter or by volume", low, high),)
