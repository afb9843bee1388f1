"""Our checklist of IHE AI Results (AIR): what the profile and the standard ask of a result beyond its IOD.

docs/air.md lists every rule with its source. The rules are pure functions of a data set, by subject in the files
beside this one; validators (:mod:`workers.results.validate`) check the IODs and templates themselves.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from workers.results.air import general, images, reports
from workers.results.air.rule import ENCODINGS, FALLBACKS, AirRule, Broken
from workers.results.common import MANUFACTURER

AIR_RULES: tuple[AirRule, ...] = (*general.RULES, *reports.RULES, *images.RULES)


def is_result(ds: Dataset) -> bool:
    """Whether the checklist is about this object: an encoding of AIR, or one of our own that AIR does not address."""
    sop_class = str(ds.get("SOPClassUID", ""))
    return sop_class in ENCODINGS or (sop_class in FALLBACKS and str(ds.get("Manufacturer")) == MANUFACTURER)


def check(ds: Dataset) -> list[Broken]:
    """Hold an object against every rule that applies to it.

    Parameters
    ----------
    ds
        Any data set, hostile ones included.

    Returns
    -------
    list of Broken
        In the rules' order; empty for what is no result (:func:`is_result`). A rule that an attribute of a wrong kind
        keeps from looking counts as broken.
    """
    if not is_result(ds):
        return []
    sop_class = str(ds.SOPClassUID)
    return [found for rule in AIR_RULES if sop_class in rule.applies for found in _broken(rule, ds)]


def _broken(rule: AirRule, ds: Dataset) -> list[Broken]:
    try:
        return [Broken(rule, text) for text in rule.check(ds)]
    except Exception as exc:  # pydicom converts values when they are asked for: a broken one can raise anything
        return [Broken(rule, f"an attribute cannot be interpreted ({type(exc).__name__})")]
