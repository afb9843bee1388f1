"""Measuring note engines: assertion on marked sentences, section kinds in cross-validation, notes a second."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from models.facts import FactKind
from models.notes.engine import NoteEngine
from models.notes.engines import assert_spans
from models.notes.evaluate import Example, Score, evaluate
from models.notes.sectionkind import SectionClassifier
from models.training.notes_data import LabelledSection, folds
from models.training.notes_metrics import accuracy, f1_by_kind, macro_f1

NOTE_CHARACTERS = 2000
"""Length of the notes that speed is measured with: 2 kB of English."""

REPETITIONS = 5  # of which the median counts

Fit = Callable[[Sequence[LabelledSection]], SectionClassifier]


def assertion_scores(engine: NoteEngine, examples: Sequence[Example]) -> tuple[Score, ...]:
    """Score negation, history and experiencer of an engine, all sentences at once where it can."""
    said = iter(assert_spans(engine, [(item.text, item.start, item.end) for item in examples]))
    return evaluate(examples, lambda text, start, end: next(said))


def score_row(score: Score) -> dict[str, Any]:
    """Give a score as a line of a table."""
    positive = score.true_positives + score.false_negatives
    total = positive + score.false_positives + score.true_negatives
    figures = {name: round(getattr(score, name), 4) for name in ("precision", "recall", "f1")}
    return {"property": score.name, "n": total, "positive": positive, **figures}


def section_row(classifier: SectionClassifier, items: Sequence[LabelledSection]) -> dict[str, Any]:
    """Score section kinds on sections that the classifier has not seen."""
    said = [kind.kind for kind in classifier.section_kinds([item.text for item in items])]
    truth = [item.kind for item in items]
    return {"n": len(items), "macro_f1": round(macro_f1(truth, said), 4), "accuracy": round(accuracy(truth, said), 4)}


def cross_validate(
    items: Sequence[LabelledSection], fit: Fit, seeds: Iterable[int], told: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Cross-validate a classifier of section kinds over several divisions into folds.

    Parameters
    ----------
    fit
        Trains on sections and gives the classifier.
    seeds
        One division each; see :func:`models.training.notes_data.folds`.
    told
        Called after every fold.

    Returns
    -------
    dict
        ``macro_f1``: mean over the divisions of the macro-F1 of all held-out answers of a division together;
        ``macro_f1_divisions``; ``macro_f1_fold_sd``: standard deviation over folds (each of the kinds that it holds);
        ``accuracy``; ``by_kind``: mean F1 of each kind; ``seconds_training`` a fold and
        ``sections_per_second``, in seconds of the processor.
    """
    truth = [item.kind for item in items]
    whole, single, right, kinds, training, reading = [], [], [], [], [], []
    for seed in seeds:
        said = [""] * len(items)
        for fold in folds(items, seed):
            began = time.process_time()
            classifier = fit([items[at] for at in fold.train])
            middle = time.process_time()
            answers = classifier.section_kinds([items[at].text for at in fold.test])
            training.append(middle - began)
            reading.append((time.process_time() - middle) / len(fold.test))
            for at, answer in zip(fold.test, answers, strict=True):
                said[at] = answer.kind
            single.append(macro_f1([truth[at] for at in fold.test], [said[at] for at in fold.test]))
            told()
        whole.append(macro_f1(truth, said))
        right.append(accuracy(truth, said))
        kinds.append(f1_by_kind(truth, said))
    return {
        "macro_f1": statistics.mean(whole),
        "macro_f1_divisions": [round(value, 4) for value in whole],
        "macro_f1_fold_sd": statistics.stdev(single),
        "accuracy": statistics.mean(right),
        "by_kind": {kind: statistics.mean(one[kind] for one in kinds) for kind in kinds[0]},
        "seconds_training": statistics.median(training),
        "sections_per_second": 1 / statistics.median(reading),
    }


def agreement_row(
    engine: NoteEngine, rules: NoteEngine, texts: Sequence[str], kinds: Sequence[FactKind]
) -> dict[str, Any]:
    """Compare an engine's concepts with those of the rules, by exact span and kind: agreement, not truth."""
    ours, theirs = (_concepts(one, texts, kinds) for one in (engine, rules))
    both = len(ours & theirs)
    scores = {
        "precision": both / max(1, len(ours)),
        "recall": both / max(1, len(theirs)),
        "f1": 2 * both / max(1, len(ours) + len(theirs)),
    }
    return {"n": len(theirs), **{name: round(value, 4) for name, value in scores.items()}}


def _concepts(engine: NoteEngine, texts: Sequence[str], kinds: Sequence[FactKind]) -> set[tuple[int, int, int, str]]:
    return {
        (at, fact.start, fact.end, fact.kind.value)
        for at, text in enumerate(texts)
        for fact in engine.analyze(text).facts
        if fact.kind in kinds
    }


def sample_notes(items: Sequence[LabelledSection], count: int) -> list[str]:
    """Join sections, as they come, to notes of about 2 kB."""
    notes: list[str] = []
    parts: list[str] = []
    for item in items:
        parts.append(item.text)
        if sum(len(part) + 1 for part in parts) >= NOTE_CHARACTERS:
            notes.append("\n".join(parts)[:NOTE_CHARACTERS])
            parts = []
        if len(notes) == count:
            break
    return notes


def notes_per_second(engine: NoteEngine, notes: Sequence[str]) -> float:
    """Give the median over :data:`REPETITIONS` passes, after one pass that is not counted; one note at a time.

    Seconds are those of the processor, all threads together: what one core does, whatever else the machine is doing.
    """
    rates = []
    for _ in range(REPETITIONS + 1):
        began = time.process_time()
        for note in notes:
            engine.analyze(note)
        rates.append(len(notes) / (time.process_time() - began))
    return statistics.median(rates[1:])
