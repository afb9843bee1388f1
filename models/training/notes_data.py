"""The corpora that note engines are trained and measured on, and how they are divided.

Marked sentences: the NegEx and ConText test kits (Chapman et al., J Biomed Inform 2001;34:301-310; Harkema et al., J
Biomed Inform 2009;42:839-851). Sections: MTS-Dialog (Ben Abacha et al., EACL 2023), the note's text, not the dialogue.
"""

from __future__ import annotations

import csv
import hashlib
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from models.notes.evaluate import Example, read_negex
from models.training.framework.data import DataError

SENTENCES = "text-negex"
SECTIONS = "text-mts-dialog"
NEGEX_FILES = "annotations_reports*.txt"
CONTEXT_FILES = "context_reports*.txt"
TRAINING_FILES = "MTS-Dialog-TrainingSet.csv"
VALIDATION_FILES = "MTS-Dialog-ValidationSet.csv"
_LONGEST_CELL = 1 << 20  # characters; the dialogues are below 20,000
FOLDS = 5


@dataclass(frozen=True, slots=True)
class LabelledSection:
    """The text of one section with its kind."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Fold:
    """Indices of the texts to train on and to test on."""

    train: tuple[int, ...]
    test: tuple[int, ...]


@cache
def _between_words() -> re.Pattern[str]:
    return re.compile(r"\W+")


def half(sentence: str) -> int:
    """Say to which half of the marked sentences one belongs, 1 or 2, by its CRC-32.

    Case, punctuation and white space do not count, so that both kits divide a sentence alike. The first half is for
    training and for reading errors, the second is only scored.
    """
    plain = _between_words().sub(" ", sentence.lower()).strip()
    return 1 + (zlib.crc32(plain.encode("utf-8", "replace")) & 1)


def marked_sentences(data: Path, pattern: str, wanted: int | None = None) -> list[Example]:
    """Read a kit of marked sentences.

    Parameters
    ----------
    data
        The folder with the files, or one above it that holds ``text-negex``.
    pattern
        :data:`NEGEX_FILES` or :data:`CONTEXT_FILES`.
    wanted
        The half, 1 or 2; None for all.

    Raises
    ------
    DataError
        If there is no such file, or no marked sentence in it.
    """
    lines = [
        line
        for path in _files(data, SENTENCES, pattern)
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    found = [item for item in read_negex(lines) if wanted is None or half(item.text) == wanted]
    if not found:
        raise DataError(f"no marked sentence in {pattern} of {data}")
    return found


def labelled_sections(data: Path) -> list[LabelledSection]:
    """Read the sections of MTS-Dialog, training and validation files; :class:`DataError` where they are missing."""
    paths = [path for name in (TRAINING_FILES, VALIDATION_FILES) for path in _files(data, SECTIONS, name)]
    found = [item for path in paths for item in _read_sections(path)]
    if not found:
        raise DataError(f"no section in the files of {data}")
    return found


def _read_sections(path: Path) -> Iterator[LabelledSection]:
    csv.field_size_limit(_LONGEST_CELL)
    with path.open(encoding="utf-8", newline="") as file:
        try:
            for row in csv.DictReader(file):
                yield LabelledSection(row["section_text"].strip(), row["section_header"].strip())
        except (KeyError, AttributeError, csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path.name} has no columns section_text and section_header, or is not CSV") from error


def _files(data: Path, folder: str, pattern: str) -> list[Path]:
    found = sorted([*data.glob(pattern), *(data / folder).glob(pattern)])
    if not found:
        raise DataError(f"no {pattern} in {data}, nor in {data / folder}")
    return found


def folds(items: Sequence[LabelledSection], seed: int, count: int = FOLDS) -> list[Fold]:
    """Divide sections for cross-validation: stratified by kind, the same text never on both sides.

    Texts that differ only in case and punctuation ("None." stands many times) stay together. Groups go, the largest
    first and then in the order of a seeded SHA-256, to the fold that has the fewest sections of their kind.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for at, item in enumerate(items):
        groups[_between_words().sub(" ", item.text.lower()).strip()].append(at)
    filled: list[Counter[str]] = [Counter() for _ in range(count)]
    tests: list[list[int]] = [[] for _ in range(count)]
    for _, members in sorted(groups.items(), key=lambda pair: (-len(pair[1]), _order(pair[0], seed))):
        kind = Counter(items[at].kind for at in members).most_common(1)[0][0]
        fold = min(range(count), key=lambda at: (filled[at][kind], len(tests[at]), at))
        tests[fold].extend(members)
        filled[fold].update(items[at].kind for at in members)
    return [Fold(tuple(sorted(set(range(len(items))) - set(test))), tuple(sorted(test))) for test in tests]


def _order(text: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{text}".encode("utf-8", "replace")).hexdigest()
