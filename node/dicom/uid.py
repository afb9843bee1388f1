"""Unique identifiers, which come from strangers and become file names."""

from __future__ import annotations

import re
from functools import lru_cache

MAX_LENGTH = 64
"""PS3.5 section 9.1: a UID has no more than 64 characters."""

_FORM = re.compile(r"[0-9]+(?:\.[0-9]+)+", re.ASCII)


def is_uid(value: str) -> bool:
    """Whether ``value`` has the form of a UID: digits and dots, no empty component (PS3.5 section 9.1).

    Leading zeros in a component are let through: the standard forbids them, scanners send them, and they harm nobody.
    """
    return len(value) <= MAX_LENGTH and _has_form(value)


@lru_cache(maxsize=4096)  # each object's are asked for several times on the way in
def _has_form(value: str) -> bool:
    return _FORM.fullmatch(value) is not None
