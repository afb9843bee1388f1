"""`overread models compare`, as it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from models.training import labs_risk
from node.cli import app


def call(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["models", "compare", *words])
    return result.exit_code, result.output


def test_the_trainers_comparison_is_printed_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(data: Path, **options: object) -> dict[str, object]:
        return {"model": "labs-risk", "data": data.name, **options}

    monkeypatch.setattr(labs_risk, "compare", compare)

    status, printed = call("labs-risk", "--data", str(tmp_path), "--seed", "3", "--epochs", "2", "--json")

    assert status == 0
    assert json.loads(printed) == {
        "model": "labs-risk", "data": tmp_path.name, "seed": 3, "epochs": 2, "device": "auto", "progress": False
    }  # fmt: skip


def test_a_model_without_a_comparison_says_so_in_one_line(tmp_path: Path) -> None:
    status, printed = call("chest-xray-pneumonia", "--data", str(tmp_path))

    assert status != 0
    assert "nothing was tried beside chest-xray-pneumonia" in " ".join(printed.split())
