"""`overread graph`: what it knows of a code, for people and scripts; what it does not know is an error with a hint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.node.commands.conftest import run


def test_a_code_is_explained_with_weights_and_sources(config: Path) -> None:
    said = run("graph", "explain", "SCT:36118008", "--config", config)
    assert said.exit_code == 0
    assert "Pneumothorax / 气胸" in said.stdout
    for words in ("supports it", "raises its risk", "is recommended", "Rib fracture", "0.6", "Thorax 2023;78:1143"):
        assert words in said.stdout, words


def test_json_gives_everything(config: Path) -> None:
    said = json.loads(run("graph", "explain", "J90", "--json", "--config", config).stdout)
    assert said["node"]["id"] == "pleural_effusion"
    assert said["explains"][0]["concept"] == "Heart failure"
    assert said["recommended"]
    assert said["paths"][0]["weight"] <= 1
    assert said["graph"]


@pytest.mark.parametrize("word", ["R91.1", "lung nodule", "肺结节", "lung_nodule"])
def test_a_value_a_name_and_a_chinese_name_are_codes_too(config: Path, word: str) -> None:
    assert run("graph", "explain", word, "--json", "--config", config).exit_code == 0


def test_an_unknown_code_exits_with_1_and_suggests(config: Path) -> None:
    said = run("graph", "explain", "pneumothoracks", "--config", config)
    assert said.exit_code == 1
    assert "pneumothorax" in said.stderr
    data = run("graph", "explain", "pneumothoracks", "--json", "--config", config)
    assert (data.exit_code, json.loads(data.stdout)["node"]) == (1, None)


def test_nodes_are_listed_and_an_unknown_kind_is_an_error(config: Path) -> None:
    nodes = json.loads(run("graph", "list", "--kind", "lab", "--json", "--config", config).stdout)
    assert {"crp", "inr"} <= {node["id"] for node in nodes}
    assert "INR" in run("graph", "list", "--config", config).stdout
    said = run("graph", "list", "--kind", "thing", "--config", config)
    assert said.exit_code == 2
    assert "there are: finding" in said.stderr


def test_the_site_s_folder_is_read_and_its_mistakes_are_told_with_file_and_line(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    config.write_text(config.read_text("utf-8") + f'[knowledge]\npath = "{folder}"\n', encoding="utf-8")
    (folder / "edges.tsv").write_text(
        "cough\tsupports\tpneumonia\t0.95\t\tHere it does.\tOur audit.\n", encoding="utf-8"
    )
    assert "Our audit." in run("graph", "explain", "pneumonia", "--config", config).stdout

    (folder / "edges.tsv").write_text("cough\thelps\tpneumonia\t0.9\t\tWhy.\tWho.\n", encoding="utf-8")
    said = run("graph", "explain", "pneumonia", "--config", config)
    assert said.exit_code == 2
    assert "edges.tsv:1: the relation" in said.stderr
    assert "Traceback" not in said.stderr
