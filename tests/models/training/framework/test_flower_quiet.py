"""Flower's programs are started so that they connect to nobody but each other."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

from models.training.framework.flower_quiet import QUIET, loud, main, quieted


def test_an_environment_that_says_nothing_is_loud() -> None:
    assert loud({"PATH": "/bin"}) == sorted(QUIET)
    assert loud({**QUIET, "FLWR_TELEMETRY_ENABLED": "1"}) == ["FLWR_TELEMETRY_ENABLED"]


def test_a_quieted_environment_keeps_the_rest_and_finds_the_programs_first(tmp_path: Path) -> None:
    environment = quieted({"PATH": "/bin", "LANG": "C", "FLWR_TELEMETRY_ENABLED": "1"}, tmp_path)

    assert loud(environment) == []
    assert environment["LANG"] == "C"
    assert environment["PATH"].split(os.pathsep) == [str(tmp_path), "/bin"]


def test_the_program_gets_its_arguments_and_the_quiet_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "flwr"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    started: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(os, "execve", lambda *what: started.append(what))

    main(["flwr", "run", "app"])

    [(path, words, environment)] = started
    assert (path, words) == (str(program), [str(program), "run", "app"])
    assert loud(environment) == []


@pytest.mark.parametrize(
    ("words", "reason"), [([], "which program"), (["sh"], "which program"), (["flwr"], "not inst")]
)
def test_only_programs_of_flower_that_are_installed_are_started(
    words: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(SystemExit, match=reason):
        main(words)


def test_without_flower_the_adapter_says_where_it_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flwr.app", None)
    monkeypatch.delitem(sys.modules, "models.training.framework.flower", raising=False)
    with pytest.raises(ImportError, match=r"docs/training\.md"):
        import_module("models.training.framework.flower")
