"""Category of a lung cancer screening CT: ACR Lung-RADS v2022.

American College of Radiology, Lung-RADS v2022; Christensen J et al., J Am Coll Radiol 2024;21:473-488. The examination
has the category of its most suspicious nodule. Derived here: solid, part-solid, non-solid and juxtapleural nodules,
growth against earlier studies, stepped management, and the modifiers 4X (spiculation) and S. Not derived: category 0,
airway nodules, atypical cysts; docs/scores.md says so.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import product

from models.fusion import reading
from models.fusion.contracts import Case, Evidence, PriorFinding, Score, ScoreInput, Sensitivity, Source
from models.fusion.scores import building
from models.fusion.scores.building import NOT_APPLICABLE
from models.fusion.scores.lung_rads_table import MALIGNANCY, MANAGEMENT, ORDER, Change, category
from models.fusion.scores.lung_record import screening_evidence
from models.fusion.scores.nodules import SURE, Density, Nodule, nodules

NAME = "lung-rads-2022"
TITLE = "ACR Lung-RADS v2022"
CITATION = "American College of Radiology, Lung-RADS v2022; Christensen J et al., J Am Coll Radiol 2024;21:473-488"
CODE = building.own_code("LUNG-RADS-2022", "ACR Lung-RADS v2022 category")

#: Growth is an increase of the mean diameter by more than this ...
GROWTH_MM = 1.5
#: ... within so long; a month is allowed for appointments.
GROWTH_INTERVAL = dt.timedelta(days=396)

#: Stepped management: so long after the earlier study a category 3 or 4A nodule that is stable steps down by one. Two
#: weeks (3 months) and a month (6 months) are allowed for appointments.
STEPS = {"3": (dt.timedelta(days=152), "2"), "4A": (dt.timedelta(days=76), "3")}

TYPE, SIZE, SOLID_SIZE = "nodule type", "nodule size", "size of the solid component"
EARLIER, SPICULATION = "earlier CT for comparison", "spiculation"

#: Findings that call for the modifier S.
SIGNIFICANT = ("pleural effusion", "pneumothorax", "pulmonary embolism", "aortic dissection", "pneumonia")

LIMITS = (
    "For screening with low-dose CT of persons without symptoms.",
    "Category 0, airway nodules and atypical cysts are not derived; a reader must add them.",
)


@dataclass(frozen=True, slots=True)
class Graded:
    """A nodule with the categories that it can have: one where everything is known."""

    nodule: Nodule
    change: Change
    evidence: Evidence | None
    lowest: str
    highest: str
    missing: tuple[str, ...]
    sensitivity: tuple[Sensitivity, ...]


def lung_rads(case: Case) -> tuple[Score, ...]:
    """Give the category of a CT with nodules; says that it does not apply where nobody speaks of screening."""
    if case.modality.upper() not in {"CT", ""}:
        return ()
    found = nodules(case)
    if not found:
        return ()
    screening = screening_evidence(case)
    if screening is None:
        return (_not_applicable(),)
    graded = [_graded(case, nodule) for nodule in found]
    worst = max(graded, key=_suspicion)
    return (_score(case, worst, screening),)


def _suspicion(item: Graded) -> tuple[bool, int, int, int]:
    """Order of suspicion; nodules that the model is not sure of come after all others."""
    confidence = item.nodule.finding.confidence
    sure = confidence is None or confidence >= SURE
    return sure, ORDER.index(item.highest), ORDER.index(item.lowest), -item.nodule.index


def _not_applicable() -> Score:
    return Score(
        name=NAME,
        title=TITLE,
        code=CODE,
        value=None,
        unit=None,
        category=NOT_APPLICABLE,
        statement="Lung-RADS does not apply: nothing in the order says that the examination is for screening.",
        citation=CITATION,
        limits=LIMITS,
    )


def _graded(case: Case, nodule: Nodule) -> Graded:
    change, evidence, prior = _change(case, nodule)
    if nodule.benign:
        return Graded(nodule, change, evidence, "1", "1", (), ())
    if nodule.juxtapleural and _small_juxtapleural(nodule):
        return Graded(nodule, change, evidence, "2", "2", (), ())
    if nodule.mean_mm is None:
        return Graded(nodule, change, evidence, "2", "4X", (SIZE,), ())
    options = _Options.of(case, nodule, change, prior)
    lowest, highest = options.bounds()
    return Graded(nodule, change, evidence, lowest, highest, options.missing, options.sensitivity())


def _small_juxtapleural(nodule: Nodule) -> bool:
    solid = nodule.density.value in {None, Density.SOLID}
    return solid and nodule.spiculated.value is not True and nodule.mean_mm is not None and nodule.mean_mm < 10


@dataclass(frozen=True, slots=True)
class _Options:
    """The values that type, solid component and change of a nodule can have, and the categories that follow."""

    mean_mm: float
    densities: tuple[Density, ...]
    solids: tuple[float, ...]
    changes: tuple[Change, ...]
    spiculations: tuple[bool, ...]
    step: tuple[PriorFinding, dt.timedelta] | None

    @classmethod
    def of(cls, case: Case, nodule: Nodule, change: Change, prior: PriorFinding | None) -> _Options:
        mean = nodule.mean_mm or 0.0
        density = nodule.density.value
        known_change = prior is not None or nodule.new
        step = None
        if prior is not None and change is Change.STABLE and prior.studied_at and case.studied_at:
            step = (prior, reading.between(prior.studied_at, case.studied_at))
        return cls(
            mean_mm=mean,
            densities=(Density(density),) if isinstance(density, str) else tuple(Density),
            solids=(nodule.solid_mm,) if nodule.solid_mm is not None else (0.0, mean),
            changes=(change,) if known_change else (Change.BASELINE, Change.NEW, Change.GROWING),
            spiculations=(False, True) if nodule.spiculated.value is None else (nodule.spiculated.value is True,),
            step=step,
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of what is open."""
        found = [TYPE] if len(self.densities) > 1 else []
        if Density.PART_SOLID in self.densities and len(self.solids) > 1 and self.mean_mm >= 6:
            found.append(SOLID_SIZE)
        if len(self.changes) > 1:
            found.append(EARLIER)
        if len(self.spiculations) > 1:
            found.append(SPICULATION)
        return tuple(found)

    def grade(self, density: Density, solid: float, change: Change, spiculated: bool) -> str:
        """Category, with stepped management and 4X."""
        found = category(density, self.mean_mm, solid, change)
        if self.step is not None:
            found = _stepped(found, density, *self.step)
        return "4X" if spiculated and ORDER.index(found) >= ORDER.index("3") else found

    def bounds(self, vary: str = "") -> tuple[str, str]:
        """Lowest and highest category over type and solid component, and over the input ``vary``.

        Otherwise the examination is taken as the first one, and the nodule as not spiculated, where nobody says.
        """
        changes = self.changes if vary == EARLIER else self.changes[:1]
        spiculations = self.spiculations if vary == SPICULATION else self.spiculations[:1]
        chosen = product(self.densities, self.solids, changes, spiculations)
        found = sorted((self.grade(*values) for values in chosen), key=ORDER.index)
        return found[0], found[-1]

    def sensitivity(self) -> tuple[Sensitivity, ...]:
        """What each unknown could change."""
        return tuple(Sensitivity(name, *self.bounds(name)) for name in self.missing)


