"""The naive-Bayes baseline: negation from the words around a concept, section kinds from the words of a section.

What a simple learner makes of the same sentences, beside which the other engines are measured. A folder of it holds
``negation.safetensors``, ``sections.safetensors`` or both (:mod:`models.training.notes_linear` writes them); all else
is the rule engine's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from models.contracts import WeightsError
from models.facts import Assertion, NoteAnalysis, NoteFact
from models.notes.baseline_linear import LinearText, read
from models.notes.engine import NoteEngine
from models.notes.engines_sentences import Sentences
from models.notes.sectionkind import WEIGHTS_FILE, LinearSections, SectionClassifier, SectionKind

NEGATION_FILE = "negation.safetensors"
NEGATED, AFFIRMED = "negated", "affirmed"
VERSION = "1.0"


class NaiveBayesEngine:
    """Negation and section kinds by naive Bayes, everything else by ``rules``."""

    name = "naive-bayes"

    def __init__(self, rules: NoteEngine, negation: LinearText | None, sections: SectionClassifier) -> None:
        self._rules = rules
        self._negation = negation
        self._sections = sections
        learnt = "negation" if negation else "no negation"
        self.version = f"{VERSION} ({learnt}), else {rules.name} {rules.version}"

    def analyze(self, text: str) -> NoteAnalysis:
        """Find all facts of a note by the rules, and say by naive Bayes which are negated."""
        found = self._rules.analyze(text)
        if self._negation is None:
            return replace(found, engine=self.name, version=self.version)
        sentences = Sentences(text)
        facts = tuple(self._restated(self._negation, sentences, fact) for fact in found.facts)
        return replace(found, facts=facts, engine=self.name, version=self.version)

    def assert_span(self, text: str, start: int, end: int) -> Assertion:
        """Say how the note states ``text[start:end]``."""
        said = self._rules.assert_span(text, start, end)
        if self._negation is None:
            return said
        return replace(said, negated=_negated(self._negation, Sentences(text), start, end))

    def section_kinds(self, texts: Sequence[str]) -> list[SectionKind]:
        """Give the most probable kind of each text."""
        return self._sections.section_kinds(texts)

    def _restated(self, model: LinearText, sentences: Sentences, fact: NoteFact) -> NoteFact:
        negated = _negated(model, sentences, fact.start, fact.end)
        return replace(fact, assertion=replace(fact.assertion, negated=negated))


def surroundings(sentences: Sentences, start: int, end: int) -> str:
    """Give the sentence of a concept without the concept: what naive Bayes counts the words of."""
    sentence = sentences.around(start, end)
    return f"{sentences.text[sentence.start : start]} {sentences.text[end : sentence.end]}"


def _negated(model: LinearText, sentences: Sentences, start: int, end: int) -> bool:
    scores = dict(zip(model.kinds, model.scores(surroundings(sentences, start, end)), strict=True))
    return bool(scores[NEGATED] > scores[AFFIRMED])


def load(folder: Path, rules: NoteEngine) -> NaiveBayesEngine:
    """Read the engine of a folder.

    Raises
    ------
    WeightsError
        If the folder holds neither classifier, or one that is damaged.
    """
    negation, sections = folder / NEGATION_FILE, folder / WEIGHTS_FILE
    if not negation.is_file() and not sections.is_file():
        raise WeightsError(
            f"neither {NEGATION_FILE} nor {WEIGHTS_FILE} in {folder}: `overread notes train` writes them"
        )
    model = read(negation) if negation.is_file() else None
    if model is not None and set(model.kinds) != {NEGATED, AFFIRMED}:
        raise WeightsError(f"{NEGATION_FILE} does not tell {NEGATED} from {AFFIRMED}")
    return NaiveBayesEngine(rules, model, _sections(sections))


def _sections(path: Path) -> SectionClassifier:
    if path.is_file():
        return LinearSections(read(path))
    from models.notes.sectionkind import default_classifier

    return default_classifier()
