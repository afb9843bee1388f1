"""The documents say what is so: commands exist, configurations load, links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from node.cli import app
from node.config import load
from node.settings import DEFAULT_RULES, Settings

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")


def command(words: list[str]) -> Any:
    """Return the command that these words name."""
    found: Any = typer.main.get_command(app)
    for word in words:
        if not isinstance(found, TyperGroup) or word not in found.commands:
            return None
        found = found.commands[word]
    return found


def leaves(group: TyperGroup, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [
        leaf
        for name, item in group.commands.items()
        for leaf in (leaves(item, (*path, name)) if isinstance(item, TyperGroup) else [(*path, name)])
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_that_a_document_shows_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    shown = re.findall(
        r"(?:^|[`/ ])overread ((?:[a-z]+ ?){1,2})", "\n".join(re.findall(r"`[^`]+`|^ {4}.*$", text, re.M))
    )
    for words in (item.split() for item in shown):
        first = command(words[:1])
        assert first is not None, words
        if isinstance(first, TyperGroup) and len(words) > 1:
            assert command(words[:2]) is not None, words


def test_the_readme_names_every_command() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    table = README.split("## Commands")[1].split("##")[0]
    for path in leaves(group):
        if path != ("demo",):  # it is the first thing that the README shows, as make demo
            assert path[0] in table, path
            assert path[-1] in table, path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for path in DOCUMENTS:
        for target in re.findall(r"`make ([a-z0-9-]+)", path.read_text(encoding="utf-8")):
            assert target in targets, f"{path.name}: make {target}"


def test_the_configuration_of_the_readme_loads(tmp_path: Path) -> None:
    [text] = re.findall(r"```toml\n(.*?)```", README, re.S)
    path = tmp_path / "overread.toml"
    path.write_text(text, encoding="utf-8")
    settings = load(path, {})
    assert settings.destinations[0].ae_title == "ORTHANC"


def test_the_annotated_configuration_is_complete_and_shows_the_defaults() -> None:
    path = ROOT / "deploy" / "overread.toml"
    assert load(path, {}).model_dump(exclude={"rules"}) == Settings().model_dump(exclude={"rules"})
    assert load(path, {}).effective_rules == DEFAULT_RULES
    shown = tomllib.loads(path.read_text(encoding="utf-8"))
    for name, section in Settings.model_fields.items():
        fields = getattr(section.annotation, "model_fields", None)
        if fields is not None:
            commented = {key for key in fields if f"\n# {key} = " in path.read_text(encoding="utf-8")}
            missing = set(fields) - set(shown[name]) - {"peers"} - commented
            assert not missing, f"[{name}] does not show {missing}"
