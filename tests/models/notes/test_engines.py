"""Engines by name, and spans asserted line by line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contracts import WeightsError
from models.facts import Assertion, NoteAnalysis
from models.notes import engines
from models.notes.engine import default_engine
from models.notes.engines_sentences import Sentences
from models.notes.engines_service import MAX_BYTES, MAX_CHARACTERS, analysis, assert_lines


class Together:
    """An engine that asserts all spans at once, and all as negated."""

    name = "together"
    version = "1"
    calls = 0

    def analyze(self, text: str) -> NoteAnalysis:
        return default_engine().analyze(text)

    def assert_span(self, text: str, start: int, end: int) -> Assertion:
        raise AssertionError("one at a time")

    def assert_spans(self, places: list[engines.Place]) -> list[Assertion]:
        return [Assertion(negated=True) for _ in places]


def test_an_engine_is_loaded_once_by_its_name() -> None:
    assert engines.load() is engines.load("rules", None)
    assert engines.load().analyze("No fever.").facts[0].assertion.negated


@pytest.mark.parametrize(
    ("name", "folder", "says"),
    [
        ("spacy", None, "no engine is called 'spacy'"),
        ("rules", "folder", "takes no folder"),
        ("transformer", None, "from a folder"),
        ("naive-bayes", None, "from a folder"),
    ],
)
def test_an_engine_that_cannot_be_says_why(name: str, folder: str | None, says: str) -> None:
    with pytest.raises(engines.UnknownEngine, match=says):
        engines.load(name, Path(folder) if folder else None)


@pytest.mark.parametrize("name", ["transformer", "naive-bayes"])
def test_a_folder_that_is_not_there_is_an_error_of_the_models(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        engines.load(name, tmp_path / "nowhere")


def test_spans_are_asserted_at_once_where_the_engine_can() -> None:
    places = [("no fever", 3, 8), ("fever", 0, 5)]

    assert [said.negated for said in engines.assert_spans(default_engine(), places)] == [True, False]
    assert [said.negated for said in engines.assert_spans(Together(), places)] == [True, True]


def test_section_kinds_come_from_the_default_classifier_where_the_engine_has_none() -> None:
    [kind] = engines.section_kinds(default_engine(), ["Allergic to penicillin."])

    assert kind.kind == "ALLERGY"


def test_a_sentence_is_found_around_its_concept() -> None:
    text = "FAMILY HISTORY: Stroke. No fever today.\nNothing else."
    sentences = Sentences(text)
    first, second = (sentences.around(text.index(word), text.index(word) + 5) for word in ("Stroke", "fever"))

    assert text[first.start : first.end] == "Stroke."
    assert first.default.experiencer == "family"
    assert text[second.start : second.end] == "No fever today."
    outside = sentences.around(0, 6)
    assert outside.default == Assertion()


def test_an_analysis_says_what_kind_each_section_reads_like() -> None:
    found = analysis(default_engine(), "ALLERGIES: Penicillin causes a rash.\nPLAN: Return in two weeks.")

    assert found["sections"][0]["name"] == "allergies"
    assert found["sections"][0]["kind"] == "ALLERGY"
    assert json.loads(json.dumps(found))["engine"] == default_engine().name


def line(**item: object) -> bytes:
    return json.dumps(item).encode()


def test_lines_are_answered_in_their_place() -> None:
    lines = [
        line(text="Denies chest pain.", start=7, end=17, id="a"),
        b"{",
        b"  \n",
        line(text="Mother had a stroke in 2001", start=13, end=19),
    ]

    first, bad, blank, last = assert_lines(default_engine(), lines, first=11)

    assert json.loads(first.line) == {
        "text": "Denies chest pain.",
        "start": 7,
        "end": 17,
        "id": "a",
        "negated": True,
        "historical": False,
        "hypothetical": False,
        "uncertain": False,
        "experiencer": "patient",
    }
    assert bad.error.startswith("line 12: not JSON")
    assert json.loads(bad.line) == {"error": bad.error}
    assert (blank.line, blank.error) == (b"", "")
    assert json.loads(last.line)["experiencer"] == "family"
    assert json.loads(last.line)["historical"]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (line(text="fever", start=0), "end is missing"),
        (line(text="fever", start=0, end=True), "end is missing, or not a whole number"),
        (line(text="fever", start=0.0, end=5), "start is missing, or not a whole number"),
        (line(text="fever", start=0, end=6), "not a span within the text of 5"),
        (line(text="fever", start=-1, end=3), "not a span"),
        (line(text="fever", start=3, end=3), "not a span"),
        (line(text=None, start=0, end=1), "text is missing"),
        (line(text="x" * (MAX_CHARACTERS + 1), start=0, end=1), "longer than"),
        (b" " * MAX_BYTES + b"{}", "longer than"),
        (b"[" * 100_000, "not JSON"),
        (b'{"text": "a", "start": 0, "end": ' + b"1" * 5000 + b"}", "not JSON"),
        (b'{"text": "a", "start": 0, "end": NaN}', "not JSON"),
        (b'{"text": "\xff", "start": 0, "end": 1}', "not UTF-8"),
        (b"[1, 2]", "not an object"),
        (b"null", "not an object"),
    ],
)
def test_a_line_that_is_no_question_says_why_without_quoting_it(bad: bytes, says: str) -> None:
    [answer] = assert_lines(default_engine(), [bad])

    assert says in answer.error
    assert json.loads(answer.line) == {"error": answer.error}
    assert "fever" not in answer.error


def test_lone_surrogates_come_back_as_they_came() -> None:
    question = b'{"text": "\\ud800 no fever", "start": 5, "end": 10}'

    [answer] = assert_lines(default_engine(), [question])

    assert json.loads(answer.line)["text"] == "\ud800 no fever"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60).filter(lambda data: b"\n" not in data),
            st.just(line(text="no fever", start=3, end=8)),
        ),
        max_size=8,
    )
)
def test_every_line_has_its_answer(lines: list[bytes]) -> None:
    answers = assert_lines(default_engine(), lines)

    assert len(answers) == len(lines)
    for question, answer in zip(lines, answers, strict=True):
        assert b"\n" not in answer.line
        assert bool(answer.line) == bool(question.strip())
