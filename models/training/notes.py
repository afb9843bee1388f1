"""Training, evaluation and comparison of note engines, for `overread notes`.

What is trained on: the first half of the marked sentences, and all but the first fold of the sections. What is measured
on: the second half, and the first fold; both are the same for every engine and seed.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from models.contracts import ModelError
from models.notes import baseline, baseline_linear, engines, sectionkind
from models.notes.engine import NoteEngine, default_engine
from models.notes.sectionkind import LinearSections, SectionClassifier
from models.training import notes_measure
from models.training.framework.data import DataError
from models.training.notes_data import (
    CONTEXT_FILES,
    FOLDS,
    NEGEX_FILES,
    LabelledSection,
    folds,
    labelled_sections,
    marked_sentences,
)

REPORT_FILE = "report.json"
FOLD_SEED = 0
"""Division of the sections whose first fold is held out of every training but that of the shipped section kinds."""

SPEED_NOTES = 100  # for engines without a neural network
SPEED_NOTES_TRANSFORMER = 10
TRANSFORMER_DIVISIONS = 1  # a fold of it takes half a minute, one of the others a second


class UnknownTraining(ModelError):
    """No engine of this name can be trained."""


def train(engine: str, data: Path, out: Path, *, seed: int = 0, progress: bool = False) -> dict[str, Any]:
    """Train an engine into a folder.

    Parameters
    ----------
    engine
        A key of :data:`TRAINERS`.
    data
        Folder that holds ``text-negex`` and ``text-mts-dialog``.
    out
        Made where missing; gets the weights and ``report.json``.

    Returns
    -------
    dict
        ``engine``, ``seed``, ``seconds`` and what :func:`evaluate` says of it.
    """
    if engine not in TRAINERS:
        raise UnknownTraining(f"no engine {engine!r} can be trained; these can: {', '.join(TRAINERS)}")
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    extra = TRAINERS[engine](data, out, seed, progress)
    report: dict[str, Any] = {"trained": engine, "seed": seed, "seconds": round(time.monotonic() - began, 1), **extra}
    if engine in engines.ENGINES:
        report |= evaluate(engines.ENGINES[engine](out), data, progress=progress)
    (out / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def _train_naive_bayes(data: Path, out: Path, seed: int, progress: bool) -> dict[str, Any]:
    from models.training import notes_linear

    sections = _training_sections(data)
    baseline_linear.save(notes_linear.fit_negation(_training_sentences(data)), out / baseline.NEGATION_FILE)
    baseline_linear.save(notes_linear.fit_section_baseline(sections), out / sectionkind.WEIGHTS_FILE)
    return {}


def _train_sections(data: Path, out: Path, seed: int, progress: bool) -> dict[str, Any]:
    """Train the linear section kinds on all sections, as they are shipped; cross-validation tells what they reach."""
    from models.training import notes_linear

    items = labelled_sections(data)
    model = notes_linear.calibrated_sections(items, seed)
    baseline_linear.save(model, out / sectionkind.WEIGHTS_FILE)
    measured = notes_measure.cross_validate(items, _linear, [seed])
    kept = ("macro_f1", "macro_f1_fold_sd", "accuracy", "by_kind")
    return {
        "version": sectionkind.VERSION,
        "temperature": model.temperature,
        "sections": notes_linear.kind_counts(items),
        "cross_validation": {key: measured[key] for key in kept},
    }


def _train_transformer(data: Path, out: Path, seed: int, progress: bool) -> dict[str, Any]:
    from models.training import notes_parts

    rules, sections = default_engine(), _training_sections(data)
    texts = [item.text for item in sections]
    assertion = notes_parts.fit_assertion(_training_sentences(data), texts, rules, seed=seed, progress=progress)
    kinds = notes_parts.fit_section_kinds(sections, seed=seed, progress=progress)
    concepts = notes_parts.fit_concepts(texts, rules, seed=seed, progress=progress)
    notes_parts.write_engine(out, assertion=assertion, sections=kinds, concepts=concepts)
    return {}


TRAINERS: Mapping[str, Callable[[Path, Path, int, bool], dict[str, Any]]] = MappingProxyType(
    {"transformer": _train_transformer, "naive-bayes": _train_naive_bayes, "sections": _train_sections}
)


def evaluate(engine: NoteEngine, data: Path, *, progress: bool = False) -> dict[str, Any]:
    """Measure an engine on what no engine is trained on.

    Returns
    -------
    dict
        ``engine``, ``version``, ``assertion`` (a line for each kit and property), ``section_kinds`` (a line) where the
        engine has section kinds of its own, and ``concepts_against_rules`` where it has concepts of its own.
    """
    report: dict[str, Any] = {"engine": engine.name, "version": engine.version, "assertion": _assertion(engine, data)}
    if hasattr(engine, "section_kinds"):
        report["section_kinds"] = [notes_measure.section_row(cast(SectionClassifier, engine), _held_out_sections(data))]
    if engine.name == "transformer":
        from models.training.notes_silver import KINDS

        texts = [item.text for item in _held_out_sections(data)]
        report["concepts_against_rules"] = [notes_measure.agreement_row(engine, default_engine(), texts, KINDS)]
    return report


def _assertion(engine: NoteEngine, data: Path) -> list[dict[str, Any]]:
    rows = []
    for kit, pattern in (("NegEx", NEGEX_FILES), ("ConText", CONTEXT_FILES)):
        for score in notes_measure.assertion_scores(engine, marked_sentences(data, pattern, 2)):
            row = notes_measure.score_row(score)
            rows += [{"kit": kit, "half": 2, **row}] if row["n"] else []
    return rows


def compare(data: Path, *, seeds: int = 3, transformer: bool = True, progress: bool = False) -> dict[str, Any]:
    """Train every engine on the same parts and measure it on the same parts.

    Returns
    -------
    dict
        ``engines``: a line for each with F1 of negation (NegEx, second half) and notes of 2 kB a second;
        ``section_kinds``: a line for each classifier, cross-validated; ``by_kind``: F1 of each kind; ``threads``.
    """
    import torch

    items = labelled_sections(data)
    report: dict[str, Any] = {"threads": torch.get_num_threads(), "divisions": seeds, "folds": FOLDS}
    with tempfile.TemporaryDirectory() as folder, _steps(seeds, transformer, progress) as told:
        report["engines"] = _compare_engines(data, Path(folder), items, transformer, told)
        fits = {"naive Bayes": (_naive_bayes, seeds), "linear (default)": (_linear, seeds)}
        if transformer:
            fits["transformer"] = (_bert, TRANSFORMER_DIVISIONS)
        measured = {
            name: notes_measure.cross_validate(items, fit, range(count), told) for name, (fit, count) in fits.items()
        }
    report["section_kinds"] = [
        {"classifier": name, **{key: value for key, value in row.items() if key != "by_kind"}}
        for name, row in measured.items()
    ]
    counts = {kind: sum(item.kind == kind for item in items) for kind in sorted({item.kind for item in items})}
    report["by_kind"] = [
        {"kind": kind, "n": counts[kind], **{name: round(row["by_kind"][kind], 3) for name, row in measured.items()}}
        for kind in sorted(counts, key=lambda kind: -counts[kind])
    ]
    return report


def _compare_engines(
    data: Path, folder: Path, items: Sequence[LabelledSection], transformer: bool, told: Callable[[], None]
) -> list[dict[str, Any]]:
    rows = []
    for name in ("rules", "naive-bayes", *(["transformer"] if transformer else [])):
        if name in TRAINERS:
            (folder / name).mkdir()
            TRAINERS[name](data, folder / name, 0, False)
        engine = engines.ENGINES[name](folder / name if name in TRAINERS else None)
        negation, *_ = notes_measure.assertion_scores(engine, marked_sentences(data, NEGEX_FILES, 2))
        count = SPEED_NOTES_TRANSFORMER if name == "transformer" else SPEED_NOTES
        speed = notes_measure.notes_per_second(engine, notes_measure.sample_notes(items, count))
        rows.append({"engine": name, "version": engine.version, **notes_measure.score_row(negation)})
        rows[-1]["notes_per_second"] = round(speed, 1)
        told()
    return rows


def _naive_bayes(items: Sequence[LabelledSection]) -> SectionClassifier:
    from models.training import notes_linear

    return LinearSections(notes_linear.fit_section_baseline(items))


def _linear(items: Sequence[LabelledSection]) -> SectionClassifier:
    from models.training import notes_linear

    return LinearSections(notes_linear.fit_sections([item.text for item in items], [item.kind for item in items]))


def _bert(items: Sequence[LabelledSection]) -> SectionClassifier:
    from models.notes.transformer import SequenceSections
    from models.training import notes_parts

    return SequenceSections(notes_parts.fit_section_kinds(items, seed=0).part())


def _training_sentences(data: Path) -> list[Any]:
    return [item for pattern in (NEGEX_FILES, CONTEXT_FILES) for item in marked_sentences(data, pattern, 1)]


def _training_sections(data: Path) -> list[LabelledSection]:
    items = labelled_sections(data)
    return [items[at] for at in folds(items, FOLD_SEED)[0].train]


def _held_out_sections(data: Path) -> list[LabelledSection]:
    items = labelled_sections(data)
    held_out = [items[at] for at in folds(items, FOLD_SEED)[0].test]
    if not held_out:
        raise DataError("too few sections to hold a fold out")
    return held_out


@contextmanager
def _steps(seeds: int, transformer: bool, shown: bool) -> Iterator[Callable[[], None]]:
    """Show a bar on stderr; gives the function that moves it by a step."""
    from rich.console import Console
    from rich.progress import Progress

    steps = 2 + 2 * seeds * FOLDS + (1 + TRANSFORMER_DIVISIONS * FOLDS if transformer else 0)
    with Progress(console=Console(stderr=True), disable=not shown, transient=True) as bar:
        task = bar.add_task("comparing", total=steps)
        yield lambda: bar.advance(task)