def _stepped(found: str, density: Density, prior: PriorFinding, apart: dt.timedelta) -> str:
    """Step down a stable nodule that had the same category long enough ago (v2022, stepped management)."""
    if found not in STEPS:
        return found
    size = reading.mean_diameter_mm(prior.finding)
    solid = reading.measured_in(prior.finding, "solid component", "mm")
    if size is None or (density is Density.PART_SOLID and solid is None):
        return found
    wait, lower = STEPS[found]
    return lower if category(density, size, solid or 0.0, Change.BASELINE) == found and apart >= wait else found


def _change(case: Case, nodule: Nodule) -> tuple[Change, Evidence | None, PriorFinding | None]:
    """How the nodule compares with the newest earlier finding of the same lesion."""
    prior = _same_lesion(case, nodule)
    if prior is not None and nodule.mean_mm is not None:
        return *_growth(case, nodule.mean_mm, prior), prior
    if nodule.new:
        return Change.NEW, reading.image_evidence(nodule.finding, "new nodule"), None
    return Change.BASELINE, None, None


def _same_lesion(case: Case, nodule: Nodule) -> PriorFinding | None:
    """The newest earlier finding that is this nodule: by its identity, or where both studies show one nodule."""
    earlier = [
        prior
        for prior in case.priors
        if reading.concept_of(case, prior.finding) == "lung nodule"
        and prior.studied_at is not None
        and reading.mean_diameter_mm(prior.finding) is not None
    ]
    if nodule.finding.lesion:
        earlier = [prior for prior in earlier if prior.finding.lesion == nodule.finding.lesion]
    elif len(nodules(case)) != 1 or len(earlier) != len({prior.study_uid for prior in earlier}):
        return None
    return max(earlier, key=lambda prior: (reading.instant(prior.studied_at), prior.study_uid), default=None)


