"""Training of the linear note classifiers with scikit-learn: the naive-Bayes baseline, the default section kinds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from models.notes.baseline import AFFIRMED, NEGATED, surroundings
from models.notes.baseline_linear import NGRAM_BUCKETS, LinearText, ngram_counts, plain_words, softmax, word_counts
from models.notes.engines_sentences import Sentences
from models.notes.evaluate import Example
from models.training.framework.data import DataError
from models.training.notes_data import LabelledSection, folds

SMOOTHING = 1.0
"""Added to every count of the naive Bayes: scikit-learn's default."""

SECTIONS_SMOOTHING = 0.1
"""The same for section kinds. scikit-learn's default of 1 gives rare section kinds no chance: macro-F1 of
0.19 instead of 0.38 in cross-validation, so that the baseline would be one of straw."""

MARGIN = 0.3
"""C of the support vector machine; 1 was tried and gives the same within the spread of the folds."""

_TEMPERATURES = tuple(float(value) for value in np.geomspace(0.05, 5.0, 60))


def fit_naive_bayes(texts: Sequence[str], kinds: Sequence[str], smoothing: float = SMOOTHING) -> LinearText:
    """Fit a multinomial naive Bayes on word counts (McCallum & Nigam, AAAI-98 workshop, 41-48)."""
    naive_bayes = _scikit("naive_bayes").MultinomialNB(alpha=smoothing)
    vocabulary = tuple(sorted({word for text in texts for word in plain_words(text)}))
    index = {word: at for at, word in enumerate(vocabulary)}
    if not index:
        raise DataError("the training texts hold no word")
    counts = _matrix([word_counts(text, index) for text in texts], len(index))
    naive_bayes.fit(counts, list(kinds))
    weights, bias = naive_bayes.feature_log_prob_, naive_bayes.class_log_prior_
    names = tuple(str(name) for name in naive_bayes.classes_)
    return LinearText(names, weights.astype(np.float32), bias.astype(np.float32), "words", vocabulary)


def fit_negation(examples: Sequence[Example]) -> LinearText:
    """Fit the naive Bayes that tells negated concepts from affirmed ones by the words around them."""
    texts = [surroundings(Sentences(item.text), item.start, item.end) for item in examples]
    return fit_naive_bayes(texts, [NEGATED if item.negated else AFFIRMED for item in examples])


def fit_section_baseline(items: Sequence[LabelledSection]) -> LinearText:
    """Fit the naive Bayes of section kinds."""
    return fit_naive_bayes([item.text for item in items], [item.kind for item in items], SECTIONS_SMOOTHING)


def fit_sections(texts: Sequence[str], kinds: Sequence[str], temperature: float = 1.0) -> LinearText:
    """Fit the linear support vector machine over hashed words and characters, kinds weighted to the same total."""
    machine = _scikit("svm").LinearSVC(C=MARGIN, class_weight="balanced", random_state=0)
    machine.fit(_matrix([ngram_counts(text, {}) for text in texts], NGRAM_BUCKETS), list(kinds))
    weights, bias = machine.coef_, machine.intercept_
    if len(machine.classes_) == 2:  # one normal vector tells two kinds apart
        weights, bias = np.vstack([-weights, weights]), np.concatenate([-bias, bias])
    names = tuple(str(name) for name in machine.classes_)
    return LinearText(names, weights.astype(np.float32), bias.astype(np.float32), "ngrams", (), temperature)


def calibrated_sections(items: Sequence[LabelledSection], seed: int) -> LinearText:
    """Fit section kinds on all ``items``, with the temperature that suits the scores of held-out folds best."""
    scores, truth = [], []
    for fold in folds(items, seed):
        model = fit_sections([items[at].text for at in fold.train], [items[at].kind for at in fold.train])
        known = [at for at in fold.test if items[at].kind in model.kinds]
        if len(model.kinds) == len({item.kind for item in items}):
            scores += [model.scores(items[at].text) for at in known]
            truth += [model.kinds.index(items[at].kind) for at in known]
    temperature = best_temperature(np.array(scores), truth) if truth else 1.0
    return fit_sections([item.text for item in items], [item.kind for item in items], temperature)


def best_temperature(scores: npt.NDArray[Any], truth: Sequence[int]) -> float:
    """Give the temperature with the least log loss (Guo et al., ICML 2017, 1321-1330).

    Parameters
    ----------
    scores
        ``[texts, kinds]``.
    truth
        Index of the right kind of each text.
    """
    rows = np.arange(len(truth))
    return min(
        _TEMPERATURES, key=lambda value: -float(np.log(softmax(scores / value)[rows, list(truth)] + 1e-12).sum())
    )


def _matrix(counts: Sequence[Any], width: int) -> Any:
    """Lay counts out as a sparse matrix, ``[texts, width]``."""
    values = [value for row in counts for value in row.values()]
    columns = [column for row in counts for column in row]
    ends = np.cumsum([0, *(len(row) for row in counts)])
    return import_module("scipy.sparse").csr_matrix((values, columns, ends), shape=(len(counts), width))


def _scikit(module: str) -> Any:
    try:
        return import_module(f"sklearn.{module}")
    except ImportError as error:
        raise DataError("training this needs scikit-learn: pip install 'overread[train]'") from error


def kind_counts(items: Sequence[LabelledSection]) -> dict[str, int]:
    """Count the sections of each kind, the most frequent first."""
    return dict(Counter(item.kind for item in items).most_common())
