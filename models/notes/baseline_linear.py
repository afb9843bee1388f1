"""Linear text classifiers in one safetensors file: what naive Bayes and the section-kind model are at run time.

Both score a text by ``weights @ counts + bias``: a naive Bayes with the logarithms of its probabilities, a support
vector machine with its normal vectors. Training needs scikit-learn (:mod:`models.training.notes_linear`); this needs
numpy alone.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from models.contracts import WeightsError

FORMAT = "overread-linear-1"
MAX_BYTES = 64 << 20  # of a file of weights; the project's own have below 3 MB
MAX_WORDS = 600  # words of a text that are looked at: a section longer than this has shown what it is
NGRAM_BUCKETS = 1 << 15
_LONGEST_NGRAM = 5
_ARRAYS = ("weights", "bias")

Counts = Mapping[int, float]  # value by feature index


@dataclass(frozen=True, eq=False)
class LinearText:
    """A linear classifier of texts.

    Parameters
    ----------
    kinds
        Names of the classes, in the order of the rows of ``weights``.
    weights
        ``[kinds, features]`` float32.
    bias
        ``[kinds]`` float32.
    scheme
        How a text becomes counts, a key of :data:`SCHEMES`.
    vocabulary
        Words by index where the scheme needs them; empty where features are hashed.
    temperature
        Scores are divided by it before the softmax, fitted so that probabilities are calibrated on held-out texts.
    """

    kinds: tuple[str, ...]
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    scheme: str
    vocabulary: tuple[str, ...] = ()
    temperature: float = 1.0
    _index: Mapping[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {word: at for at, word in enumerate(self.vocabulary)})

    def scores(self, text: str) -> npt.NDArray[np.float32]:
        """Give the score of each kind, ``[kinds]``."""
        counts = SCHEMES[self.scheme](text, self._index)
        if not counts:
            return self.bias
        columns = np.fromiter(counts.keys(), np.intp, len(counts))
        values = np.fromiter(counts.values(), np.float32, len(counts))
        return np.asarray(self.weights[:, columns] @ values + self.bias, dtype=np.float32)

    def probabilities(self, text: str) -> npt.NDArray[np.float64]:
        """Give the probability of each kind, ``[kinds]``, summing to one."""
        return softmax(self.scores(text) / self.temperature)


def softmax(scores: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Turn scores into probabilities along the last axis."""
    shifted = np.exp(np.asarray(scores, np.float64) - np.max(scores, axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


@cache
def _words() -> re.Pattern[str]:
    return re.compile(r"\d|[^\W\d_]+|[^\w\s]")


def words_of(text: str) -> list[str]:
    """Give the first :data:`MAX_WORDS` words, digits and punctuation marks of a text in lower case."""
    found: list[str] = []
    for match in _words().finditer(text):
        if len(found) == MAX_WORDS:
            break
        found.append(match.group()[:40].lower())
    return found


def plain_words(text: str) -> list[str]:
    """Give the words and digits without punctuation marks."""
    return [word for word in words_of(text) if word.isalnum()]


def word_counts(text: str, index: Mapping[str, int]) -> Counts:
    """Count the words of the vocabulary; others are passed over (McCallum & Nigam, AAAI-98 workshop, 41-48)."""
    counted = Counter(plain_words(text))
    return {index[word]: float(number) for word, number in counted.items() if word in index}


def ngram_counts(text: str, index: Mapping[str, int]) -> Counts:
    """Count hashed words, pairs of words, length, and runs of two to five characters within words.

    Counts are ``1 + log n``; words and characters are each scaled to length one. The hash is CRC-32, the same
    everywhere; hashing keeps the words of the training texts out of the file (Weinberger et al., ICML 2009, 1113-1120).
    """
    words = words_of(text)
    pairs = zip(["^", *words], [*words, "$"], strict=True)
    length = f"n {int(2 * math.log2(len(words) + 1))}"
    whole = [*(f"w {word}" for word in words), *(f"b {one} {two}" for one, two in pairs), length]
    total: dict[int, float] = {}
    for block in (whole, [f"c {run}" for word in words for run in _runs(f" {word} ")]):
        for bucket, value in _unit(block).items():
            total[bucket] = total.get(bucket, 0.0) + value
    return total


def _runs(word: str) -> list[str]:
    longest = min(_LONGEST_NGRAM, len(word))
    return [word[at : at + size] for size in range(2, longest + 1) for at in range(len(word) - size + 1)]


def _unit(features: Sequence[str]) -> dict[int, float]:
    counted = Counter(zlib.crc32(feature.encode("utf-8", "replace")) % NGRAM_BUCKETS for feature in features)
    damped = {bucket: 1 + math.log(number) for bucket, number in counted.items()}
    norm = math.sqrt(sum(value * value for value in damped.values())) or 1.0
    return {bucket: value / norm for bucket, value in damped.items()}


SCHEMES: Mapping[str, Callable[[str, Mapping[str, int]], Counts]] = MappingProxyType(
    {"words": word_counts, "ngrams": ngram_counts}
)


def save(model: LinearText, path: Path) -> None:
    """Write a classifier; weights in half precision (eleven significant bits)."""
    about = {
        "format": FORMAT,
        "scheme": model.scheme,
        "kinds": json.dumps(model.kinds),
        "vocabulary": json.dumps(model.vocabulary),
        "temperature": repr(model.temperature),
    }
    weights = np.ascontiguousarray(model.weights, np.float16)  # safetensors writes memory as it lies
    save_file({"weights": weights, "bias": np.ascontiguousarray(model.bias, np.float32)}, path, about)


def read(path: Path) -> LinearText:
    """Read a classifier that :func:`save` wrote.

    Raises
    ------
    WeightsError
        If the file is missing, too large, or not such a classifier.
    """
    if not path.is_file():
        raise WeightsError(f"no weights at {path}: train them with `overread notes train`")
    if path.stat().st_size > MAX_BYTES:
        raise WeightsError(f"{path.name} is larger than {MAX_BYTES >> 20} MB")
    try:
        with safe_open(path, "numpy") as file:
            about = file.metadata() or {}
            arrays = {name: np.asarray(file.get_tensor(name), np.float32) for name in _ARRAYS}
        return _checked(about, arrays, path.name)
    except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path.name} is not a text classifier of this project") from error


def _checked(about: Mapping[str, str], arrays: Mapping[str, npt.NDArray[np.float32]], name: str) -> LinearText:
    kinds, vocabulary = tuple(json.loads(about["kinds"])), tuple(json.loads(about["vocabulary"]))
    features = NGRAM_BUCKETS if about["scheme"] == "ngrams" else len(vocabulary)
    temperature = float(about["temperature"])
    fits = arrays["weights"].shape == (len(kinds), features) and arrays["bias"].shape == (len(kinds),)
    sound = all(isinstance(item, str) for item in (*kinds, *vocabulary)) and bool(kinds) and 0 < temperature < math.inf
    finite = all(bool(np.isfinite(array).all()) for array in arrays.values())
    if about["format"] != FORMAT or about["scheme"] not in SCHEMES or not (fits and sound and finite):
        raise WeightsError(f"{name} is not a text classifier of this project, or its parts do not fit each other")
    return LinearText(kinds, arrays["weights"], arrays["bias"], about["scheme"], vocabulary, temperature)
