"""The engines that read notes, by name; nothing is imported or loaded before it is asked for.

A new engine is one module with a :class:`~models.notes.engine.NoteEngine` and one line in :data:`ENGINES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import cast

from models.contracts import ModelError
from models.facts import Assertion
from models.notes.engine import NoteEngine, default_engine
from models.notes.sectionkind import SectionClassifier, SectionKind, default_classifier

Place = tuple[str, int, int]  # a text and a span of it
RULES = "rules"
KEPT = 4  # engines that a process keeps loaded


class UnknownEngine(ModelError):
    """No engine of this name is there, or it lacks the folder that it needs."""


def _rules(folder: Path | None) -> NoteEngine:
    if folder is not None:
        raise UnknownEngine("the engine of rules takes no folder; its files are in models/notes")
    return default_engine()


def _learnt(module: str) -> Callable[[Path | None], NoteEngine]:
    """Give the factory of an engine whose module loads it from a folder, over the rules."""

    def load_from(folder: Path | None) -> NoteEngine:
        if folder is None:
            raise UnknownEngine("this engine is loaded from a folder: name it (--model, or notes.model)")
        return cast(NoteEngine, import_module(module).load(folder, default_engine()))

    return load_from


ENGINES: Mapping[str, Callable[[Path | None], NoteEngine]] = MappingProxyType(
    {
        RULES: _rules,
        "transformer": _learnt("models.notes.transformer"),
        "naive-bayes": _learnt("models.notes.baseline"),
    }
)


@lru_cache(maxsize=KEPT)
def load(name: str = RULES, folder: Path | None = None) -> NoteEngine:
    """Give an engine, loaded once and kept.

    Parameters
    ----------
    name
        A key of :data:`ENGINES`.
    folder
        Where an engine that was trained lies; None for the rules.

    Raises
    ------
    UnknownEngine
        If no engine has this name, or the folder is missing where one is needed.
    WeightsError
        If the folder does not hold such an engine.
    """
    if name not in ENGINES:
        raise UnknownEngine(f"no engine is called {name!r}; there are: {', '.join(ENGINES)}")
    return ENGINES[name](folder)


def assert_spans(engine: NoteEngine, places: Sequence[Place]) -> list[Assertion]:
    """Say how each text states its span; all at once where the engine can."""
    together = getattr(engine, "assert_spans", None)
    if together is not None:
        return cast("list[Assertion]", together(places))
    return [engine.assert_span(*place) for place in places]


def section_kinds(engine: NoteEngine, texts: Sequence[str]) -> list[SectionKind]:
    """Give the most probable kind of each section's text: by the engine itself, or by the default classifier."""
    own = hasattr(engine, "section_kinds")
    classifier = cast(SectionClassifier, engine) if own else default_classifier()
    return classifier.section_kinds(texts)
