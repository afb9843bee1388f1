"""A configured root, its records, and the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from node.cli import app
from node.records.engine import Records
from tests.stores import empty


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a configuration with a root of its own."""
    path = tmp_path / "overread.toml"
    path.write_text(f'[node]\nroot = "{tmp_path / "data"}"\n', encoding="utf-8")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Records:
    """Return the records of that root."""
    return empty(tmp_path / "data" / "overread.sqlite")


def run(*words: str | Path) -> Result:
    """Run `overread` in this process."""
    return CliRunner().invoke(app, [str(word) for word in words])
