"""The conditions of a rule's ``when`` table. A new condition is one function here and one line in :data:`CONDITIONS`.

Texts are compared without regard to case; ``*``, ``?`` and ``[…]`` are wildcards; a list means "any of these".
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule may look at: one series, its study, its order."""

    modality: str = ""
    body_part: str = ""
    study_description: str = ""
    series_description: str = ""
    calling_ae_title: str = ""
    called_ae_title: str = ""
    order_priority: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


Condition = Callable[[Facts, Any], bool]


def matches(value: str, wanted: Any) -> bool:
    """Whether ``value`` fits the pattern, or one of the patterns, ``wanted``."""
    patterns = wanted if isinstance(wanted, list | tuple) else (wanted,)
    return any(fnmatch.fnmatchcase(value.casefold(), str(pattern).casefold()) for pattern in patterns)


def _attribute(name: str) -> Condition:
    def condition(facts: Facts, wanted: Any) -> bool:
        return matches(getattr(facts, name), wanted)

    return condition


def _tags(facts: Facts, wanted: Any) -> bool:
    return all(matches(facts.tags.get(keyword, ""), pattern) for keyword, pattern in wanted.items())


def _sop_class(facts: Facts, wanted: Any) -> bool:
    """Compare the SOP class of the series' first instance: its UID, or its name such as ``CTImageStorage``."""
    from pydicom.uid import UID  # here: settings know conditions, and the HL7 listener, which reads them, is light

    uid = facts.tags.get("SOPClassUID", "")
    return bool(uid) and (matches(uid, wanted) or matches(UID(uid).keyword, wanted))


CONDITIONS: Mapping[str, Condition] = {
    "modality": _attribute("modality"),
    "body_part": _attribute("body_part"),
    "study_description": _attribute("study_description"),
    "series_description": _attribute("series_description"),
    "calling_ae_title": _attribute("calling_ae_title"),
    "called_ae_title": _attribute("called_ae_title"),
    "order_priority": _attribute("order_priority"),
    "sop_class": _sop_class,
    "tags": _tags,
}


def problem(name: str, wanted: Any) -> str | None:
    """Say what is wrong with one entry of a ``when`` table, or None."""
    if name not in CONDITIONS:
        return f"unknown condition {name!r}; known: {', '.join(CONDITIONS)}"
    if name == "tags":
        if isinstance(wanted, dict) and all(_is_pattern(pattern) for pattern in wanted.values()):
            return None
        return "'tags' is a table of DICOM keyword = pattern (or list of patterns)"
    return None if _is_pattern(wanted) else f"{name!r} takes a text or a list of texts"


def _is_pattern(wanted: Any) -> bool:
    return isinstance(wanted, str) or (
        isinstance(wanted, list | tuple) and bool(wanted) and all(isinstance(item, str) for item in wanted)
    )
