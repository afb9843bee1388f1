"""Corpora, their division, and the training and measuring of note engines, on generated sentences."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.facts import FactKind
from models.notes import baseline, baseline_linear, engines, sectionkind
from models.notes.engine import default_engine
from models.notes.evaluate import Example
from models.notes.transformer_folder import PROPERTIES
from models.training import notes, notes_linear, notes_measure, notes_parts
from models.training.framework.data import DataError
from models.training.notes_data import (
    CONTEXT_FILES,
    NEGEX_FILES,
    LabelledSection,
    folds,
    half,
    labelled_sections,
    marked_sentences,
)
from models.training.notes_metrics import accuracy, f1_by_kind, macro_f1
from models.training.notes_silver import CONCEPT_LABELS, concept_labels, gold, silver
from models.training.notes_transformer import Shape, fit_tokenizer

PROBLEMS = ["pneumonia", "seizures", "fever", "dementia", "hypertension", "cough", "stroke", "emphysema", "nausea"]
PATTERNS = [("Denies {} today.", "Negated"), ("No {} was found.", "Negated"), ("He has {} now.", "Affirmed")]
KINDS = {"ROS": "No {} was found.", "MEDICATIONS": "Takes 5 mg of a drug for {}.", "FAM/SOCHX": "Mother had {}."}


def write_corpora(folder: Path) -> None:
    """Write both kits and the sections in the layout of the real ones."""
    sentences = [(problem, pattern.format(problem.upper()), said) for problem in PROBLEMS for pattern, said in PATTERNS]
    (folder / "text-negex").mkdir(parents=True)
    lines = [f"{at}\t{problem}\t{text}\t{said}" for at, (problem, text, said) in enumerate(sentences)]
    (folder / "text-negex" / "annotations_reports_1.txt").write_text("\n".join(["head", *lines]), "utf-8")
    lines = [
        f"{at}\t \t{problem}\t{text}\t{said}\tRecent\tPatient" for at, (problem, text, said) in enumerate(sentences)
    ]
    (folder / "text-negex" / "context_reports_1.txt").write_text("\n".join(lines), "utf-8")
    (folder / "text-mts-dialog").mkdir()
    for name, problems in (("Training", PROBLEMS[:6]), ("Validation", PROBLEMS[6:])):
        with (folder / "text-mts-dialog" / f"MTS-Dialog-{name}Set.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["ID", "section_header", "section_text", "dialogue"])
            for at, problem in enumerate(problems):
                writer.writerows([at, kind, pattern.format(problem), "-"] for kind, pattern in KINDS.items())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_corpora(tmp_path / "data")
    return tmp_path / "data"


def test_a_sentence_has_the_same_half_however_it_is_written() -> None:
    assert half("No  FEVER, today!") == half("no fever today")
    assert {half(f"sentence {number}") for number in range(20)} == {1, 2}


def test_corpora_are_found_in_the_folder_or_one_below(data: Path) -> None:
    everything = marked_sentences(data, NEGEX_FILES)

    assert len(everything) == len(PROBLEMS) * len(PATTERNS)
    assert everything == marked_sentences(data / "text-negex", NEGEX_FILES)
    parts = [marked_sentences(data, NEGEX_FILES, number) for number in (1, 2)]
    assert sorted(item.text for part in parts for item in part) == sorted(item.text for item in everything)
    assert len(labelled_sections(data)) == len(PROBLEMS) * len(KINDS)


def test_a_corpus_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"annotations_reports\*\.txt"):
        marked_sentences(tmp_path, NEGEX_FILES)
    (tmp_path / "MTS-Dialog-TrainingSet.csv").write_text("a,b\n1,2\n", "utf-8")
    (tmp_path / "MTS-Dialog-ValidationSet.csv").write_text("a,b\n1,2\n", "utf-8")
    with pytest.raises(DataError, match="section_header"):
        labelled_sections(tmp_path)


def test_folds_keep_kinds_balanced_and_equal_texts_together() -> None:
    items = [LabelledSection(f"text {at}", "common" if at % 3 else "rare") for at in range(30)]
    items += [LabelledSection("None.", "rare"), LabelledSection("none", "common")] * 3

    divided = folds(items, 0)

    assert sorted(at for fold in divided for at in fold.test) == list(range(len(items)))
    for fold in divided:
        assert set(fold.train) | set(fold.test) == set(range(len(items)))
        assert not {items[at].text for at in fold.train} & {items[at].text for at in fold.test}
        assert 1 <= sum(items[at].kind == "rare" for at in fold.test) <= 4
    assert divided == folds(items, 0) != folds(items, 1)


def test_scores_of_kinds_are_counted_right() -> None:
    truth, said = ["a", "a", "b", "c"], ["a", "b", "b", "a"]

    assert f1_by_kind(truth, said) == pytest.approx({"a": 0.5, "b": 2 / 3, "c": 0.0})
    assert macro_f1(truth, said) == pytest.approx((0.5 + 2 / 3) / 3)
    assert accuracy(truth, said) == pytest.approx(0.5)


def test_a_concept_of_both_kits_is_one_example_with_all_that_people_said() -> None:
    bare = Example("No fever.", 3, 8, True)
    full = Example("No fever.", 3, 8, True, True, False)

    [item] = gold([bare, full, bare])

    said = dict(zip(PROPERTIES, item.properties, strict=True))
    assert item.text == "No  [CONCEPT] ."
    assert (said["negated"], said["historical"], said["family"]) == (1.0, 1.0, 0.0)
    assert np.isnan([said["uncertain"], said["hypothetical"]]).all()


def test_silver_examples_say_what_the_rules_say() -> None:
    items = silver(["Mother had dementia. Possible pneumonia."], default_engine())

    said = [dict(zip(PROPERTIES, item.properties, strict=True)) for item in items]
    assert [(one["family"], one["uncertain"]) for one in said] == [(1.0, 0.0), (0.0, 1.0)]


def test_the_first_token_of_each_word_is_labelled() -> None:
    text = "He has chronic obstructive pulmonary disease now."
    facts = [fact for fact in default_engine().analyze(text).facts if fact.kind is FactKind.PROBLEM]
    encoding = fit_tokenizer([text], Shape(vocabulary=200, window=32)).encode(text)

    labels = [CONCEPT_LABELS[label] for label in concept_labels(encoding, facts) if label >= 0]

    assert [fact.surface for fact in facts] == ["chronic obstructive pulmonary disease"]
    assert labels == ["O", "O", "B-problem", *["I-problem"] * 3, "O", "O"]


def test_the_baseline_is_trained_loaded_and_measured(data: Path, tmp_path: Path) -> None:
    report = notes.train("naive-bayes", data, tmp_path / "out")

    engine = engines.load("naive-bayes", tmp_path / "out")
    assert engine.assert_span("Denies cough today.", 7, 12).negated
    assert not engine.assert_span("He has cough now.", 7, 12).negated
    assert report["assertion"][0]["f1"] == 1.0
    assert report["section_kinds"][0]["macro_f1"] == 1.0
    assert json.loads((tmp_path / "out" / notes.REPORT_FILE).read_text("utf-8")) == report


def test_section_kinds_are_trained_on_all_and_told_by_cross_validation(data: Path, tmp_path: Path) -> None:
    report = notes.train("sections", data, tmp_path / "out")

    [kind] = sectionkind.load(tmp_path / "out").section_kinds(["Mother had asthma."])
    assert kind.kind == "FAM/SOCHX"
    assert report["cross_validation"]["macro_f1"] == 1.0
    assert report["sections"] == dict.fromkeys(report["sections"], len(PROBLEMS))


def test_two_kinds_are_told_apart_though_one_vector_does_it() -> None:
    model = notes_linear.fit_sections(
        ["takes aspirin", "takes drugs", "mother had stroke", "father died"], list("mmff")
    )

    assert [model.kinds[int(np.argmax(model.scores(text)))] for text in ("takes", "mother")] == ["m", "f"]


def test_the_temperature_makes_sure_answers_less_sure_where_they_are_wrong() -> None:
    scores = np.array([[3.0, 0.0]] * 10)

    assert (
        notes_linear.best_temperature(scores, [0] * 10) < 1 < notes_linear.best_temperature(scores, [0] * 6 + [1] * 4)
    )


def test_an_engine_that_cannot_be_trained_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(notes.UnknownTraining, match="transformer, naive-bayes, sections"):
        notes.train("rules", data, tmp_path)


def test_engines_are_compared_on_the_same_parts(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "SPEED_NOTES", 1)

    report = notes.compare(data, seeds=2, transformer=False)

    assert [row["engine"] for row in report["engines"]] == ["rules", "naive-bayes"]
    assert {row["n"] for row in report["engines"]} == {len(marked_sentences(data, NEGEX_FILES, 2))}
    assert [row["classifier"] for row in report["section_kinds"]] == ["naive Bayes", "linear (default)"]
    assert all(len(row["macro_f1_divisions"]) == 2 for row in report["section_kinds"])
    assert {row["kind"]: row["n"] for row in report["by_kind"]} == dict.fromkeys(KINDS, len(PROBLEMS))


def test_training_the_baseline_leaves_the_second_half_and_the_first_fold_unseen(data: Path, tmp_path: Path) -> None:
    notes.train("naive-bayes", data, tmp_path / "out")

    words = set(baseline_linear.read(tmp_path / "out" / baseline.NEGATION_FILE).vocabulary)
    unseen = {word for item in marked_sentences(data, CONTEXT_FILES, 2) for word in item.text.lower().split()}
    seen = {word for item in marked_sentences(data, CONTEXT_FILES, 1) for word in item.text.lower().split()}
    assert words
    assert not words & {word.strip(".") for word in unseen - seen}


def test_notes_for_speed_are_two_thousand_characters() -> None:
    items = [LabelledSection("word " * 30, "CC")] * 40

    made = notes_measure.sample_notes(items, 2)

    assert [len(note) for note in made] == [2000, 2000]


@pytest.mark.data
def test_real_halves_are_those_of_the_documented_figures(real_data: Callable[[str], Path]) -> None:
    folder = real_data("text-negex")
    sizes = {
        (pattern, number): (len(found), sum(item.negated for item in found))
        for pattern in (NEGEX_FILES, CONTEXT_FILES)
        for number in (1, 2)
        for found in [marked_sentences(folder, pattern, number)]
    }

    assert sizes == {
        (NEGEX_FILES, 1): (584, 150),
        (NEGEX_FILES, 2): (606, 111),
        (CONTEXT_FILES, 1): (694, 173),
        (CONTEXT_FILES, 2): (737, 126),
    }


@pytest.mark.data
def test_the_linear_section_kinds_beat_naive_bayes_on_real_sections(real_data: Callable[[str], Path]) -> None:
    items = labelled_sections(real_data("text-mts-dialog"))

    simple, better = (notes_measure.cross_validate(items, fit, [0]) for fit in (notes._naive_bayes, notes._linear))

    assert len(better["by_kind"]) == 20
    assert better["macro_f1"] >= simple["macro_f1"] + 0.05


def test_the_same_seed_makes_the_same_model() -> None:
    items = [LabelledSection(pattern.format(problem), kind) for problem in PROBLEMS for kind, pattern in KINDS.items()]
    shape = Shape(vocabulary=200, layers=1, hidden=16, heads=2, window=16, epochs=2)

    first, second = (notes_parts.fit_section_kinds(items, seed=3, shape=shape) for _ in range(2))
    other = notes_parts.fit_section_kinds(items, seed=4, shape=shape)

    assert first.tokenizer.to_str() == second.tokenizer.to_str()
    weights = [model.network.state_dict()["classifier.weight"] for model in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
