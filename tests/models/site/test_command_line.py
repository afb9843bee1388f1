"""`overread models import` and `list`, as an operator types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.site import bring, dry_run
from node.cli import app
from tests.models.site.makers import Threshold, script, segmentation_card


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "overread.toml"
    path.write_text(
        f'[node]\nroot = "{tmp_path / "root"}"\n[[rules]]\nname = "b"\nrun = ["bright"]\n', encoding="utf-8"
    )
    # The dry run in this process: the one in a process of its own has its test in test_bring.py.
    monkeypatch.setattr(bring, "timed", lambda seconds: dry_run.in_process)
    return path


def said(*words: str, status: tuple[int, ...] = (0,)) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code in status, result.output
    return result.output


def test_a_model_is_imported_listed_and_known_to_the_rules(tmp_path: Path, config: Path) -> None:
    folder = script(tmp_path / "m", Threshold(), segmentation_card("torchscript"))
    options = ("--config", str(config), "--json")
    before = {item["name"]: item for item in json.loads(said("check", *options, status=(0, 1)))}

    first = json.loads(said("models", "import", str(folder), "--device", "cpu", *options))
    again = json.loads(said("models", "import", str(folder), "--device", "cpu", *options))

    assert (first["name"], first["version"], first["new"], again["new"]) == ("bright", "1.0.0", True, False)
    assert first["dry_run"]["findings"][0].startswith("Spleen")
    assert first["sha256"] == again["sha256"]
    rows = {(row["name"], row["version"]): row for row in json.loads(said("models", "list", *options))}
    assert rows["bright", "1.0.0"]["origin"] == "site"
    assert rows["hippocampus", rows_version(rows)]["origin"] == "shipped"
    after = {item["name"]: item for item in json.loads(said("check", *options, status=(0, 1)))}
    assert [name for name in before if before[name]["ok"] != after[name]["ok"]] == ["rules"]


def rows_version(rows: dict[tuple[str, str], object]) -> str:
    return next(version for name, version in rows if name == "hippocampus")


def test_the_table_shows_the_dry_run_and_the_rule(tmp_path: Path, config: Path) -> None:
    folder = script(tmp_path / "m", Threshold(), segmentation_card("torchscript"))

    shown = said("models", "import", str(folder), "--name", "lights", "--device", "cpu", "--config", str(config))

    assert "lights 1.0.0: Bright things" in shown
    assert "dry run" in shown
    assert 'run = ["lights@1.0.0"]' in shown


def test_an_import_names_the_rules_that_run_it_at_once_because_they_pin_no_version(
    tmp_path: Path, config: Path
) -> None:
    options = ("--device", "cpu", "--config", str(config))
    newer = script(tmp_path / "m", Threshold(), segmentation_card("torchscript", version="2.0.0"))
    older = script(tmp_path / "n", Threshold(), segmentation_card("torchscript"))

    shown = said("models", "import", str(newer), *options)
    assert "rules b name it without a version and run 2.0.0 at once" in " ".join(shown.split())
    assert json.loads(said("models", "import", str(older), "--json", *options))["unpinned_rules"] == []


@pytest.mark.parametrize(("pin", "words"), [("bright@", "'bright@' names no version"), ("bright@7", "no version '7'")])
def test_a_pin_of_no_or_an_unknown_version_is_refused_with_those_that_there_are(
    tmp_path: Path, config: Path, pin: str, words: str
) -> None:
    options = ("--config", str(config))
    folder = script(tmp_path / "m", Threshold(), segmentation_card("torchscript"))
    said("models", "import", str(folder), "--device", "cpu", *options)
    config.write_text(config.read_text("utf-8").replace('"bright"', f'"{pin}"'), encoding="utf-8")

    found = {item["name"]: item for item in json.loads(said("check", "--json", *options, status=(1,)))}
    assert not found["rules"]["ok"]
    tried = said("rules", "test", str(folder), *options, status=(2,))
    for text in (found["rules"]["text"], " ".join(tried.split())):
        assert words in text
        assert "there are: 1.0.0" in text


def test_a_refusal_is_one_line_and_keeps_nothing(tmp_path: Path, config: Path) -> None:
    folder = script(tmp_path / "m", Threshold(), segmentation_card("torchscript").replace("[model]", "[modell]"))

    shown = said("models", "import", str(folder), "--device", "cpu", "--config", str(config), status=(2,))

    assert "model.toml: " in shown
    assert "Traceback" not in shown
    assert list((tmp_path / "root" / "models" / ".incoming").iterdir()) == []
