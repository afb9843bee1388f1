"""What kind of section a stretch of a note is, from its words alone: for notes whose headings are missing or unknown.

The default classifier is a linear support vector machine over hashed words and characters, trained on MTS-Dialog (Ben
Abacha et al., EACL 2023), whose 20 kinds it names. It is a hint beside the headings that :mod:`models.notes.sections`
knows, and never changes how a concept is asserted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import numpy as np

from models.contracts import WeightsError
from models.notes.baseline_linear import LinearText, read

WEIGHTS_FILE = "sections.safetensors"
SHIPPED = "weights/section_kind"
VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class SectionKind:
    """A kind, such as ``GENHX`` or ``ROS``, and the probability that the classifier gives it."""

    kind: str
    probability: float


class SectionClassifier(Protocol):
    """What tells kinds of sections; deterministic, and raises nothing on any Unicode text."""

    def section_kinds(self, texts: Sequence[str]) -> list[SectionKind]:
        """Give the most probable kind of each text, in order."""
        ...


class LinearSections:
    """Section kinds by a linear classifier."""

    def __init__(self, model: LinearText) -> None:
        self._model = model

    def section_kinds(self, texts: Sequence[str]) -> list[SectionKind]:
        """Give the most probable kind of each text, in order."""
        return [self._kind(text) for text in texts]

    def _kind(self, text: str) -> SectionKind:
        chances = self._model.probabilities(text)
        best = int(np.argmax(chances))
        return SectionKind(self._model.kinds[best], float(chances[best]))


def shipped_folder() -> Path:
    """Give the folder of the weights that the project ships."""
    return Path(str(files("models"))) / SHIPPED


@cache
def default_classifier() -> LinearSections:
    """Give the shipped classifier, read once.

    Raises
    ------
    WeightsError
        If the weights are not there or damaged.
    """
    return load(shipped_folder())


def load(folder: Path) -> LinearSections:
    """Read the classifier of a folder that `overread notes train` wrote."""
    if not folder.is_dir():
        raise WeightsError(f"no folder {folder}")
    return LinearSections(read(folder / WEIGHTS_FILE))
