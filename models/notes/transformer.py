"""The transformer engine: concepts by token classification, assertion and section kinds by sequence classification.

Any BERT-type models that Hugging Face transformers loads, from one local folder
(:mod:`models.notes.transformer_folder`, docs/notes_engines.md). What the folder has no model for, and sections,
numbers, times and sides, are the rules'.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.facts import Assertion, FactKind, NoteAnalysis, NoteFact
from models.notes.baseline_linear import softmax
from models.notes.engine import NoteEngine
from models.notes.engines_sentences import Sentences
from models.notes.sectionkind import SectionClassifier, SectionKind, default_classifier
from models.notes.transformer_assertion import AssertionModel, Query
from models.notes.transformer_concepts import ConceptModel, Found
from models.notes.transformer_folder import Description, describe, known_labels
from models.notes.transformer_model import SEQUENCES, TOKENS, Part, load_part

NAME = "transformer"
MAX_CHARACTERS = 100_000
"""Characters of a note that the models read, some 50 pages; what stands behind them is the rules'. It bounds the time
that one note can take."""

Place = tuple[str, int, int]  # a text and a span of it


class TransformerEngine:
    """Models of one folder over an engine of rules."""

    name = NAME

    def __init__(
        self,
        about: Description,
        rules: NoteEngine,
        concepts: ConceptModel | None = None,
        assertion: AssertionModel | None = None,
        sections: SectionClassifier | None = None,
    ) -> None:
        self._rules = rules
        self._concepts = concepts
        self._assertion = assertion
        self._sections = sections
        parts = (("concepts", concepts), ("assertion", assertion), ("sections", sections))
        learnt = " ".join(name for name, part in parts if part is not None)
        self.version = f"{about.name} {about.version} ({learnt}), else rules {rules.version}"

    def analyze(self, text: str) -> NoteAnalysis:
        """Find all facts of a note, in text order."""
        base = self._rules.analyze(text)
        facts = base.facts if self._concepts is None else self._facts(self._concepts, text, base)
        if self._assertion is not None:
            within = [at for at, fact in enumerate(facts) if _is_read(fact)]
            said = self._assertion.assert_all(_queries(text, [facts[at] for at in within]))
            restated = dict(zip(within, said, strict=True))
            facts = tuple(replace(fact, assertion=restated.get(at, fact.assertion)) for at, fact in enumerate(facts))
        return replace(base, facts=facts, engine=self.name, version=self.version)

    def assert_span(self, text: str, start: int, end: int) -> Assertion:
        """Say how the note states ``text[start:end]``."""
        return self.assert_spans([(text, start, end)])[0]

    def assert_spans(self, places: Sequence[Place]) -> list[Assertion]:
        """Say it of many spans at once, which is many times faster; ``ValueError`` where a span is not in its text."""
        said = [self._rules.assert_span(*place) for place in places]
        if self._assertion is None:
            return said
        queries = [
            Query(Sentences(text), start, end, rules) for (text, start, end), rules in zip(places, said, strict=True)
        ]
        return self._assertion.assert_all(queries)

    def section_kinds(self, texts: Sequence[str]) -> list[SectionKind]:
        """Give the most probable kind of each text."""
        return (self._sections or default_classifier()).section_kinds(texts)

    def _facts(self, concepts: ConceptModel, text: str, base: NoteAnalysis) -> tuple[NoteFact, ...]:
        """Join what the model finds with the rules' facts of other kinds, and with their codes where both agree."""
        starts = [start for _, start, _ in base.sections]
        found = concepts.find(text[:MAX_CHARACTERS])
        facts: list[NoteFact] = []
        taken: set[int] = set()
        at = 0
        for item in found:
            while at < len(base.facts) and base.facts[at].end <= item.start:
                at += 1
            same = _overlapping(base.facts, at, item)
            again = any(index in taken for index in same)
            taken.update(same)
            if again:  # one name of the lexicon that the model found in pieces
                facts[-1] = replace(facts[-1], end=item.end, surface=text[facts[-1].start : item.end])
                continue
            section = base.sections[max(0, bisect_right(starts, item.start) - 1)][0]
            facts.append(self._fact(text, item, [base.facts[index] for index in same], section))
        kept = (
            fact
            for index, fact in enumerate(base.facts)
            if index not in taken and (fact.kind not in concepts.kinds or fact.end > MAX_CHARACTERS)
        )
        return tuple(sorted([*facts, *kept], key=lambda fact: fact.start))

    def _fact(self, text: str, item: Found, same: Sequence[NoteFact], section: str) -> NoteFact:
        meaning = item.meaning
        if not same:
            said = self._rules.assert_span(text, item.start, item.end)
            surface = text[item.start : item.end]
            return NoteFact(meaning.kind, meaning.code, surface, item.start, item.end, section, said)
        best = max(same, key=lambda fact: (fact.kind == meaning.kind, _shared(fact, item)))
        return replace(
            best,
            kind=meaning.kind,
            surface=text[item.start : item.end],
            start=item.start,
            end=item.end,
            section=section,
        )


def _is_read(fact: NoteFact) -> bool:
    """Whether the assertion model says how a fact is stated: numbers are left to the rules, as all about them is."""
    return fact.end <= MAX_CHARACTERS and fact.kind is not FactKind.MEASUREMENT


def _overlapping(facts: Sequence[NoteFact], at: int, item: Found) -> list[int]:
    """Give the indices of the facts from ``at`` on that share a character with ``item``."""
    found = []
    while at < len(facts) and facts[at].start < item.end:
        found.append(at)
        at += 1
    return found


def _shared(fact: NoteFact, item: Found) -> int:
    return min(fact.end, item.end) - max(fact.start, item.start)


def _queries(text: str, facts: Sequence[NoteFact]) -> list[Query]:
    sentences = Sentences(text)
    return [Query(sentences, fact.start, fact.end, fact.assertion) for fact in facts]


class SequenceSections:
    """Section kinds by a sequence classifier; of a long section the first window decides."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def section_kinds(self, texts: Sequence[str]) -> list[SectionKind]:
        """Give the most probable kind of each text, in order."""
        windows = [self._part.windows(text[: 8 * self._part.limit])[0] for text in texts]
        chances = [softmax(row) for row in self._part.logits(windows)]
        best = [int(np.argmax(row)) for row in chances]
        return [SectionKind(self._part.labels[at], float(row[at])) for at, row in zip(best, chances, strict=True)]


def load(folder: Path, rules: NoteEngine) -> TransformerEngine:
    """Load the engine of a folder.

    Raises
    ------
    WeightsError
        If the folder is missing, incomplete, of another kind, or would run code.
    """
    about = describe(folder)
    concepts = assertion = sections = None
    if about.concepts is not None:
        concepts = ConceptModel(load_part(about.concepts, TOKENS), about.meanings)
    if about.assertion is not None:
        part = load_part(about.assertion, SEQUENCES)
        known_labels(part.labels, about.properties, "assertion")
        assertion = AssertionModel(part, about.properties, about.marking, about.threshold)
    if about.sections is not None:
        sections = SequenceSections(load_part(about.sections, SEQUENCES))
    return TransformerEngine(about, rules, concepts, assertion, sections)
