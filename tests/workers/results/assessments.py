"""An assessment with everything that one can hold, made by hand."""

from __future__ import annotations

import datetime as dt

from models.contracts import Code
from models.fusion.contracts import (
    Assessment,
    Conflict,
    Evidence,
    Link,
    Priority,
    Relation,
    Score,
    ScoreInput,
    Sensitivity,
    Source,
    Triage,
)

AT = dt.datetime(2026, 11, 1, 8, 0, tzinfo=dt.UTC)
MEMORY = Evidence(Source.NOTE, "memory loss (history)", "NOTE-1:12-24", Code("R41.3", "I10C", "Amnesia"), AT)
INR = Evidence(Source.LAB, "INR 3.5", "F-77", Code("6301-6", "LN", "INR"), AT)
IMAGE = Evidence(Source.IMAGE, "hippocampus 1.5 ml", "hippocampus-anterior")

FULL = Assessment(
    links=(
        Link(0, Relation.SUPPORTS, MEMORY, 0.8, "Memory complaints go with a small hippocampus."),
        Link(3, Relation.CONTRADICTS, Evidence(Source.PRIOR, "no atrophy in 2024", "1.2.3"), 0.4, "It was not there."),
        Link(0, Relation.EXPLAINS, Evidence(Source.DEMOGRAPHICS, "age 76"), 0.3, "Volume falls with age."),
        Link(0, Relation.RAISES_RISK, INR, 0.2, "Anticoagulated."),
    ),
    scores=(
        Score(
            name="brock",
            title="Brock malignancy probability",
            code=Code("BROCK", "99OVERREAD", "Brock malignancy probability"),
            value=12.3456789,
            unit=Code("%", "UCUM", "Percent"),
            category="high",
            statement="The probability of malignancy is 12 %.",
            inputs=(ScoreInput("age", 76.0, "a", IMAGE), ScoreInput("emphysema", "no", assumed=True)),
            missing=("family history",),
            sensitivity=(Sensitivity("family history", 9.0, 14.5),),
            finding=0,
            citation="McWilliams et al., N Engl J Med 2013;369:910",
            limits=("For people who smoke or smoked.",),
        ),
        Score(
            name="lung-rads-2022",
            title="Lung-RADS v2022",
            code=Code("LUNG-RADS", "99OVERREAD", "Lung-RADS category"),
            value=None,
            unit=None,
            category="4A",
            statement="Category 4A: low dose CT in 3 months.",
        ),
        Score(
            name="curb-65",
            title="CURB-65",
            code=Code("CURB-65", "99OVERREAD", "CURB-65"),
            value=None,
            unit=None,
            category="",
            statement="It cannot be computed.",
            missing=("urea", "respiratory rate"),
        ),
        Score(
            name="cha2ds2-vasc",
            title="CHA2DS2-VASc",
            code=Code("CHA2DS2-VASC", "99OVERREAD", "CHA2DS2-VASc score"),
            value=3.0,
            unit=Code("{score}", "UCUM", "score"),
            category="",
            statement="3 points.",
        ),
    ),
    conflicts=(
        Conflict("The note says that memory is normal, another that it is not.", (MEMORY, IMAGE), 0),
        Conflict("The volume was larger a year ago.", (IMAGE,), 0, change=True),
    ),
    triage=Triage(Priority.ASAP, ("memory loss with a small hippocampus",), True, (3,)),
    follow_up=("Neuropsychological examination [clinical convention].",),
    missing=("no creatinine",),
    summary=("The images show a small hippocampus.", "A note speaks of memory loss."),
    versions={"graph": "1"},
)