def _growth(case: Case, mean_mm: float, prior: PriorFinding) -> tuple[Change, Evidence]:
    before = reading.mean_diameter_mm(prior.finding) or mean_mm
    evidence = Evidence(
        Source.PRIOR, f"{before:.1f} mm in an earlier study", prior.study_uid, prior.finding.code, prior.studied_at
    )
    if mean_mm - before <= GROWTH_MM:
        return Change.STABLE, evidence
    apart = reading.between(prior.studied_at, case.studied_at) if prior.studied_at and case.studied_at else None
    slow = apart is not None and apart > GROWTH_INTERVAL and _yearly(mean_mm - before, apart) <= GROWTH_MM
    return Change.SLOWLY_GROWING if slow else Change.GROWING, evidence


def _yearly(growth_mm: float, apart: dt.timedelta) -> float:
    return growth_mm * 365.25 / (apart.total_seconds() / 86400)


def _score(case: Case, graded: Graded, screening: Evidence) -> Score:
    clear = graded.lowest == graded.highest
    modifier = "S" if any(reading.findings_of(case, concept) for concept in SIGNIFICANT) else ""
    return Score(
        name=NAME,
        title=TITLE,
        code=CODE,
        value=None,
        unit=None,
        category=f"{graded.highest}{modifier}" if clear else "",
        statement=_statement(graded, modifier) if clear else _unclear(graded),
        inputs=_inputs(graded, screening),
        missing=graded.missing,
        sensitivity=graded.sensitivity,
        finding=graded.nodule.index,
        citation=CITATION,
        limits=LIMITS,
    )


def _statement(graded: Graded, modifier: str) -> str:
    found = graded.highest
    other = " Modifier S: another finding is significant." if modifier else ""
    assumed = " (taken as a first examination)" if EARLIER in graded.missing else ""
    risk = f"probability of malignancy {MALIGNANCY[found]}"
    return f"Lung-RADS {found}{modifier}{assumed}: {MANAGEMENT[found]}; {risk}.{other}"


def _unclear(graded: Graded) -> str:
    needed = [name for name in graded.missing if name not in {EARLIER, SPICULATION}]
    return f"Lung-RADS between {graded.lowest} and {graded.highest}: it needs {building.listed(needed)}."


def _inputs(graded: Graded, screening: Evidence) -> tuple[ScoreInput, ...]:
    nodule = graded.nodule
    found = [ScoreInput("examination", "screening", evidence=screening)]
    if nodule.mean_mm is not None:
        evidence = reading.image_evidence(nodule.finding, f"mean diameter {nodule.mean_mm:.1f} mm")
        found.append(ScoreInput("mean diameter", round(nodule.mean_mm, 1), "mm", evidence))
    if isinstance(nodule.density.value, str):
        found.append(ScoreInput("nodule type", str(nodule.density.value), evidence=nodule.density.evidence))
    if nodule.solid_mm is not None:
        evidence = reading.image_evidence(nodule.finding, f"solid component {nodule.solid_mm:.1f} mm")
        found.append(ScoreInput("solid component", round(nodule.solid_mm, 1), "mm", evidence))
    if nodule.spiculated.value is not None:
        shown = "yes" if nodule.spiculated.value else "no"
        found.append(ScoreInput("spiculation", shown, evidence=nodule.spiculated.evidence))
    found.append(ScoreInput("change", str(graded.change), evidence=graded.evidence, assumed=graded.evidence is None))
    return tuple(found)
