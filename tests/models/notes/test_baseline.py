"""Linear classifiers, their files, the naive-Bayes engine, and the section kinds that ship."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from models.contracts import WeightsError
from models.notes import baseline, sectionkind
from models.notes.baseline_linear import (
    MAX_WORDS,
    NGRAM_BUCKETS,
    LinearText,
    ngram_counts,
    read,
    save,
    softmax,
    word_counts,
)
from models.notes.engine import default_engine


def of_words(
    kinds: tuple[str, ...] = ("affirmed", "negated"), vocabulary: tuple[str, ...] = ("no", "has")
) -> LinearText:
    """Give a classifier that knows two words."""
    weights = np.array([[-1.0, 1.0], [1.0, -1.0]], dtype=np.float32)
    return LinearText(kinds, weights, np.zeros(2, np.float32), "words", vocabulary)


def test_a_classifier_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    written = replace(of_words(), temperature=0.25)

    save(written, path)
    found = read(path)

    assert (found.kinds, found.vocabulary, found.temperature) == (written.kinds, written.vocabulary, 0.25)
    assert found.scores("no no").tolist() == [-2.0, 2.0]
    assert found.probabilities("no").tolist() == pytest.approx(softmax(np.array([-4.0, 4.0])).tolist())


def test_weights_may_lie_in_memory_in_any_order(tmp_path: Path) -> None:
    weights = np.arange(4, dtype=np.float32).reshape(2, 2).T

    save(replace(of_words(), weights=weights), tmp_path / "c.safetensors")

    assert not weights.flags.c_contiguous
    assert read(tmp_path / "c.safetensors").weights.tolist() == weights.tolist()


def test_words_that_are_not_known_do_not_count() -> None:
    assert word_counts("No, no! fever", {"no": 0}) == {0: 2.0}
    assert of_words().scores("？！").tolist() == [0.0, 0.0]


def test_words_and_characters_each_have_length_one() -> None:
    counts = ngram_counts("denies fever", {})

    assert all(0 <= bucket < NGRAM_BUCKETS for bucket in counts)
    assert sum(value * value for value in counts.values()) == pytest.approx(2.0, abs=0.4)  # buckets may be shared


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_has_counts(text: str) -> None:
    assert all(value > 0 for value in ngram_counts(text, {}).values())


def test_only_the_beginning_of_a_very_long_text_is_looked_at() -> None:
    start = "fever " * MAX_WORDS

    assert ngram_counts(start, {}) == ngram_counts(start + "surgery " * 1000, {})


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\xff" * 64, b"\x00" * 16])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)

    with pytest.raises(WeightsError, match="not a text classifier"):
        read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"scheme": "ngrams"},
        {"scheme": "pickle"},
        {"kinds": '["affirmed"]'},
        {"kinds": "[[1], [2]]"},
        {"kinds": "["},
        {"vocabulary": '["no"]'},
        {"temperature": "nan"},
        {"temperature": "0"},
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, str]) -> None:
    path = tmp_path / "c.safetensors"
    about = {
        "format": "overread-linear-1",
        "scheme": "words",
        "kinds": '["affirmed", "negated"]',
        "vocabulary": '["no", "has"]',
        "temperature": "1.0",
    }
    save_file({"weights": np.zeros((2, 2), np.float16), "bias": np.zeros(2, np.float32)}, path, about)
    assert read(path).kinds == ("affirmed", "negated")

    save_file({"weights": np.zeros((2, 2), np.float16), "bias": np.zeros(2, np.float32)}, path, about | change)

    with pytest.raises(WeightsError):
        read(path)


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    save(replace(of_words(), bias=np.array([np.nan, 0], np.float32)), tmp_path / "c.safetensors")

    with pytest.raises(WeightsError):
        read(tmp_path / "c.safetensors")


def test_naive_bayes_says_negation_and_the_rules_the_rest(tmp_path: Path) -> None:
    save(of_words(), tmp_path / baseline.NEGATION_FILE)
    engine = baseline.load(tmp_path, default_engine())

    [fact] = engine.analyze("Mother has no dementia. Fever.").facts[:1]
    said = engine.assert_span("Mother no dementia", 10, 18)

    assert engine.version.startswith(f"{baseline.VERSION} (negation), else {default_engine().name}")
    assert fact.assertion.experiencer == "family"
    assert not fact.assertion.negated  # "has" and "no" weigh the same
    assert said.negated
    assert said.experiencer == "family"


def test_naive_bayes_needs_one_of_its_files(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"neither negation\.safetensors nor"):
        baseline.load(tmp_path, default_engine())

    save(of_words(kinds=("yes", "no")), tmp_path / baseline.NEGATION_FILE)

    with pytest.raises(WeightsError, match="does not tell"):
        baseline.load(tmp_path, default_engine())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Allergic to penicillin, which causes a rash.", "ALLERGY"),
        ("Father died of a heart attack. Mother is alive and well. He does not smoke or drink.", "FAM/SOCHX"),
        ("Lisinopril 10 mg once a day, metformin 500 mg twice daily, aspirin 81 mg.", "MEDICATIONS"),
        ("Appendectomy and tonsillectomy in childhood.", "PASTSURGICAL"),
    ],
)
def test_the_shipped_classifier_knows_plain_sections(text: str, kind: str) -> None:
    [found] = sectionkind.default_classifier().section_kinds([text])

    assert found.kind == kind
    assert 0.2 < found.probability <= 1


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no folder"):
        sectionkind.load(tmp_path / "nowhere")
