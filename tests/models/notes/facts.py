"""Reading an analysis the short way."""

from __future__ import annotations

from models.facts import Assertion, Experiencer, NoteFact
from models.notes import analyze


def fact(text: str, surface: str) -> NoteFact:
    """Give the one fact of ``text`` with this surface, in any case."""
    found = [item for item in analyze(text).facts if item.surface.casefold() == surface.casefold()]
    assert len(found) == 1, f"{surface!r} found {len(found)} times"
    return found[0]


def said(text: str, surface: str) -> Assertion:
    """Say how ``text`` asserts the one fact with this surface."""
    return fact(text, surface).assertion


def words(assertion: Assertion) -> set[str]:
    """Name the properties that hold, and the experiencer if not the patient."""
    held = {name for name in ("negated", "uncertain", "historical", "hypothetical") if getattr(assertion, name)}
    return held if assertion.experiencer is Experiencer.PATIENT else {*held, assertion.experiencer.value}
