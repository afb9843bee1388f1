"""The three parts of a transformer engine trained here, and the folder that they make.

Assertion learns from marked sentences (first half) and from the rules' word on MTS-Dialog, section kinds from
MTS-Dialog, concepts from the rules alone (silver), so that they can at best agree with the rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from models.notes.engine import NoteEngine
from models.notes.evaluate import Example
from models.notes.transformer_folder import DESCRIPTION
from models.notes.transformer_model import OVERLAP, Part
from models.training.notes_data import LabelledSection
from models.training.notes_silver import (
    CONCEPT_LABELS,
    KINDS,
    concept_examples,
    gold,
    property_targets,
    silver,
    stated_properties,
)
from models.training.notes_transformer import (
    MASK,
    Shape,
    Task,
    balanced,
    fit,
    fit_tokenizer,
    kind_loss,
    property_loss,
    save,
    token_loss,
)

VERSION = "1.0"
GOLD_WEIGHT = 2
"""How often a marked sentence stands among the examples for each silver one: people's word weighs more."""

ASSERTION = Shape(layers=2, epochs=8)
SECTIONS = Shape(layers=2, vocabulary=3000, window=64, epochs=12)
CONCEPTS = Shape(layers=2, epochs=8)


@dataclass(frozen=True)
class Fitted:
    """A trained network with its tokenizer."""

    network: Any
    tokenizer: Tokenizer
    labels: tuple[str, ...]
    shape: Shape

    def part(self) -> Part:
        """Give it as the engine uses it, without writing it."""
        self.tokenizer.enable_truncation(self.shape.window, stride=self.shape.window // OVERLAP)
        return Part(self.network, self.tokenizer, self.labels, self.shape.window, self.network.config.pad_token_id)

    def save(self, folder: Path) -> None:
        """Write it in Hugging Face's layout."""
        save(self.network, self.tokenizer, folder)


def fit_assertion(
    examples: Sequence[Example],
    texts: Sequence[str],
    rules: NoteEngine,
    *,
    seed: int,
    shape: Shape = ASSERTION,
    progress: bool = False,
) -> Fitted:
    """Train the assertion model on marked sentences and on the rules' word about the concepts of ``texts``.

    It learns the properties of which somebody said something; an engine leaves the others to the rules.
    """
    items = gold(examples) * GOLD_WEIGHT + silver(texts, rules)
    tokenizer = fit_tokenizer([item.text for item in items], shape)
    taught = stated_properties(items)
    task = Task("BertForSequenceClassification", taught, property_loss, "multi_label_classification")
    encoded = tokenizer.encode_batch([item.text for item in items])
    network = fit(
        tokenizer, encoded, property_targets(items, taught), task, shape, seed=seed, progress="assertion" * progress
    )
    return Fitted(network, tokenizer, taught, shape)


def fit_section_kinds(
    items: Sequence[LabelledSection], *, seed: int, shape: Shape = SECTIONS, progress: bool = False
) -> Fitted:
    """Train the model of section kinds; rare kinds weigh more, by the root of their rarity."""
    kinds = tuple(sorted({item.kind for item in items}))
    counts = Counter(item.kind for item in items)
    tokenizer = fit_tokenizer([item.text for item in items], shape)
    task = Task(
        "BertForSequenceClassification",
        kinds,
        kind_loss(balanced({kind: counts[kind] for kind in kinds})),
        "single_label_classification",
    )
    encoded = tokenizer.encode_batch([item.text for item in items])
    targets = [torch.tensor(kinds.index(item.kind)) for item in items]
    network = fit(tokenizer, encoded, targets, task, shape, seed=seed, progress="section kinds" * progress)
    return Fitted(network, tokenizer, kinds, shape)


def fit_concepts(
    texts: Sequence[str], rules: NoteEngine, *, seed: int, shape: Shape = CONCEPTS, progress: bool = False
) -> Fitted:
    """Train the concept model to find in ``texts`` what the rules find."""
    tokenizer = fit_tokenizer(texts, shape)
    encoded, targets = concept_examples(texts, rules, tokenizer)
    task = Task("BertForTokenClassification", CONCEPT_LABELS, token_loss)
    network = fit(tokenizer, encoded, targets, task, shape, seed=seed, progress="concepts" * progress)
    return Fitted(network, tokenizer, CONCEPT_LABELS, shape)


def write_engine(
    folder: Path,
    *,
    assertion: Fitted | None = None,
    sections: Fitted | None = None,
    concepts: Fitted | None = None,
    name: str = "small-bert",
) -> None:
    """Write the parts and the ``engine.toml`` that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["[engine]", f'name = "{name}"', f'version = "{VERSION}"']
    if concepts is not None:
        concepts.save(folder / "concepts")
        lines += ["", "[concepts]", 'folder = "concepts"', *_labels("concepts", [kind.value for kind in KINDS])]
    if assertion is not None:
        assertion.save(folder / "assertion")
        lines += ["", "[assertion]", 'folder = "assertion"', f'mask = "{MASK}"', "threshold = 0.5"]
        lines += _labels("assertion", assertion.labels)
    if sections is not None:
        sections.save(folder / "sections")
        lines += ["", "[sections]", 'folder = "sections"']
    (folder / DESCRIPTION).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _labels(part: str, names: Sequence[str]) -> list[str]:
    return ["", f"[{part}.labels]", *(f'{name} = "{name}"' for name in names)]
