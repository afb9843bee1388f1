"""Clinical notes in, facts out: sections, problems, negation, experiencer.

:func:`analyze` reads one note and gives a :class:`~models.facts.NoteAnalysis`; :func:`assert_span` says how a note
states one given span. Both run on :func:`models.notes.engine.default_engine`.
"""

from __future__ import annotations

from models.facts import Assertion, NoteAnalysis
from models.notes.engine import NoteEngine, default_engine

__all__ = ["NoteEngine", "analyze", "assert_span", "default_engine"]


def analyze(text: str) -> NoteAnalysis:
    """Find what ``text`` states, with the default engine.

    Parameters
    ----------
    text
        One note, any Unicode, English or Chinese or both.

    Returns
    -------
    NoteAnalysis
        Facts in text order; every fact satisfies ``text[start:end] == surface``.
    """
    return default_engine().analyze(text)


def assert_span(text: str, start: int, end: int) -> Assertion:
    """Say how ``text`` states the concept at ``text[start:end]``, with the default engine.

    Raises
    ------
    ValueError
        If ``0 <= start < end <= len(text)`` does not hold.
    """
    return default_engine().assert_span(text, start, end)
