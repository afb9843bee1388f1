"""`overread notes`: analysing and asserting from files and standard input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from node.cli import app
from node.commands.notes import CHUNK, read_texts
from node.errors import InputError
from tests.models.training.test_notes import write_corpora
from tests.node.commands.conftest import run


def piped(data: bytes, *words: str) -> Result:
    return CliRunner().invoke(app, list(words), input=data)


def questions(*items: tuple[str, str]) -> bytes:
    lines = [{"text": text, "start": text.index(word), "end": text.index(word) + len(word)} for text, word in items]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_a_text_from_standard_input_is_analysed() -> None:
    said = piped("无发热。Possible pneumonia.".encode(), "notes", "analyze", "-", "--json")

    facts = json.loads(said.stdout)["facts"]
    assert said.exit_code == 0
    assert [(fact["surface"], fact["assertion"]["negated"], fact["assertion"]["uncertain"]) for fact in facts] == [
        ("发热", True, False),
        ("pneumonia", False, True),
    ]


def test_the_table_shows_quantity_time_and_side() -> None:
    said = piped(b"Left lower lobe nodule of 9 mm in 2019.", "notes", "analyze", "-")

    [row] = [line for line in said.stdout.splitlines() if line.startswith("nodule")]
    assert said.stdout.split()[:8] == ["text", "code", "concept", "section", "assertion", "quantity", "when", "side"]
    assert "9 mm" in row


def test_json_of_one_note_gives_one_analysis_and_a_list_gives_a_list(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('{"text": "No fever."}', "utf-8")
    (tmp_path / "two.json").write_text('[{"text": "No fever."}, "Cough."]', "utf-8")

    one = json.loads(run("notes", "analyze", tmp_path / "one.json", "--json").stdout)
    two = json.loads(run("notes", "analyze", tmp_path / "two.json", "--json").stdout)
    shown = run("notes", "analyze", tmp_path / "two.json").stdout.splitlines()

    assert one == two[0]
    assert one["facts"][0]["surface"] == "fever"
    assert one["sections"][0]["kind"]
    assert [line.split()[:2] for line in shown[1:]] == [["1", "fever"], ["2", "Cough"]]


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"plain", (["plain"], False)),
        (b"\xef\xbb\xbfplain", (["plain"], False)),
        (b"[x] a list that is none", (["[x] a list that is none"], False)),
        (b'["a", {"text": "b"}]', (["a", "b"], True)),
        (b"[]", ([], True)),
        (b"[" * 100_000, (["[" * 100_000], False)),
    ],
)
def test_texts_are_read_as_text_or_json(data: bytes, texts: tuple[list[str], bool]) -> None:
    assert read_texts(data) == texts


@pytest.mark.parametrize("data", [b"{}", b'{"text": 3}', b"[1]", b"\xff\xfe"])
def test_a_file_without_texts_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        read_texts(data)


def test_lines_are_asserted_in_order_though_there_are_many(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    items = [(f"No fever on day {day}." if day % 3 else f"Fever on day {day}.", "ever") for day in range(2 * CHUNK + 5)]
    path.write_bytes(questions(*items))

    said = run("notes", "assert", "--jsonl", path)

    answers = [json.loads(line) for line in said.stdout.splitlines()]
    assert said.exit_code == 0
    assert [answer["text"] for answer in answers] == [text for text, _ in items]
    assert [answer["negated"] for answer in answers] == [bool(day % 3) for day in range(len(items))]


def test_bad_lines_are_answered_in_place_told_and_make_the_status_one() -> None:
    data = questions(("Denies cough.", "cough")) + b"nonsense\n" + questions(("Mother had a stroke.", "stroke"))

    said = piped(data, "notes", "assert", "--jsonl", "-")

    first, second, third = (json.loads(line) for line in said.stdout.splitlines())
    assert said.exit_code == 1
    assert first["negated"]
    assert second["error"].startswith("line 2: not JSON")
    assert third["experiencer"] == "family"
    assert "line 2: not JSON" in said.stderr


def test_a_last_line_without_end_and_other_line_ends_are_read() -> None:
    data = questions(("Denies cough.", "cough")).replace(b"\n", b"\r\n") + questions(("No rash", "rash")).strip()

    said = piped(data, "notes", "assert", "--jsonl", "-")

    assert said.exit_code == 0
    assert [json.loads(line)["negated"] for line in said.stdout.splitlines()] == [True, True]


def test_no_line_is_no_answer() -> None:
    said = piped(b"", "notes", "assert", "--jsonl", "-")

    assert (said.exit_code, said.stdout) == (0, "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--engine", "spacy"], "no engine is called"),
        (["--engine", "transformer"], "from a folder"),
        (["--engine", "transformer", "--model", "nowhere"], "no folder nowhere"),
        (["--engine", "rules", "--model", "nowhere"], "takes no folder"),
    ],
)
def test_an_engine_that_cannot_be_is_an_error_of_one_line(words: list[str], says: str) -> None:
    said = piped(b"", "notes", "assert", "--jsonl", "-", *words)

    assert said.exit_code == 2
    assert says in said.stderr


def test_the_configured_engine_is_used(tmp_path: Path) -> None:
    config = tmp_path / "overread.toml"
    config.write_text(f'[notes]\nengine = "transformer"\nmodel = "{tmp_path / "absent"}"\n', "utf-8")

    said = piped(b"", "notes", "assert", "--jsonl", "-", "--config", str(config))

    assert said.exit_code == 2
    assert "absent" in said.stderr


def test_an_engine_is_trained_measured_and_used(tmp_path: Path) -> None:
    write_corpora(tmp_path / "data")
    options = ["--data", str(tmp_path / "data"), "--json"]

    trained = run("notes", "train", "--engine", "naive-bayes", "--out", tmp_path / "nb", *options)
    measured = run("notes", "evaluate", "--engine", "naive-bayes", "--model", tmp_path / "nb", *options)
    used = piped(
        questions(("Denies cough.", "cough")),
        "notes", "assert", "--jsonl", "-", "--engine", "naive-bayes", "--model", str(tmp_path / "nb"),
    )  # fmt: skip

    assert json.loads(trained.stdout)["assertion"] == json.loads(measured.stdout)["assertion"]
    assert json.loads(used.stdout)["negated"]


def test_a_report_is_shown_as_tables(tmp_path: Path) -> None:
    write_corpora(tmp_path / "data")

    said = run("notes", "evaluate", "--data", tmp_path / "data")

    assert said.exit_code == 0
    assert "overread-rules" in said.stdout
    assert "NegEx" in said.stdout
