"""What the record says that several scores of lung nodules need: screening, family history, emphysema."""

from __future__ import annotations

import re
from functools import cache

from models.fusion import reading
from models.fusion.contracts import Case, Evidence, Source

#: So much of the order's reason is read.
LONGEST_REASON = 400


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile(
        r"\bscreen(?:ing)?\b|\blow[ -]dose (?:chest|lung)\b|\blow[ -]dose CT of the (?:chest|lung)|\bLDCT\b"
        r"|\blung[ -]?RADS\b|\bZ12\.2\b|筛查|低剂量(?:螺旋)?(?:胸部|肺)",
        re.IGNORECASE,
    )


@cache
def _other_screening() -> re.Pattern[str]:
    return re.compile(r"\b(?:breast|mammogra\w{0,8}|colo\w{0,10}|prostate|cervi\w{0,6}) (?:cancer )?screening\b", re.I)


def screening_evidence(case: Case) -> Evidence | None:
    """Evidence that the study is a screening of the lungs, None where nothing says so."""
    for name, text in (("the order's reason", case.order_reason), ("the study's description", case.study_description)):
        said = text[:LONGEST_REASON]
        if _pattern().search(said) and not _other_screening().search(said):
            return Evidence(Source.ORDER, f"{name} speaks of screening")
    stated = reading.stated(case, "screening")
    return stated.evidence if stated.answer else None


def family_history(case: Case) -> reading.Statement:
    """Lung cancer in the family: the code of a family history, or lung cancer that a note says of the family."""
    coded = reading.stated(case, "family history of lung cancer")
    return coded if coded.answer is not None else reading.stated_of_family(case, "lung cancer")


def emphysema(case: Case) -> reading.Statement:
    """Emphysema in the images, else in the notes."""
    for _, finding in reading.findings_of(case, "emphysema"):
        return reading.Statement(True, reading.image_evidence(finding, "emphysema"))
    return reading.stated(case, "emphysema")
