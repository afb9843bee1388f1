"""Measuring assertion against marked sentences, as NegEx and ConText were measured.

Pure: examples in, a table out; reading the files of a corpus is in :func:`read_negex` alone.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from models.facts import Assertion, Experiencer
from models.notes import assert_span

Assert = Callable[[str, int, int], Assertion]


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence with a marked concept and what people say of it; None where they were not asked."""

    text: str
    start: int
    end: int
    negated: bool
    historical: bool | None = None
    other_experiencer: bool | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one property over many examples, the property being present as the positive class."""

    name: str
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def precision(self) -> float:
        """Share of what was found that is right; 1 where nothing was found."""
        found = self.true_positives + self.false_positives
        return self.true_positives / found if found else 1.0

    @property
    def recall(self) -> float:
        """Share of what is there that was found; 1 where nothing is there."""
        there = self.true_positives + self.false_negatives
        return self.true_positives / there if there else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        total = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / total if total else 1.0


@cache
def _words() -> re.Pattern[str]:
    return re.compile(r"\S+")


@cache
def _letters() -> re.Pattern[str]:
    return re.compile(r"\w+")


def locate(concept: str, sentence: str) -> tuple[int, int] | None:
    """Find the marked concept, which the corpora write in capitals, in its sentence; else in any case."""
    words = _words().findall(concept)
    if not words:
        return None
    for spelled, flags in ((concept.upper(), 0), (concept, re.IGNORECASE)):
        pattern = r"\s+".join(re.escape(word) for word in _words().findall(spelled))
        if match := re.search(pattern, sentence, flags):
            return match.span()
    return None


def read_negex(lines: Iterable[str]) -> list[Example]:
    """Read the NegEx or ConText test kit.

    Parameters
    ----------
    lines
        Tab-separated: number, concept, sentence, negation; or number, note, concept, sentence, negation, temporality,
        experiencer. A heading line and lines whose concept is not in its sentence are passed over.
    """
    examples = []
    for line in lines:
        cells = [cell.strip().strip('"') for cell in line.rstrip("\r\n").split("\t")]
        context = len(cells) >= 7
        concept, sentence, negation = cells[2:5] if context else (*cells[1:4], "", "", "")[:3]
        if negation not in {"Negated", "Affirmed"} or (span := locate(concept, sentence)) is None:
            continue
        historical, other = (cells[5] == "Historical", cells[6] != "Patient") if context else (None, None)
        examples.append(Example(sentence, *span, negation == "Negated", historical, other))
    return examples


def first_half(sentence: str) -> bool:
    """Whether a sentence belongs to the half that rules may be learnt from; the other half is only ever scored.

    The halves are the even and the odd CRC-32 of the sentence's words, so that a sentence that repeats with other
    punctuation or spacing is in one half only.
    """
    return zlib.crc32(" ".join(_letters().findall(sentence.lower())).encode("utf-8", "replace")) % 2 == 0


def evaluate(examples: Sequence[Example], assertion: Assert = assert_span) -> tuple[Score, ...]:
    """Score negation, history and experiencer of ``assertion`` on ``examples``."""
    negation, historical, experiencer = [], [], []
    for example in examples:
        said = assertion(example.text, example.start, example.end)
        negation.append((said.negated, example.negated))
        if example.historical is not None:
            historical.append((said.historical, example.historical))
        if example.other_experiencer is not None:
            experiencer.append((said.experiencer is not Experiencer.PATIENT, example.other_experiencer))
    return _score("negated", negation), _score("historical", historical), _score("not the patient", experiencer)


def _score(name: str, pairs: Sequence[tuple[bool, bool]]) -> Score:
    counts = {key: pairs.count(key) for key in ((True, True), (True, False), (False, True), (False, False))}
    return Score(name, counts[True, True], counts[True, False], counts[False, True], counts[False, False])


def table(scores: Iterable[Score]) -> str:
    """Lay the scores out as a Markdown table; a property without examples is left out."""
    lines = ["| property | n | positive | precision | recall | F1 |", "| --- | --- | --- | --- | --- | --- |"]
    for score in scores:
        positive = score.true_positives + score.false_negatives
        total = positive + score.false_positives + score.true_negatives
        if not total:
            continue
        figures = f"{score.precision:.3f} | {score.recall:.3f} | {score.f1:.3f}"
        lines.append(f"| {score.name} | {total} | {positive} | {figures} |")
    return "\n".join(lines)
