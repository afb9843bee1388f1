"""Published scores and rules, one file each: ``(case) -> scores``, empty where a score does not apply to the case.

A new one is a file here and a line in :data:`SCORES`. All are pure and deterministic, and none raises on an odd case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from models.fusion.contracts import Case, Score
from models.fusion.scores.anticoagulant import anticoagulant_haemorrhage
from models.fusion.scores.brock import brock
from models.fusion.scores.building import NOT_APPLICABLE
from models.fusion.scores.cha2ds2_vasc import cha2ds2_vasc
from models.fusion.scores.curb65 import curb65
from models.fusion.scores.fleischner import fleischner
from models.fusion.scores.hippocampus import hippocampal_volume
from models.fusion.scores.lung_rads import lung_rads

__all__ = ["NOT_APPLICABLE", "SCORES", "VERSIONS", "compute"]

SCORES: Mapping[str, Callable[[Case], tuple[Score, ...]]] = MappingProxyType(
    {
        "anticoagulant-haemorrhage": anticoagulant_haemorrhage,
        "brock": brock,
        "fleischner-2017": fleischner,
        "lung-rads-2022": lung_rads,
        "curb-65": curb65,
        "cha2ds2-vasc": cha2ds2_vasc,
        "hippocampal-volume": hippocampal_volume,
    }
)

#: Version of each score's code; changes with what it computes.
VERSIONS: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(SCORES, "2") | {"curb-65": "1", "cha2ds2-vasc": "3", "hippocampal-volume": "3"}
)


def compute(case: Case) -> tuple[Score, ...]:
    """Compute every score that applies, in the registry's order."""
    return tuple(score for name in SCORES for score in SCORES[name](case))
