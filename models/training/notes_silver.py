"""Training examples of the transformer's parts: marked sentences of people (gold) and what the rules say (silver).

Silver labels teach a model to imitate the rules; scores against them are agreement, not truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Encoding, Tokenizer

from models.facts import Assertion, Experiencer, FactKind, NoteFact
from models.notes.engine import NoteEngine
from models.notes.engines_sentences import Sentences
from models.notes.evaluate import Example
from models.notes.transformer_assertion import marked
from models.notes.transformer_folder import PROPERTIES, Marking
from models.training.notes_transformer import IGNORED, MASK

MARKING = Marking(mask=MASK)
KINDS = (FactKind.PROBLEM, FactKind.SYMPTOM, FactKind.PROCEDURE, FactKind.MEDICATION, FactKind.RISK_FACTOR)
CONCEPT_LABELS = ("O", *(f"{prefix}-{kind.value}" for kind in KINDS for prefix in "BI"))
_UNKNOWN = float("nan")


@dataclass(frozen=True, slots=True)
class Stated:
    """A sentence with its concept masked, and its properties in the order of ``PROPERTIES``; NaN where nobody said."""

    text: str
    properties: tuple[float, ...]


def gold(examples: Iterable[Example]) -> list[Stated]:
    """Make examples of marked sentences, each concept once though both kits hold it."""
    merged: dict[tuple[str, int, int], Example] = {}
    for item in examples:
        key = (item.text, item.start, item.end)
        if key not in merged or merged[key].historical is None:
            merged[key] = item
    return [_stated(Sentences(item.text), item.start, item.end, _said(item)) for item in merged.values()]


def _said(item: Example) -> tuple[float, ...]:
    """Give what people said; that it is not the patient's leaves open whose it is."""
    historical = _UNKNOWN if item.historical is None else float(item.historical)
    patient = 0.0 if item.other_experiencer is False else _UNKNOWN
    known = {"negated": float(item.negated), "historical": historical, "family": patient, "other": patient}
    return tuple(known.get(name, _UNKNOWN) for name in PROPERTIES)


def silver(texts: Iterable[str], rules: NoteEngine) -> list[Stated]:
    """Make examples of what the rules say of the concepts they find."""
    found = []
    for text in texts:
        sentences = Sentences(text)
        facts = [fact for fact in rules.analyze(text).facts if fact.kind in KINDS]
        found += [_stated(sentences, fact.start, fact.end, _properties(fact.assertion)) for fact in facts]
    return found


def _properties(said: Assertion) -> tuple[float, ...]:
    family, other = said.experiencer is Experiencer.FAMILY, said.experiencer is Experiencer.OTHER
    values = (said.negated, said.historical, said.hypothetical, said.uncertain, family, other)
    return tuple(float(value) for value in values)


def _stated(sentences: Sentences, start: int, end: int, said: tuple[float, ...]) -> Stated:
    return Stated(marked(sentences, start, end, MARKING)[0], said)


def stated_properties(items: Sequence[Stated]) -> tuple[str, ...]:
    """Give the properties of which any example says something."""
    columns = zip(*(item.properties for item in items), strict=True)
    stated = [any(value == value for value in column) for column in columns]  # NaN is not itself
    return tuple(name for name, known in zip(PROPERTIES, stated, strict=True) if known)


def property_targets(items: Sequence[Stated], wanted: Sequence[str] = PROPERTIES) -> list[torch.Tensor]:
    """Give the targets of the assertion head, ``[wanted]`` float each."""
    columns = [PROPERTIES.index(name) for name in wanted]
    return [torch.tensor([item.properties[column] for column in columns]) for item in items]


def concept_examples(
    texts: Iterable[str], rules: NoteEngine, tokenizer: Tokenizer
) -> tuple[list[Encoding], list[torch.Tensor]]:
    """Encode texts, and label the first token of each word by the concepts that the rules find in it."""
    encodings, targets = [], []
    for text in texts:
        facts = [fact for fact in rules.analyze(text).facts if fact.kind in KINDS]
        encoding = tokenizer.encode(text)
        encodings.append(encoding)
        targets.append(torch.tensor(concept_labels(encoding, facts)))
    return encodings, targets


def concept_labels(encoding: Encoding, facts: Sequence[NoteFact]) -> list[int]:
    """Give the index in :data:`CONCEPT_LABELS` of each token; those that begin no word are ignored."""
    labels, last_word, at = [], None, 0
    for word, (start, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
        if word is None or word == last_word:
            labels.append(IGNORED)
            continue
        last_word = word
        while at < len(facts) and facts[at].end <= start:
            at += 1
        labels.append(_label(facts[at], start, end) if at < len(facts) else 0)
    return labels


def _label(fact: NoteFact, start: int, end: int) -> int:
    if end <= fact.start:
        return 0
    prefix = "B" if start <= fact.start else "I"
    return CONCEPT_LABELS.index(f"{prefix}-{fact.kind.value}")
